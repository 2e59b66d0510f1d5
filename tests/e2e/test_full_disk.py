"""A store that can no longer write: no grant without its row, a clear answer, and all is well again after.

The kernel refuses the workers any file growth beyond a size (RLIMIT_FSIZE), as a full disk would. The disk of
a shared database is in test_full_database_disk.py.
"""

import resource

import pytest

from auth_client.errors import Refused
from tests.postgres import IN_A_FILE

pytestmark = IN_A_FILE

ROOM_BYTES = 96 * 1024
"""For the server's own log; the store's write-ahead log passes it within a few logins."""


@pytest.fixture
def filling_up(house):
    """The server with an empty log and little room; calling it makes room again."""
    house.site.stop_server()
    house.site.server_log.rename(house.site.server_log.with_name("server.before.log"))
    house.site.start_server()

    def limit(size: int) -> None:
        for pid in house.worker_pids():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    limit(ROOM_BYTES)
    yield lambda: limit(resource.RLIM_INFINITY)
    house.site.stop_server()


def test_a_login_that_cannot_be_written_is_not_granted(house, filling_up):
    granted, refused = [], []
    for _ in range(40):
        person = house.person()
        code = person.code()
        try:
            house.login(person, code)
            granted.append(person.name)
        except Refused as error:
            refused.append((person, code, error))
            if len(refused) == 3:
                break
    assert len(refused) == 3, "the store was never full"
    for _, _, error in refused:
        assert (error.status, error.reply.reason) == (503, "unavailable")
    assert '"incident"' in house.site.server_log.read_text()

    filling_up()  # there is room again
    assert sorted(row.username for row in house.grants() if row.username in granted) == sorted(granted)
    for person, code, _ in refused:
        assert house.grants(person.name) == []
        assert house.login(person, code).outcome == "granted", "the refused login has used up its code"
    assert house.verify().ok


def test_a_stranger_is_refused_although_the_refusal_cannot_be_written(house, wire, filling_up):
    for _ in range(200):
        status, reply = wire.send("/v1/login", {"Content-Type": "application/json", "Content-Length": "2"}, b"{}")
        if status != 401:
            break
    assert (status, reply["reason"]) == (503, "unavailable")
    assert set(reply) == {"outcome", "reason", "message", "incident", "retry_after_s"}
    filling_up()
    assert wire.send("/v1/login", {"Content-Type": "application/json", "Content-Length": "2"}, b"{}")[0] == 401
