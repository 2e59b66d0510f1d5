"""A site on two booted hosts, deployed by the playbooks from this checkout's wheelhouse."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy import controller, lab
from tests.deploy.controller import Controller
from tests.deploy.debian import Debian


@pytest.fixture(scope="session")
def hosts(tmp_path_factory: pytest.TempPathFactory, project_folder: Path) -> "Iterator[lab.Lab]":
    """Two Debian hosts in a clean state, or a skip that says why there can be none here."""
    why = lab.lacking()
    if why is not None:
        pytest.skip(why)
    made = lab.Lab(tmp_path_factory.getbasetemp().parent / "lab4a", Debian(project_folder / ".cache" / "deploy"))
    try:
        made.build()
        yield made
    finally:
        made.teardown()


@pytest.fixture(scope="session")
def operator(hosts: lab.Lab, project_folder: Path, models_folder: Path) -> Controller:
    """The controller, with Ansible and a wheelhouse of this checkout, and a kiosk's stand-ins laid out."""
    controller.prepare(project_folder, models_folder)
    made = Controller(project_folder, hosts)
    made.write_inventory()
    return made
