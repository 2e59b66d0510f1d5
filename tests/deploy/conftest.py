"""A site on two booted hosts, deployed by the playbooks from this checkout's wheelhouse."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.pictures import Pictures, prepare
from tests.deploy import controller, lab
from tests.deploy.controller import Controller, Run
from tests.deploy.debian import Debian
from tests.deploy.drills import Drill
from tests.deploy.lab import SERVER
from tests.deploy.logins import Crowd, gather
from tests.deploy.people import Person, enrol, stand_before_the_kiosk

FIRST, LAST = "test_site.py", "test_upkeep.py"
"""All of this folder share one site, which is bare at first, and whose kiosk goes at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put this folder's tests in the order of the site's life, after all others."""

    def age(item: pytest.Item) -> int:
        if item.path.parent != Path(__file__).parent:
            return 0
        return {FIRST: 1, LAST: 3}.get(item.path.name, 2)

    items.sort(key=age)


@pytest.fixture(scope="session")
def hosts(tmp_path_factory: pytest.TempPathFactory, project_folder: Path) -> "Iterator[lab.Lab]":
    """Two Debian hosts in a clean state, or a skip that says why there can be none here."""
    why = lab.lacking()
    if why is not None:
        pytest.skip(why)
    made = lab.Lab(tmp_path_factory.getbasetemp().parent / lab.NAMESPACE, Debian(project_folder / ".cache" / "deploy"))
    try:
        made.build()
        yield made
    finally:
        made.teardown()


@pytest.fixture(scope="session")
def operator(hosts: lab.Lab, project_folder: Path, models_folder: Path) -> Controller:
    """The controller, with Ansible and a wheelhouse of this checkout."""
    controller.prepare(project_folder, models_folder)
    made = Controller(project_folder, hosts)
    made.write_inventory()
    return made


@pytest.fixture(scope="session")
def pictures(project_folder: Path, models_folder: Path) -> Pictures:
    """People, as a camera sees them."""
    return prepare(project_folder / ".cache" / "people", models_folder)


@pytest.fixture(scope="session")
def looked(operator: Controller) -> Run:
    """A look at bare hosts."""
    return operator.play("site.yml", "--check", "--diff")


@pytest.fixture(scope="session")
def deployed(operator: Controller, looked: Run, pictures: Pictures) -> Controller:
    """A site that is up, with its kiosk enrolled."""
    stand_before_the_kiosk(operator.lab, pictures.ada)
    operator.play("site.yml")
    operator.play("enrol-kiosk.yml")
    return operator


@pytest.fixture(scope="session")
def ada(deployed: Controller, pictures: Pictures) -> Person:
    """Somebody who may log in at the kiosk."""
    return enrol(deployed, "ada", pictures)


@pytest.fixture(scope="module")
def hurried(deployed: Controller, ada: Person) -> Iterator[Controller]:
    """The site with a face check that asks for no movements, so that a login takes a second."""
    settings, before = "/etc/4auth/server.toml", "/root/server.toml"
    hurry = f"cp -a {settings} {before} && sed -i 's/^\\[face\\]$/&\\npresence = \"passive\"/' {settings}"
    deployed.lab.ssh(SERVER, f"{hurry} && systemctl restart 4auth-server")
    yield deployed
    deployed.lab.ssh(SERVER, f"mv {before} {settings} && systemctl restart 4auth-server")


@pytest.fixture(scope="module")
def crowd(hurried: Controller, ada: Person) -> Crowd:
    """People who look like Ada: one has a code for one login in half a minute, so one a second takes thirty."""
    return gather(hurried, 60, f"/srv/lab/{ada.name}")


@pytest.fixture
def drill(hurried: Controller, ada: Person, record_property: Callable[[str, object], None]) -> Iterator[Drill]:
    """A fault, after which the site is well again."""

    def tell(name: str, value: object) -> None:
        record_property(name, value)
        print(f"{name} = {value}")

    made = Drill(hurried, ada, tell)
    yield made
    made.all_is_well()
