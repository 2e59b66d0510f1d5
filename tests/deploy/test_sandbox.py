"""Each unit on its booted host tries what it is forbidden, and is refused."""

import pytest

from tests.deploy.lab import KIOSK, SERVER
from tests.deploy.sandbox import ACTS, bring_acts, found_in, tried
from tests.systemd import forbidden

pytestmark = [pytest.mark.slow, pytest.mark.deploy]

RUNNING = {SERVER: ("server", "gateway"), KIOSK: ("kiosk",)}
UNITS = [
    *((host, f"4auth-{name}.service") for host, names in RUNNING.items() for name in names),
    *((SERVER, f"4auth-{name}.service") for name in ("backup", "checkpoint", "audit-ship", "models-check")),
]


@pytest.fixture(scope="module")
def site(deployed):
    for host in RUNNING:
        bring_acts(deployed.lab, host)
    yield deployed
    for host, names in RUNNING.items():
        deployed.lab.ssh(host, "systemctl start", *(f"4auth-{name}.service" for name in names))


@pytest.mark.parametrize(("host", "unit"), UNITS, ids=lambda value: getattr(value, "name", value))
def test_each_forbidden_act_is_refused(site, host, unit):
    _, said = tried(site.lab, host, unit, f"/usr/bin/python3 {ACTS}")
    assert found_in(said) == dict.fromkeys(forbidden.ACTS)
