"""A kiosk of aarch64, as a Pi is: its wheels, its packages, its agent. Run by `make deploy-arm64`."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from demo.pictures import Pictures
from tests.deploy import controller, lab
from tests.deploy.controller import Controller
from tests.deploy.debian import NUMBERS, SUITE, Debian
from tests.deploy.elsewhere.arm64 import Arm64Lab, foreign_programs
from tests.deploy.lab import KIOSK
from tests.deploy.people import stand_before_the_kiosk

pytestmark = [
    pytest.mark.slow,
    pytest.mark.deploy,
    pytest.mark.skipif(os.environ.get("FOURAUTH_ELSEWHERE") != "arm64", reason="`make deploy-arm64` runs it"),
]
PATIENCE_S = 3600.0
PLAYBOOK = "arm64.yml"
AGENT = "ORT_DISABLE_TELEMETRY=1 /opt/4auth/current/bin/4auth-kiosk --settings /etc/4auth/kiosk.toml"
INFERENCE = """
import numpy
from pathlib import Path
from auth_vision.sight import Sight
print(len(Sight(Path("/var/lib/4auth/models")).faces(numpy.zeros((480, 640, 3), numpy.uint8))), "faces")
"""


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory, project_folder: Path) -> Iterator[Arm64Lab]:
    """A server as always and a kiosk of aarch64, or a skip that says why there can be none here."""
    if (why := lab.lacking()) is not None:
        pytest.skip(why)
    folder = tmp_path_factory.getbasetemp().parent / lab.NAMESPACE
    made = Arm64Lab(folder, Debian(project_folder / ".cache" / "deploy"))
    with foreign_programs():
        try:
            made.debian_of(KIOSK).make()
            made.build()
            yield made
        finally:
            made.teardown()


@pytest.fixture(scope="module")
def site(hosts: Arm64Lab, project_folder: Path, models_folder: Path, pictures: Pictures) -> Controller:
    """A server, and the kiosk with what QEMU can do of the roles."""
    controller.prepare(project_folder, models_folder)
    wheelhouse = [sys.executable, "-m", "scripts.wheelhouse", f"debian-{NUMBERS[SUITE]}-aarch64"]
    subprocess.run(wheelhouse, check=True, cwd=project_folder)
    stand_before_the_kiosk(hosts, pictures.ada)
    operator = Controller(project_folder, hosts)
    # A playbook finds templates beside itself.
    shutil.copytree(project_folder / "ansible", hosts.folder / "ansible")
    shutil.copy(Path(__file__).with_name(PLAYBOOK), hosts.folder / "ansible")
    places = {"base_wheelhouse": ".cache/wheelhouse", "base_units_from": "systemd"}
    operator.write_inventory(
        auth_server_settings={"face": {"presence": "passive"}},
        **{name: str(project_folder / place) for name, place in places.items()},
    )
    operator.play(str(hosts.folder / "ansible" / PLAYBOOK), timeout_s=PATIENCE_S)
    return operator


def test_the_agent_runs_on_the_other_processor(site: Controller) -> None:
    assert site.lab.ssh(KIOSK, "uname -m").strip() == "aarch64"
    site.lab.ssh(KIOSK, f"{AGENT} --check-config", timeout_s=PATIENCE_S)
    assert site.lab.ssh(KIOSK, "systemctl is-active 4auth-kiosk").strip() == "active"


def test_its_models_look_at_a_picture(site: Controller) -> None:
    look = site.lab.ssh(KIOSK, "ORT_DISABLE_TELEMETRY=1 /opt/4auth/current/bin/python -", text=INFERENCE, timeout_s=600)
    assert look.split() == ["0", "faces"]


def test_its_server_hears_of_it(site: Controller) -> None:
    """No login is tried: what a person has to do in a minute takes the agent longer here."""
    site.play("enrol-kiosk.yml", timeout_s=PATIENCE_S)
    assert site.provision("kiosk", "show", KIOSK.name)["kiosk"]["agent_version"] == metadata.version("fourauth")
