"""New keys and new releases while people log in: nobody is refused, and what was granted is in the log.

The crowd logs in once a second through nginx with the kiosk's own key, but where that key is changed: there people type
at the kiosk, one after the other. No movements are asked for here (`face.presence = "passive"`), so that it is quick.
"""

import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pytest

from tests.deploy.controller import Change, Controller, PlayFailed, build
from tests.deploy.drills import IN_DRILLS
from tests.deploy.lab import KIOSK, SERVER
from tests.deploy.logins import KIOSKS_PATIENCE_S, Logins
from tests.deploy.people import Person

pytestmark = [pytest.mark.slow, pytest.mark.deploy, IN_DRILLS]

GRANTED = "[+] Welcome, "
NEWER, DEAF, DUMB = "0.1.1", "0.1.2", "0.1.3"

WAY_BACK_S = 60.0
"""The window in which logins may wait longer, or fail, where a server's release is taken back: ansible/README.md."""


@pytest.fixture(scope="module")
def newer(project_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheelhouse with the next release."""
    return build(project_folder, tmp_path_factory.mktemp("newer"), NEWER)


def assert_written(site: Controller, seen: Logins) -> None:
    """Every login that was granted has its row, and the log is whole."""
    rows = site.provision("audit", "list", "--limit", "2000", "--action", "login")["rows"]
    written = {row["detail"].get("assertion") for row in rows if row["reason"] == "granted"}
    assert len(seen.granted) > 5
    took_s = [one["took_s"] for one in seen.outcomes]
    print(f"{len(seen.granted)} logins, median {median(took_s):.1f} s, slowest {max(took_s):.1f} s")
    assert {one["granted"] for one in seen.granted} <= written
    assert site.provision("audit", "verify")["ok"]


def pins(operator: Controller) -> list[str]:
    return list(tomllib.loads(operator.lab.ssh(KIOSK, "cat /etc/4auth/kiosk.toml"))["server"]["pins"])


def keys_in_use(operator: Controller) -> set[str]:
    keys = operator.provision("keys", "list")["keys"]
    return {key["id"] for key in keys if key["state"] == "in-use"}


def test_new_keys_of_the_server_refuse_nobody(hurried, crowd, tmp_path):
    """All five kinds in one run: kiosks know the next TLS key before they meet it, and old keys are gone at the end."""
    pins_before, keys_before = pins(hurried), keys_in_use(hurried)
    with crowd.logging_in(tmp_path) as seen:
        hurried.play("rotate.yml", "-e", "rotate=tls,field,database,audit,assertion", timeout_s=1200)
    assert seen.refused == []
    assert len(pins_before) == len(pins(hurried)) == 1 and pins_before != pins(hurried)
    assert pins(hurried) == [hurried.provision("site", "pin")["pin"]]
    assert len(keys_in_use(hurried)) == 4 and not keys_in_use(hurried) & keys_before
    # Of a retired audit key the public half stays, which proves what it signed.
    left = [key["kind"] for key in hurried.provision("keys", "list")["keys"] if key["state"] != "in-use"]
    assert left == ["audit"]
    assert_written(hurried, seen)
    assert seen.slowest_s < KIOSKS_PATIENCE_S


@contextmanager
def typing(*people: Person) -> Iterator[list[str]]:
    """Have people type logins at the kiosk one after the other until this ends; gives what its screen said to each."""
    said: list[str] = []
    ended = threading.Event()

    def type_on() -> None:
        while not ended.is_set():
            said.append(people[len(said) % len(people)].log_in())

    thread = threading.Thread(target=type_on)
    thread.start()
    try:
        yield said
    finally:
        ended.set()
        thread.join()


def test_a_new_device_key_refuses_nobody_at_its_kiosk(hurried, crowd):
    before = hurried.provision("kiosk", "show", KIOSK.name)["kiosk"]["public_key"]
    with typing(*crowd.people[-6:]) as said:  # who come last to what follows, where a code counts once
        hurried.play("rotate.yml", "-e", "rotate=device")
    assert hurried.provision("kiosk", "show", KIOSK.name)["kiosk"]["public_key"] != before
    assert said and all(line.startswith(GRANTED) for line in said), said


def test_a_newer_release_comes_into_force_everywhere_and_refuses_nobody(hurried, crowd, newer, tmp_path):
    # What a run that was killed left there is no part of it.
    (name,) = (line for path in newer.glob("*/kiosk.release") for line in path.read_text().split())
    half = f"/opt/4auth/releases/{name}/bin"
    hurried.lab.ssh(KIOSK, f"mkdir -p {half} && ln -s /usr/bin/python3 {half}/python")
    with crowd.logging_in(tmp_path) as seen:
        hurried.play("upgrade.yml", "-e", f"base_wheelhouse={newer}")
    assert {hurried.release(host).partition("-")[0] for host in hurried.lab.hosts} == {NEWER}
    assert hurried.provision("kiosk", "show", KIOSK.name)["kiosk"]["agent_version"] == NEWER
    assert seen.refused == []
    assert_written(hurried, seen)
    assert seen.slowest_s < KIOSKS_PATIENCE_S


def test_an_upgrade_that_was_cut_short_is_gone_on_with(hurried, ada, newer):
    """The release is in force, nobody has seen it work, and there is a way back still."""
    hurried.lab.ssh(KIOSK, "systemctl stop 4auth-kiosk")
    before = hurried.lab.ssh(KIOSK, "ls /opt/4auth/releases")
    with pytest.raises(PlayFailed, match="was not touched"):
        hurried.play("upgrade.yml", "--limit", SERVER.name, "-e", f"base_wheelhouse={newer}")
    hurried.play("upgrade.yml", "-e", f"base_wheelhouse={newer}")
    assert ada.log_in().startswith(GRANTED)
    assert hurried.lab.ssh(KIOSK, "ls /opt/4auth/releases") == before and len(before.split()) == 2


@pytest.mark.parametrize(
    ("version", "change", "host", "window_s"),
    [
        # The agent comes up, and never reaches its server.
        (DEAF, Change("auth_contract/paths.py", '"/v1/heartbeat"', '"/v1/nowhere"'), KIOSK, 0.0),
        # The server comes up, and never says that it can serve.
        (
            DUMB,
            Change("auth_server/health.py", "    status = services", '    faults["x"] = "y"\n    status = services'),
            SERVER,
            WAY_BACK_S,
        ),
    ],
    ids=["kiosk", "server"],
)
def test_a_broken_release_is_taken_back(hurried, crowd, ada, project_folder, tmp_path, version, change, host, window_s):
    before = {one: hurried.release(one) for one in (host, SERVER)}  # no host after the one that did not do well
    house = build(project_folder, tmp_path, version, change)
    ill = pytest.raises(PlayFailed, match=f"{host.name} did not do well with {version}")
    with crowd.logging_in(tmp_path) as seen, ill:
        hurried.play("upgrade.yml", "-e", f"base_wheelhouse={house}")
    assert {one: hurried.release(one) for one in before} == before
    assert seen.refused == [] or seen.window_s < window_s, seen.refused
    assert_written(hurried, seen)
    assert ada.log_in().startswith(GRANTED)
    assert seen.slowest_s < max(KIOSKS_PATIENCE_S, window_s)
