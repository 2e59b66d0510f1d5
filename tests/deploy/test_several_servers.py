"""Two servers on one database with a standby: from bare hosts to logins that go on whatever is lost."""

import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.pictures import Pictures
from tests.deploy.controller import PlayFailed, build
from tests.deploy.drills import IN_DRILLS, wait_until
from tests.deploy.lab import KIOSK, SERVER, Host
from tests.deploy.logins import KIOSKS_PATIENCE_S, Crowd, Logins, gather
from tests.deploy.people import Person, enrol, stand_before_the_kiosk
from tests.deploy.several import HOSTS, PRIMARY, PSQL, SECOND, SERVERS, STANDBY, SeveralController, booted
from tests.deploy.test_rolling import NEWER, assert_written

pytestmark = [pytest.mark.slow, pytest.mark.deploy, IN_DRILLS]

KEPT_PASSWORD = "cat /etc/4auth/keys/postgresql.password"
GRANTED = "[+] Welcome, ada: Access granted."
BOTH = ("--limit", f"{PRIMARY.name},{STANDBY.name}")
SAME_FILES = "keys/database.key keys/field.keys keys/audit.pem keys/assertion.pem tls/server.key tls/server.crt"


@pytest.fixture(scope="module")
def operator(
    tmp_path_factory: pytest.TempPathFactory, project_folder: Path, models_folder: Path
) -> Iterator[SeveralController]:
    """The controller of five bare hosts."""
    with booted(project_folder, models_folder, tmp_path_factory.getbasetemp().parent, HOSTS) as made:
        made.write_inventory()
        yield made


@pytest.fixture(scope="module")
def site(operator: SeveralController, pictures: Pictures) -> SeveralController:
    """The site, up, after a look at bare hosts."""
    looked = operator.play("site.yml", "--check", "--diff")
    assert set(looked.changed) == {host.name for host in HOSTS}
    stand_before_the_kiosk(operator.lab, pictures.ada)
    operator.play("site.yml", timeout_s=1200)
    operator.play("enrol-kiosk.yml")
    return operator


@pytest.fixture(scope="module")
def ada(site: SeveralController, pictures: Pictures) -> Person:
    """Somebody who may log in at the kiosk."""
    return enrol(site, "ada", pictures)


@pytest.fixture(scope="module")
def crowd(site: SeveralController, ada: Person) -> Crowd:
    """People who look like Ada, one for each second in which their codes last."""
    return gather(site, 60, f"/srv/lab/{ada.name}")


def test_a_kiosk_knows_the_addresses_of_all_servers_its_own_first(site):
    told = tomllib.loads(site.lab.ssh(KIOSK, "cat /etc/4auth/kiosk.toml"))["server"]
    assert told["url"] == [f"https://{host.address}:8443" for host in SERVERS]
    assert told["pins"] == [site.provision("site", "pin")["pin"]]


def test_all_servers_have_the_same_keys_and_the_database_alone_the_rows(site):
    digests = {site.lab.ssh(host, f"cd /etc/4auth && sha256sum {SAME_FILES}") for host in SERVERS}
    assert len(digests) == 1
    modes = {
        site.lab.ssh(host, "stat -c '%a %U %n' /etc/4auth/keys /etc/4auth/keys/* /etc/4auth/tls/*") for host in SERVERS
    }
    assert len(modes) == 1 and "600 root /etc/4auth/keys/postgresql.password" in modes.pop()
    assert [site.lab.ssh(host, "find /var/lib/4auth -name '*.db'") for host in SERVERS] == ["", ""]


def test_each_server_has_a_gateway_of_its_own(site):
    kiosks = site.provision("kiosk", "list")["kiosks"]
    assert {one["kiosk_id"] for one in kiosks} == {KIOSK.name, *(f"gateway-{host.name}" for host in SERVERS)}
    assert [site.lab.ssh(host, "systemctl is-active 4auth-gateway").strip() for host in SERVERS] == ["active"] * 2


def followers(site: SeveralController, primary: Host) -> str:
    """Who follows a primary, and whether it waits for them."""
    asked = "SELECT application_name, state, sync_state FROM pg_stat_replication"
    return site.lab.ssh(primary, f'{PSQL} "{asked}"').strip()


