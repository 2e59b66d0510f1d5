"""Several servers on one PostgreSQL database: what counts once counts once at all of them together."""

import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier
from typing import Any

import bcrypt
import pytest

from auth_client.errors import AuthClientError, Refused
from auth_contract.actions import Action
from auth_server.bootstrap import load_settings
from auth_server.key_files import replace_key_file
from auth_server.key_forms import ASSERTION, State
from auth_server.store.location import Postgresql
from demo.site import CommandFailed, Site
from tests import postgres
from tests.e2e.conftest import PASSWORD, House, Person, houses_of
from tests.e2e.sending import is_used
from tests.e2e.test_actions import confirm, submit

pytestmark = pytest.mark.slow

SERVERS = 3
AT_ONCE = 50


@pytest.fixture(scope="module")
def houses(
    tmp_path_factory: pytest.TempPathFactory, models_folder: Any, ada_folder: Any, postgresql_server: postgres.Server
) -> Iterator[list[House]]:
    """The same house at three servers with a worker each."""
    url = postgresql_server.url(postgresql_server.new())
    folder = tmp_path_factory.mktemp("several")
    site = Site(folder, models_folder.absolute(), name="several", presence="passive", postgresql=url)
    others = [tmp_path_factory.mktemp(f"server-{number}") for number in range(2, SERVERS + 1)]
    yield from houses_of(site, ada_folder, others, face="queue_max = 7")


def said_of(house: House, work: Any) -> str:
    with closing(house.client()) as client:
        try:
            work(client)
        except Refused as refused:
            return str(refused.reply.reason.value)
        except AuthClientError as error:
            return type(error).__name__
    return "granted"


def test_of_fifty_submissions_of_one_attempt_at_three_servers_one_is_granted(houses: list[House]) -> None:
    first = houses[0]
    person = first.person()
    with closing(first.client()) as client:
        attempt = client.open_attempt(Action.LOGIN)
    submission = first.submission(attempt, person)

    def send(number: int) -> str:
        house = houses[number % SERVERS]
        return said_of(house, lambda client: client.submit(Action.LOGIN, submission, attempt.nonce))

    with ThreadPoolExecutor(AT_ONCE) as crowd:
        said = Counter(crowd.map(send, range(AT_ONCE)))
    assert said["granted"] == 1, said
    assert len(first.grants(person.name)) == 1
    assert first.verify().ok


def test_of_fifty_attempts_with_one_code_at_three_servers_one_is_granted(houses: list[House]) -> None:
    person = houses[0].person()
    code = person.code()

    def log_in(number: int) -> str:
        house = houses[number % SERVERS]

        def once(client: Any) -> None:
            attempt = client.open_attempt(Action.LOGIN)
            client.submit(Action.LOGIN, house.submission(attempt, person, code), attempt.nonce)

        return said_of(house, once)

    with ThreadPoolExecutor(12) as crowd:
        said = Counter(crowd.map(log_in, range(AT_ONCE)))
    assert said["granted"] == 1, said
    assert len(houses[0].grants(person.name)) == 1


def test_of_a_ticket_shown_at_every_server_at_once_one_registration_is_in_force(houses: list[House]) -> None:
    """Each shows a secret of its own, and the first code of one of them counts."""
    ticket = houses[0].site.provision("user", "invite", "newcomer", "--kiosk", "kiosk-1")["ticket"]

    def register(number: int) -> str:
        house, person = houses[number % SERVERS], Person("newcomer")
        try:
            shown = submit(house, Action.REGISTER, person, permission=ticket)
            together.wait(60)
            return "in force" if confirm(house, person, shown).pending is None else "pending"
        except Refused as refused:
            return str(refused.reply.reason.value)

    together = Barrier(SERVERS)
    with ThreadPoolExecutor(SERVERS) as crowd:
        said = Counter(crowd.map(register, range(SERVERS)))
    assert said["in force"] == 1 and said["pending"] == 0, said
    assert (
        len([user for user in houses[0].site.provision("user", "list")["users"] if user["username"] == "newcomer"]) == 1
    )


def test_failures_at_one_server_lock_at_every_other(houses: list[House]) -> None:
    person = houses[0].person()
    said = []
    for number in range(2 * SERVERS):
        house = houses[number % SERVERS]

        def once(client: Any, house: House = house) -> None:
            attempt = client.open_attempt(Action.LOGIN)
            wrong = house.submission(attempt, person, person.wrong_code())
            client.submit(Action.LOGIN, wrong, attempt.nonce)

        said.append(said_of(house, once))
    assert said[:5] == ["denied"] * 5 and said[5] == "locked", said


def test_a_database_that_is_cut_off_in_the_middle_of_a_login_lets_nobody_in(
    houses: list[House], postgresql_server: postgres.Server
) -> None:
    first = houses[0]
    slow = first.enrol(Person("slow person"), bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(14)))
    with closing(first.client()) as client, ThreadPoolExecutor(1) as pool, first.store() as (database, _):
        attempt = client.open_attempt(Action.LOGIN)
        reply = pool.submit(client.submit, Action.LOGIN, first.submission(attempt, slow), attempt.nonce)
        first.until(lambda: is_used(database, attempt.nonce), 10, "the server is at work on it")
        postgresql_server.signal(signal.SIGSTOP)
        try:
            with pytest.raises(Refused) as refused:
                reply.result()
        finally:
            postgresql_server.signal(signal.SIGCONT)
    assert refused.value.reply.reason.value == "unavailable"
    assert first.login(first.person()).username, "it goes on by itself"
    assert first.verify().ok


def test_each_server_signs_the_one_log(houses: list[House]) -> None:
    for house in houses:
        assert house.verify().ok


def test_a_server_with_another_assertion_key_does_not_start(houses: list[House], tmp_path: Path) -> None:
    stranger = houses[0].site.sibling(tmp_path)
    replace_key_file(tmp_path / "site" / "keys" / ASSERTION.file, ASSERTION.spelt([ASSERTION.new(None, State.IN_USE)]))
    with pytest.raises(CommandFailed, match=r"assertion\.pem does not fit"):
        stranger.start_server()


def test_a_database_of_yesterday_is_noticed_by_each_server(
    houses: list[House], postgresql_server: postgres.Server
) -> None:
    """Its log ends before what each has signed, so no code that was used since counts again."""
    for house in houses:
        house.site.stop_server()
    location = load_settings(houses[0].site.settings).store.database
    assert isinstance(location, Postgresql)
    yesterday = postgresql_server.new(location)
    for house in houses:
        house.site.start_server()
        assert house.login(house.person()).username
    for house in houses:
        house.site.stop_server()
    postgresql_server.drop(location)
    postgresql_server.execute(f"ALTER DATABASE {yesterday.name} RENAME TO {location.name}")
    for house in houses:
        with pytest.raises(CommandFailed, match="the audit log ends at row"):
            house.site.start_server()
