"""A site of two servers on one database with a standby: its hosts, and the inventory that says so."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.deploy import controller
from tests.deploy.controller import SITE, Controller, kiosk_variables
from tests.deploy.debian import Debian
from tests.deploy.lab import KIOSK, NAMESPACE, SERVER, Host, Lab, lacking

SECOND: Final = Host("server-2", "10.77.0.12")
PRIMARY: Final = Host("db-1", "10.77.0.31")
STANDBY: Final = Host("db-2", "10.77.0.32")
SERVERS: Final = (SERVER, SECOND)
HOSTS: Final = (*SERVERS, PRIMARY, STANDBY, KIOSK)
NETWORK: Final = f"{NAMESPACE}-n"
"""The network of this lab, beside that of the site with one server."""

PSQL: Final = "runuser -u postgres -- psql -X -q -t -A -c"
"""A database's administrator, who asks something."""

_IN_HURRY: Final = {"face": {"presence": "passive"}}
"""Asks for no movements, so that a login takes a second."""


@dataclass(frozen=True)
class SeveralController(Controller):
    """The same operator with more machines."""

    def write_inventory(
        self,
        *,
        servers: tuple[Host, ...] = SERVERS,
        databases: tuple[Host, ...] = (PRIMARY, STANDBY),
        **changes: Any,
    ) -> None:
        """Write the inventory of these, the first database as the primary; without any, the store is in a file."""
        store = "postgresql" if databases else "sqlcipher"
        groups = {
            "servers": {"hosts": {host.name: _server(host, store) for host in servers}},
            "databases": {"hosts": {host.name: _database(host) for host in databases}},
            "kiosks": {"hosts": {KIOSK.name: kiosk_variables()}},
        }
        self.write_groups({name: group for name, group in groups.items() if group["hosts"]}, **changes)


@contextmanager
def booted(project: Path, models: Path, folder: Path, hosts: tuple[Host, ...]) -> Iterator[SeveralController]:
    """The controller of these hosts, which are bare, until this ends; or a skip that says why there are none."""
    why = lacking()
    if why is not None:
        pytest.skip(why)
    controller.prepare(project, models)
    lab = Lab(folder / NETWORK, Debian(project / ".cache" / "deploy"), hosts, namespace=NETWORK)
    try:
        lab.build()
        yield SeveralController(project, lab)
    finally:
        lab.teardown()


def _server(host: Host, store: str) -> dict[str, Any]:
    return {
        "ansible_host": host.address,
        "auth_server_site": SITE,
        "auth_server_store": store,
        "auth_server_gateway": True,
        "auth_server_connections_per_address": 60,
        "auth_server_settings": _IN_HURRY,
        "base_allow": [{"what": "kiosks", "port": 8443, "from": ["10.77.0.0/24"]}],
    }


def _database(host: Host) -> dict[str, Any]:
    others = [f"{other.address}/32" for other in (*SERVERS, PRIMARY, STANDBY) if other != host]
    return {
        "ansible_host": host.address,
        "base_allow": [{"what": "servers and the other database", "port": 5432, "from": others}],
    }