def test_the_standby_has_each_row_before_it_is_acknowledged(site):
    assert followers(site, PRIMARY) == f"{STANDBY.name}|streaming|sync"
    spoken = "SELECT DISTINCT version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL"
    assert site.lab.ssh(PRIMARY, f'{PSQL} "{spoken}"').strip() == "TLSv1.3"


@pytest.mark.parametrize("stopped", SERVERS, ids=lambda host: host.name)
def test_a_login_goes_through_whichever_server_runs(site, ada, stopped):
    site.lab.ssh(stopped, "systemctl stop nginx 4auth-server")
    try:
        assert ada.log_in().startswith(GRANTED)
    finally:
        site.lab.ssh(stopped, "systemctl start 4auth-server nginx")


def test_the_second_time_nothing_changes(site, ada):
    for playbook in ("site.yml", "enrol-kiosk.yml"):
        again = site.play(playbook)
        assert set(again.changed.values()) == {0}, again.said


def test_nobody_else_reaches_the_database(site):
    knock = f"timeout 2 bash -c '</dev/tcp/{PRIMARY.address}/5432' 2>/dev/null && echo open || echo shut"
    assert [site.lab.ssh(host, knock).strip() for host in (SERVER, STANDBY, KIOSK)] == ["open", "open", "shut"]


def test_no_password_is_in_a_journal_or_on_a_command_line(site):
    password = site.lab.ssh(PRIMARY, "cat /etc/4auth/postgresql/password").strip()
    assert len(password) == 64
    for host in HOSTS:
        found = site.lab.ssh(host, f"journalctl --no-pager -q | grep -c {password} || true")
        logs = site.lab.ssh(host, f"grep -rlF {password} /var/log/postgresql 2>/dev/null || true")
        assert (found.strip(), logs) == ("0", "")


def test_a_server_with_the_keys_of_another_site_does_not_start_and_gets_none_over_them(site, ada):
    away = "mv /etc/4auth/keys /etc/4auth/keys.away"
    other = "4auth-provision site init --folder /srv/other --name other --models /var/lib/4auth/models > /dev/null"
    own = "cp -a /srv/other/keys /etc/4auth/keys && cp -a /etc/4auth/keys.away/postgresql.password /etc/4auth/keys/"
    site.lab.ssh(SECOND, f"{other} && {away} && {own}")
    try:
        site.lab.ssh(SECOND, "systemctl restart 4auth-server || true")
        assert site.lab.ssh(SECOND, "systemctl show -P ExecMainStatus 4auth-server").strip() == "78"
        assert "does not fit" in site.lab.ssh(SECOND, "journalctl -u 4auth-server -n 20 -o cat")
        with pytest.raises(PlayFailed, match=f"{SECOND.name} has keys that are not those of {SERVER.name}"):
            site.play("site.yml", "--limit", SECOND.name)
        assert ada.log_in().startswith(GRANTED)
    finally:
        back = "rm -rf /etc/4auth/keys /srv/other && mv /etc/4auth/keys.away /etc/4auth/keys"
        site.lab.ssh(SECOND, f"{back} && systemctl reset-failed 4auth-server && systemctl restart 4auth-server")


def granted_after(seen: Logins, since: float, count: int = 3) -> bool:
    """Whether people who began after a moment were let in."""
    return sum(one["began"] > since for one in seen.granted) >= count


def test_a_server_that_loses_its_power_stops_nobody(site, crowd, tmp_path):
    with crowd.logging_in(tmp_path) as seen:
        wait_until(lambda: len(seen.granted) > 5, "the first logins")
        cut = time.time()
        site.lab.cut(SERVER)
        wait_until(lambda: granted_after(seen, cut), "logins through the other server")
    print(f"{len(seen.refused)} refused, nobody let in for {seen.away_s(cut):.1f} s")
    # Whoever's login was on its way there is told to begin again.
    assert {one["reason"] for one in seen.refused} <= {"ReplyLost"}, seen.refused
    site.lab.boot(SERVER)
    assert_written(site, seen)


