"""A server with a kernel, a disk and a clock of its own: what a container cannot show.

Run by `make deploy-qemu`; QEMU reckons every instruction, so it takes the better part of an hour. The site is set up
in containers, and its server then becomes a machine.
"""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auth_client.device_key import public_text
from demo.pictures import Pictures, poses
from tests.deploy import controller, lab
from tests.deploy.controller import Controller
from tests.deploy.drills import wait_until
from tests.deploy.elsewhere.machine import BootableDebian, MachineLab
from tests.deploy.elsewhere.rush import crowd, documents
from tests.deploy.lab import BRIDGE, CONTROLLER, SERVER
from tests.deploy.people import PASSWORD, WAIT_UNTIL_READY, Person, bring, enrol, said, stand_before_the_kiosk
from tests.deploy.sandbox import bring_acts, found_in, tried
from tests.systemd import units
from tests.systemd.forbidden import ACTS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.deploy,
    pytest.mark.skipif(
        os.environ.get("FOURAUTH_ELSEWHERE") != "qemu", reason="takes an hour: `make deploy-qemu` runs it"
    ),
]

WANTED = int(os.environ.get("FOURAUTH_LOGINS", "500"))
"""Logins that are acknowledged before the last cut."""
PEOPLE = 20
"""Each has a code every half minute."""
KIOSKS = 2
"""As many logins at once: more only wait for each other here, and nginx gives up after 30 s."""
CROWD = "crowd"
PATIENCE_S = 3600.0
CLOCKS = (CONTROLLER, "10.77.0.2")
OFF = timedelta(minutes=3)
PROGRAM = "/opt/4auth/current/bin/python"
# One program does it all: to start one takes most of a minute here.
PROVISION = """
from provisioning.__main__ import cli
for words in {!r}:
    cli.main(["--json", *words], prog_name="4auth-provision", standalone_mode=False)
"""
GRANTED = "[+] Welcome, ada: Access granted."
WRONG_CLOCK = "[!] Out of service: Its clock is wrong."
READY = WAIT_UNTIL_READY.replace("9465", "9464").replace("range(90)", "range(800)")
"""Waits until the server serves."""


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory, project_folder: Path) -> Iterator[MachineLab]:
    """A machine as the server, and a container as the kiosk, or a skip that says why there can be none here."""
    if (why := lab.lacking()) is not None:
        pytest.skip(why)
    folder = tmp_path_factory.getbasetemp().parent / lab.NAMESPACE
    made = MachineLab(folder, BootableDebian(project_folder / ".cache" / "deploy"))
    try:
        made.build()
        made.inside("ip", "addr", "add", f"{CLOCKS[1]}/24", "dev", BRIDGE)
        yield made
    finally:
        made.teardown()


@pytest.fixture(scope="module")
def deployed(hosts: MachineLab, project_folder: Path, models_folder: Path, pictures: Pictures) -> Controller:
    """The same site as in containers. It asks for no movements: the look of one picture takes seconds here already."""
    controller.prepare(project_folder, models_folder)
    stand_before_the_kiosk(hosts, pictures.ada)
    operator = Controller(project_folder, hosts)
    face = {"presence": "passive", "refuse_duplicates": False}
    operator.write_inventory(auth_server_settings={"face": face}, base_time_nts=False)
    operator.play("site.yml")
    operator.play("enrol-kiosk.yml")
    return operator


@pytest.fixture(scope="module")
def ada(deployed: Controller, pictures: Pictures) -> Person:
    """Somebody who may log in at the kiosk."""
    return enrol(deployed, "ada", pictures)


@pytest.fixture(scope="module")
def site(hosts: MachineLab, deployed: Controller, ada: Person, plan: dict[str, Any]) -> Controller:
    """The site once its server is a machine."""
    hosts.make_machine()
    hosts.ssh(SERVER, "python3 -", text=READY, timeout_s=900)
    return deployed


