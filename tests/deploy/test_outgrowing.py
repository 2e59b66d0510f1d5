"""A site that outgrows one machine: its store moves from a file to a database, and a second server comes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.pictures import Pictures
from tests.deploy.controller import PlayFailed
from tests.deploy.drills import IN_DRILLS
from tests.deploy.lab import KIOSK, SERVER
from tests.deploy.logins import gather
from tests.deploy.people import Person, enrol, stand_before_the_kiosk
from tests.deploy.several import PRIMARY, SECOND, SERVERS, SeveralController, booted
from tests.deploy.test_rolling import assert_written

pytestmark = [pytest.mark.slow, pytest.mark.deploy, IN_DRILLS]

GRANTED = "[+] Welcome, ada: Access granted."


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, project_folder: Path, models_folder: Path, pictures: Pictures
) -> Iterator[SeveralController]:
    """A site of one server with its store in a file, and beside it two bare hosts."""
    hosts = (SERVER, SECOND, PRIMARY, KIOSK)
    with booted(project_folder, models_folder, tmp_path_factory.getbasetemp().parent, hosts) as made:
        made.write_inventory(servers=(SERVER,), databases=())
        stand_before_the_kiosk(made.lab, pictures.ada)
        made.play("site.yml", timeout_s=1200)
        made.play("enrol-kiosk.yml")
        yield made


@pytest.fixture(scope="module")
def ada(site: SeveralController, pictures: Pictures) -> Person:
    """Somebody who may log in at the kiosk."""
    return enrol(site, "ada", pictures)


def test_a_site_with_its_store_in_a_file_becomes_one_of_two_servers(site, ada, tmp_path):
    crowd = gather(site, 60, f"/srv/lab/{ada.name}")
    before = site.provision("audit", "list", "--limit", "1")["rows"][0]["id"]

    site.write_inventory(servers=(SERVER,), databases=(PRIMARY,))
    with pytest.raises(PlayFailed, match="auth_server_move=true: it is moved while servers go on"):
        site.play("site.yml")
    with crowd.logging_in(tmp_path) as seen:
        site.play("site.yml", "-e", "auth_server_move=true", timeout_s=1200)
    print(f"{len(seen.refused)} refused during the move: {seen.refused}")
    # Whoever began at the file when it was closed begins again at the database.
    assert {one["reason"] for one in seen.refused} <= {"unavailable", "ReplyLost", "start_again"}
    assert_written(site, seen)
    assert "postgresql" in site.lab.ssh(SERVER, "cat /etc/4auth/server.toml")
    assert site.provision("audit", "list", "--limit", "1")["rows"][0]["id"] > before

    site.write_inventory(databases=(PRIMARY,))
    site.play("site.yml", timeout_s=1200)
    for stopped in SERVERS:
        site.lab.ssh(stopped, "systemctl stop nginx 4auth-server")
        assert ada.log_in().startswith(GRANTED)
        site.lab.ssh(stopped, "systemctl start 4auth-server nginx")
    again = site.play("site.yml")
    assert set(again.changed.values()) == {0}, again.said
    gateways = [one for one in site.provision("kiosk", "list")["kiosks"] if one["mac_address"] is None]
    assert {one["kiosk_id"]: one["enabled"] for one in gateways} == {
        "gateway": True,
        f"gateway-{SECOND.name}": True,
    }


# As docs/postgresql.md says it.
WAY_BACK = """set -e; cd /var/lib/4auth/server; test ! -e store || mv store store.moved
install -d -o fourauth -g fourauth -m 0700 store
4auth-provision store migrate --yes --to-file $PWD/store/4auth.db \\
--restart "sh -c 'chown -R fourauth: $PWD/store && systemctl restart 4auth-server'"
"""


def test_it_goes_back_to_one_server_with_its_store_in_a_file(site, ada):
    site.play("decommission.yml", "--limit", SECOND.name, "-e", f"decommission={SECOND.name}")
    site.write_inventory(servers=(SERVER,), databases=(PRIMARY,))
    gateways = [one for one in site.provision("kiosk", "list")["kiosks"] if one["mac_address"] is None]
    assert [one["kiosk_id"] for one in gateways if one["enabled"]] == ["gateway"]
    site.lab.ssh(SERVER, WAY_BACK, timeout_s=300)
    site.write_inventory(servers=(SERVER,), databases=())
    site.play("site.yml")
    site.lab.ssh(PRIMARY, "systemctl stop postgresql")
    assert ada.log_in().startswith(GRANTED)
    assert site.provision("audit", "verify")["ok"]
    again = site.play("site.yml")
    assert set(again.changed.values()) == {0}, again.said