def test_a_newer_release_comes_into_force_at_one_server_after_the_other_and_refuses_nobody(
    site, crowd, project_folder, tmp_path
):
    newer = build(project_folder, tmp_path / "newer", NEWER)
    with crowd.logging_in(tmp_path) as seen:
        site.play("upgrade.yml", "-e", f"base_wheelhouse={newer}", timeout_s=1200)
    assert {site.release(host).partition("-")[0] for host in (*SERVERS, KIOSK)} == {NEWER}
    assert seen.refused == []
    assert_written(site, seen)
    assert seen.slowest_s < KIOSKS_PATIENCE_S


def keys_in_use(site: SeveralController) -> list[set[str]]:
    told = [site.provision("keys", "list", on=host)["keys"] for host in SERVERS]
    return [{key["id"] for key in keys if key["state"] == "in-use"} for keys in told]


def test_new_keys_of_all_kinds_refuse_nobody(site, crowd, tmp_path):
    before, _ = keys_in_use(site)
    with crowd.logging_in(tmp_path) as seen:
        site.play("rotate.yml", "-e", "rotate=tls,field,database,audit,assertion", timeout_s=1500)
    first, second = keys_in_use(site)
    assert first == second and len(first) == 4 and not first & before
    assert seen.refused == []
    assert_written(site, seen)
    for host in SERVERS:
        assert site.provision("audit", "verify", on=host)["ok"]
        assert site.provision("keys", "check", on=host)["ok"]


def test_one_server_makes_the_backups_and_brings_the_log_away(site, ada):
    site.play("backup.yml")
    folder = site.inventory.parent
    assert [path.name for path in sorted((folder / "backups").iterdir())] == [SERVER.name]
    assert "follows it (sync)" in site.play("status.yml").said
    timers = "systemctl is-enabled 4auth-backup.timer 4auth-audit-ship.timer || true"
    assert site.lab.ssh(SECOND, timers).split() == ["disabled", "disabled"]


def test_a_new_password_of_the_database_comes_to_all_servers(site, ada):
    read = "cat /etc/4auth/postgresql/password"
    before = site.lab.ssh(PRIMARY, read)
    site.lab.ssh(PRIMARY, "rm /etc/4auth/postgresql/password")
    site.play("site.yml")
    told = [site.lab.ssh(STANDBY, read), *(site.lab.ssh(host, KEPT_PASSWORD) for host in SERVERS)]
    assert set(told) == {site.lab.ssh(PRIMARY, read)} != {before}
    assert ada.log_in().startswith(GRANTED)


def test_a_standby_that_is_not_waited_for_is_not_promoted(site):
    reload = f'{PSQL} "SELECT pg_reload_conf()"'
    site.lab.ssh(PRIMARY, f"""{PSQL} "ALTER SYSTEM SET synchronous_standby_names = ''" && {reload}""")
    try:
        wait_until(lambda: "async" in followers(site, PRIMARY), "a primary that waits for nobody")
        with pytest.raises(PlayFailed, match=f"{STANDBY.name} may lack rows .* does not wait for it .async"):
            site.play("promote.yml", "-e", f"promote={STANDBY.name}")
        with pytest.raises(PlayFailed, match=f"does not wait for its standby: {STANDBY.name}"):
            site.play("status.yml")
    finally:
        site.lab.ssh(PRIMARY, f'{PSQL} "ALTER SYSTEM RESET synchronous_standby_names" && {reload}')
    wait_until(lambda: "|sync" in followers(site, PRIMARY), "a primary that waits for its standby")


def test_a_primary_that_is_lost_takes_no_login_with_it(site, crowd, ada, tmp_path):
    with crowd.logging_in(tmp_path) as seen:
        wait_until(lambda: len(seen.granted) > 5, "the first logins")
        cut = time.time()
        site.lab.cut(PRIMARY)
        site.play("promote.yml", "-e", f"promote={STANDBY.name}")
        promoted = time.time()
        wait_until(lambda: granted_after(seen, promoted), "logins with the other database")
    print(
        f"{len(seen.refused)} refused, nobody let in for {seen.away_s(cut):.1f} s; promoted in {promoted - cut:.1f} s"
    )
    assert_written(site, seen)
    assert ada.log_in().startswith(GRANTED)


def test_a_site_goes_on_without_a_standby_where_the_inventory_says_so(site, ada):
    site.write_inventory(databases=(STANDBY,))
    site.play("site.yml", timeout_s=1200)
    assert ada.log_in().startswith(GRANTED)