@pytest.fixture(scope="module")
def plan(deployed: Controller, pictures: Pictures, ada: Person) -> dict[str, Any]:
    """What a crowd needs: kiosks with keys of their own, and people, who all have one face."""
    site = deployed
    bring(site.lab, SERVER, poses(pictures)[0].parent, "/srv/lab/crowd")
    site.lab.ssh(SERVER, "install -m 600 /dev/stdin /root/password", text=PASSWORD)
    kiosks, words = [], []
    for number in range(KIOSKS):
        key, name, mac = Ed25519PrivateKey.generate(), f"{CROWD}-{number}", f"02:00:5e:10:01:{number:02x}"
        words.append(["kiosk", "add", name, "--mac", mac, f"--public-key={public_text(key)}"])
        kiosks.append({"id": name, "mac": mac, "key": key.private_bytes_raw().hex()})
    names = [f"{CROWD}-{number:02}" for number in range(PEOPLE)]
    shown = ["--vouched", "--show-uri", "--picture", f"/srv/lab/crowd/{poses(pictures)[0].name}"]
    bound = [word for kiosk in kiosks for word in ("--kiosk", kiosk["id"])]
    words += [["user", "add", name, "--password-file", "/root/password", *shown, *bound] for name in names]
    words.append(["site", "pin"])
    told = site.lab.ssh(SERVER, f"{PROGRAM} -", text=PROVISION.format(words), timeout_s=PATIENCE_S)
    *added, pin = documents(told)
    assert [one["error"] for one in added if "error" in one] == []
    return {
        "url": f"https://{SERVER.address}:8443",
        "pin": pin["pin"],
        "kiosks": kiosks,
        "people": {name: one["provisioning_uri"] for name, one in zip(names, added[KIOSKS:], strict=True)},
        "password": PASSWORD,
        "picture": str(next((pictures.ada / "rest").glob("*.jpg"))),
    }


def test_a_login_opens_the_door(site: Controller, ada: Person) -> None:
    assert site.lab.ssh(SERVER, "systemd-detect-virt").strip() in {"qemu", "kvm"}
    assert ada.log_in().startswith(GRANTED)


