"""The local port of the real server: alive, ready, metrics over both workers."""

import json
import re
from datetime import datetime

from tests.postgres import IN_A_FILE


def test_alive_and_ready(house):
    assert house.probe("/livez") == (200, '{"alive":true}')
    status, text = house.probe("/readyz")
    reply = json.loads(text)
    # This site asks for no movements, and is told what that costs.
    assert reply.pop("warnings").keys() == {"presence"}
    assert (status, reply) == (200, {"ready": True, "faults": {}})


def granted(house) -> float:
    """Logins granted since the server's start, over all workers."""
    text = house.probe("/metrics")[1]
    found = re.search(r'^fourauth_outcomes_total\{action="login",reason="granted"\} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_metrics_are_gathered_over_all_workers(house):
    before = granted(house)
    for _ in range(6):  # either worker may have answered any of them
        house.login(house.person())
    assert {granted(house) for _ in range(6)} == {before + 6}


def test_metrics_tell_when_the_site_was_last_backed_up(house, tmp_path):
    def told() -> float:
        text = house.probe("/metrics")[1]
        return float(re.findall(r"^fourauth_last_backup_timestamp_seconds (\S+)$", text, re.MULTILINE)[0])

    assert told() == 0
    made = house.site.provision("backup", "make", "--to", str(tmp_path))["manifest"]["made_at"]
    assert {told() for _ in range(6)} == {datetime.fromisoformat(made).timestamp()}


@IN_A_FILE
def test_a_server_whose_store_was_moved_away_says_that_it_is_not_ready(house):
    store = house.site.folder / "site" / "store" / "4auth.db"
    moved = store.with_name("moved.db")
    store.rename(moved)
    try:
        replies = [house.probe("/readyz") for _ in range(6)]
    finally:
        moved.rename(store)
    assert {status for status, _ in replies} == {503}
    assert all("store" in json.loads(text)["faults"] for _, text in replies)
    assert house.probe("/livez")[0] == 200
    assert house.probe("/readyz")[0] == 200


def test_nobody_else_is_on_the_kiosks_port(house, wire):
    """Metrics and readiness are for this machine: the port that kiosks reach has neither."""
    for path in ("/metrics", "/readyz", "/livez"):
        assert wire.send(path, {"Content-Length": "0"}, b"")[0] == 404