def test_newer_rows_never_give_way_to_older_ones(site):
    site.lab.boot(PRIMARY)
    site.write_inventory()
    with pytest.raises(PlayFailed, match=f"{STANDBY.name} was promoted after {PRIMARY.name} had its rows"):
        site.play("site.yml", *BOTH, "-e", f"postgresql_replace={STANDBY.name}")


def test_one_that_comes_back_as_a_primary_gets_nothing_and_becomes_the_standby(site, ada):
    assert ada.log_in().startswith(GRANTED)
    site.write_inventory(databases=(STANDBY, PRIMARY))
    with pytest.raises(PlayFailed, match=f"{PRIMARY.name} has rows of its own"):
        site.play("site.yml", *BOTH)
    assert ada.log_in().startswith(GRANTED)
    site.play("site.yml", "-e", f"postgresql_replace={PRIMARY.name}", timeout_s=1200)
    assert followers(site, STANDBY) == f"{PRIMARY.name}|streaming|sync"
    assert site.lab.ssh(PRIMARY, "ls /var/lib/postgresql/*").split() == ["main"]
    assert ada.log_in().startswith(GRANTED)
    assert site.provision("audit", "verify")["ok"]
    again = site.play("site.yml")
    assert set(again.changed.values()) == {0}, again.said


def test_a_primary_that_was_ended_does_not_come_back_with_its_machine(site, ada):
    site.play("promote.yml", "-e", f"promote={PRIMARY.name}")
    site.lab.cut(STANDBY)
    site.lab.boot(STANDBY)
    unit = "postgresql@$(ls /etc/postgresql)-main"
    assert site.lab.ssh(STANDBY, f"systemctl is-active {unit} || true").strip() == "inactive"
    assert ada.log_in().startswith(GRANTED)
    site.write_inventory()
    with pytest.raises(PlayFailed, match=f"PostgreSQL on {STANDBY.name} does not answer"):
        site.play("site.yml", *BOTH)
    site.play("site.yml", *BOTH, "-e", f"postgresql_replace={STANDBY.name}", timeout_s=1200)
    wait_until(
        lambda: followers(site, PRIMARY) == f"{STANDBY.name}|streaming|sync", "a primary that waits for its standby"
    )
    assert site.lab.ssh(STANDBY, "cat /etc/postgresql/*/main/start.conf").strip() == "auto"
    assert ada.log_in().startswith(GRANTED)


PURGE = "DEBIAN_FRONTEND=noninteractive apt-get -q purge -y 'postgresql*'"


def test_two_lost_databases_are_made_anew_from_a_backup(site, ada):
    site.play("backup.yml")
    backup = max((site.inventory.parent / "backups" / SERVER.name).iterdir())
    for host in (PRIMARY, STANDBY):
        site.lab.ssh(host, f"{PURGE} && rm -rf /etc/4auth /etc/postgresql* /var/lib/postgresql", timeout_s=300)
    site.write_inventory()
    site.play("site.yml", "--limit", f"{PRIMARY.name},{STANDBY.name}")
    files = ("--limit", SERVER.name, "-e", f"restore_backup={backup}")
    site.play("restore.yml", *files)
    assert site.lab.ssh(SERVER, "systemctl is-active 4auth-server || true").strip() != "active"
    site.play("restore.yml", *files, "-e", "restore_accept=true")
    site.play("site.yml")
    assert ada.log_in().startswith(GRANTED)
    for host in SERVERS:
        assert site.lab.ssh(host, "systemctl is-active 4auth-server").strip() == "active"
        assert site.provision("audit", "verify", on=host)["ok"]


def test_one_of_two_servers_goes_alone(site, ada):
    site.play("decommission.yml", "--limit", SECOND.name, "-e", f"decommission={SECOND.name}")
    assert site.lab.ssh(SECOND, "ls -d /etc/4auth /var/lib/4auth /opt/4auth || true") == ""
    site.write_inventory(servers=(SERVER,))
    site.play("site.yml")
    told = tomllib.loads(site.lab.ssh(KIOSK, "cat /etc/4auth/kiosk.toml"))["server"]
    assert told["url"] == f"https://{SERVER.address}:8443"
    assert ada.log_in().startswith(GRANTED)