def test_no_acknowledged_login_is_lost_when_the_power_is_cut(site: Controller, plan: dict[str, Any]) -> None:
    """Twice, each time in the middle of logins: once anywhere on the way, once when as many as wanted were let in."""
    began, first = time.monotonic(), random.SystemRandom().randint(WANTED // 10, WANTED - WANTED // 10)
    with crowd(site, plan) as people:
        for goal in (first, WANTED):
            people.until(goal)
            site.lab.cut(SERVER)
            if goal == first:
                site.lab.boot(SERVER)
    site.lab.boot(SERVER)
    site.lab.ssh(SERVER, "python3 -", text=READY, timeout_s=900)

    granted, lost = people.answers("granted"), people.answers("lost")
    rows = site.provision("audit", "list", "--action", "login", "--outcome", "success", "--limit", "100000")["rows"]
    written = Counter(row["detail"]["assertion"] for row in rows)
    refused = Counter(answer.what for answer in people.answers("refused"))
    took = sorted(answer.took_s for answer in granted)
    print(
        f"\n{len(granted)} logins acknowledged, the first cut after {first}, {len(lost)} lost on their way,"
        f" refused {dict(refused)}; a login took {took[len(took) // 2]:.1f} s ({took[0]:.1f} to {took[-1]:.1f}),"
        f" all {time.monotonic() - began:.0f} s; {sum(written.values()) - len(granted)} more rows than acknowledged"
    )
    assert len(granted) >= WANTED and lost, "no cut came in the middle of a login"
    assert [answer for answer in granted if written[answer.what] != 1] == []
    assert set(refused) <= {"unavailable"}
    assert site.provision("audit", "verify")["ok"]
    assert site.provision("keys", "check")["ok"]
    site.lab.ssh(SERVER, "systemctl start 4auth-backup.service", timeout_s=600)  # every page and index, and a restore


# --- what the guest's own kernel enforces


HELD = ("4auth-server.service", "4auth-gateway.service", "4auth-kiosk.service")
"""Whose memory and tasks are bounded, of those that can be tried without a screen."""
TRIED = (*HELD, *(f"4auth-{name}.service" for name in ("backup", "checkpoint", "audit-ship", "models-check")))
THREADS = """
import threading
ends, count = threading.Event(), 0
try:
    while True:
        threading.Thread(target=ends.wait, daemon=True).start()
        count += 1
except RuntimeError:
    print("threads:", count, flush=True)
ends.set()
"""
PLAIN = "[Service]\nType=oneshot\nUser=fourauth\nExecStart=/bin/true\n"


@pytest.fixture(scope="module")
def guest(site: Controller) -> Controller:
    """The server's machine with all units, and empty files where those of other machines look for some."""
    bring_acts(site.lab, SERVER)
    site.lab.ssh(SERVER, "install -D -m 644 /dev/stdin /usr/local/lib/threads.py", text=THREADS)
    site.lab.ssh(SERVER, "cat > /etc/systemd/system/plain.service", text=PLAIN)
    for name in ("4auth-gateway.service", "4auth-kiosk.service"):
        site.lab.ssh(SERVER, f"cat > /etc/systemd/system/{name}", text=units.SERVICES[name].text)
    wanted = [path for name in HELD for path in units.SERVICES[name].all("Unit", "AssertPathExists")]
    touch = [f"[ -e {path} ] || install -D -m 600 /dev/null {path}" for path in wanted]
    site.lab.ssh(SERVER, "; ".join([*touch, "chmod 755 /etc/4auth/gateway"]))
    return site


@pytest.mark.parametrize("unit", TRIED)
def test_each_forbidden_act_is_refused(guest: Controller, unit: str) -> None:
    _, said = tried(guest.lab, SERVER, unit, "/usr/bin/python3 /usr/local/lib/forbidden.py")
    assert found_in(said) == dict.fromkeys(ACTS)


def test_what_no_unit_forbids_is_possible(guest: Controller) -> None:
    """Else the refusals would say nothing; to write to the internet is what a container cannot refuse by default."""
    # Not the act after which it would sit in a network of its own.
    _, said = tried(guest.lab, SERVER, "plain.service", "/usr/bin/python3 /usr/local/lib/forbidden.py make_a_namespace")
    got = {act for act, found in found_in(said).items() if found is not None}
    assert {"speak_with_the_internet", "see_other_processes", "write_memory_and_run_it"} <= got


@pytest.mark.parametrize("unit", HELD)
def test_no_more_memory_is_had_than_the_unit_says(guest: Controller, unit: str) -> None:
    most = int(guest.lab.ssh(SERVER, f"systemctl show --property=MemoryMax --value {unit}"))
    ends = {}
    for what, size in (("less", most - (64 << 20)), ("more", most + (64 << 20))):
        ends[what], _ = tried(guest.lab, SERVER, unit, f"""/usr/bin/python3 -c "len(b'x' * {size})" """)
    assert ends == {"less": "success", "more": "oom-kill"}


@pytest.mark.parametrize("unit", HELD)
def test_no_more_tasks_are_had_than_the_unit_says(guest: Controller, unit: str) -> None:
    most = int(guest.lab.ssh(SERVER, f"systemctl show --property=TasksMax --value {unit}"))
    _, said = tried(guest.lab, SERVER, unit, "/usr/bin/python3 /usr/local/lib/threads.py")
    assert f"threads: {most - 1}" in said.splitlines()


# --- a clock that is wrong


@contextmanager
def time_servers(site: Controller) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.deploy.elsewhere.time_server", *CLOCKS]
    around = {**os.environ, "PYTHONPATH": str(site.project)}
    with subprocess.Popen([*site.lab.in_namespace, *command], env=around) as process:
        try:
            yield
        finally:
            process.kill()


def offset_s(site: Controller) -> float:
    """The server's clock minus this machine's, which ssh makes a second or two late."""
    return float(site.lab.ssh(SERVER, "date +%s.%N")) - time.time()


def test_a_server_whose_clock_is_wrong_lets_nobody_in_until_chrony_has_set_it(site: Controller, ada: Person) -> None:
    made = site.lab
    assert isinstance(made, MachineLab)
    since = f"--since=@{time.time():.0f}"
    made.stop(SERVER)
    made.clock_off = -OFF
    made.boot(SERVER)
    assert abs(offset_s(site) + OFF.total_seconds()) < 20
    wait_until(lambda: any(WRONG_CLOCK in line for line in said(made, since)), "the kiosk to tell of clocks", 300)
    with time_servers(site):
        made.ssh(SERVER, "systemctl restart chrony")
        wait_until(lambda: abs(offset_s(site)) < 10, "chrony to set the clock", 300)
        assert ada.log_in().startswith(GRANTED)
