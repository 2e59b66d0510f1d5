"""The playbooks and roles by themselves: linted, and each variable explained where an operator looks for it."""

import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from auth_server.key_forms import FORMS, RETIRED_AUDIT
from kiosk_agent.settings import parse_settings
from tests.deploy.test_rolling import DEAF, DUMB, NEWER
from tests.systemd.units import SERVICES

PROJECT = Path(__file__).resolve().parents[2]
ANSIBLE = PROJECT / "ansible"
ROLES = sorted(path.name for path in (ANSIBLE / "roles").iterdir())
PLAYBOOKS = sorted(path.name for path in ANSIBLE.glob("*.yml"))
FULL_NAME = re.compile(r"ansible\.builtin\.\w+")

# What a task may have beside its module.
KEYWORDS = frozenset(
    "name when vars loop loop_control register changed_when failed_when until retries delay no_log notify environment "
    "delegate_to check_mode block rescue listen become throttle ignore_unreachable".split()
)


def options(role: str) -> dict:
    specs = yaml.safe_load((ANSIBLE / "roles" / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    return specs["main"]["options"]


def defaults(role: str) -> dict:
    return yaml.safe_load((ANSIBLE / "roles" / role / "defaults" / "main.yml").read_text())


def tasks() -> list[tuple[str, dict]]:
    found = []
    for path in sorted(
        [*ANSIBLE.glob("roles/*/tasks/*.yml"), *ANSIBLE.glob("roles/*/handlers/*.yml"), *ANSIBLE.glob("*.yml")]
    ):
        for task in yaml.safe_load(path.read_text()):
            found += flat(str(path.relative_to(ANSIBLE)), task)
    return found


def flat(where: str, task: dict) -> list[tuple[str, dict]]:
    inner = [one for name in ("tasks", "block", "rescue") for one in task.get(name, [])]
    own = [] if "hosts" in task or "block" in task else [(where, task)]
    return own + [found for one in inner for found in flat(where, one)]


@pytest.mark.parametrize("role", ROLES)
def test_the_readme_lists_every_variable_with_its_default(role):
    readme = (ANSIBLE / "roles" / role / "README.md").read_text()
    rows = re.findall(r"^\| (`[^|]*`) \| ([^|]*) \|", readme, re.MULTILINE)
    listed = {name: cell.strip() for names, cell in rows for name in re.findall(r"`(\w+)`", names)}
    assert set(options(role)) <= set(listed)
    for name, option in options(role).items():
        if "default" in option and "{{" not in str(option["default"]):
            value = option["default"]
            shown = str(value).lower() if isinstance(value, bool) else str(value)
            assert listed[name] == (f"`{shown}`" if value != "" else "none"), name
        assert name.startswith(f"{role}_")
        assert not ("secret" in name and not option.get("no_log")), f"{name} would be shown"


@pytest.mark.parametrize("role", ROLES)
def test_a_default_stands_in_one_place_and_is_what_the_specification_says(role):
    for name, option in options(role).items():
        if option.get("required"):
            assert name not in defaults(role)
        elif "default" in option and "{{" not in str(option["default"]):
            assert defaults(role)[name] == option["default"], name


def test_modules_are_those_that_ansible_core_brings():
    for where, task in tasks():
        modules = set(task) - KEYWORDS
        assert all(FULL_NAME.fullmatch(module) for module in modules), (where, task["name"], modules)


def speaks(task: dict) -> bool:
    """Whether a task says a sentence, which may name a secret's variable and never its value."""
    said = [task[name] for name in ("ansible.builtin.debug", "ansible.builtin.fail") if name in task]
    return bool(said) and not re.search(r"\{\{[^}]*(_secret|passphrase)\b", str(said))


def test_what_holds_a_secret_is_not_logged():
    spoken = re.compile(
        r"_secret\b|passphrase|first-admin|auth_server_(password|pack|theirs)\b|postgresql/password|cat password"
    )
    for where, task in tasks():
        written = {name: value for name, value in task.items() if name not in ("name", "when", "notify", "vars")}
        if spoken.search(str(written)) and not speaks(task) and "loop" not in task:
            is_path = "/etc/4auth/admin.secret" in str(written) and "content" not in str(written)
            assert task.get("no_log") or is_path or "include" in str(set(task)), (where, task["name"])


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_every_playbook_says_at_its_head_what_it_does_and_stands_in_the_readme(playbook):
    assert (ANSIBLE / playbook).read_text().startswith("---\n# ")
    assert f"| `{playbook}` |" in (ANSIBLE / "README.md").read_text()


EXAMPLES = ("group_vars/kiosks/main.yml", "host_vars/gate-1.yml")


@pytest.mark.parametrize("path", EXAMPLES)
def test_a_kiosk_takes_the_settings_of_the_example(path):
    given = yaml.safe_load((ANSIBLE / "inventory" / "example" / path).read_text())["kiosk_settings"]
    of_the_role = {
        "kiosk_id": "lobby-1",
        "site": "head-office",
        "key_file": "/var/lib/4auth/kiosk/device.pem",
        "interface": "eth0",
        "server": {"url": "https://192.0.2.11:8443", "pins": ["0" * 64]},
    }
    parse_settings({**of_the_role, **given})


def test_the_example_has_two_servers_and_three_kiosks_each_with_its_server():
    groups = yaml.safe_load((ANSIBLE / "inventory" / "example" / "hosts.yml").read_text())["all"]["children"]
    servers, kiosks = groups["servers"]["hosts"], groups["kiosks"]["hosts"]
    assert (len(servers), len(kiosks)) == (2, 3)
    assert {kiosk["kiosk_server"] for kiosk in kiosks.values()} == set(servers)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("slip", "said"),
    [("", None), ("        lobby-1: {ansible_host: 192.0.2.99}\n", "duplicate mapping key 'lobby-1'")],
    ids=["with its backups beside it", "a host that stands there twice"],
)
def test_an_inventory_is_read_whole_or_not_at_all(tmp_path, slip, said):
    site = shutil.copytree(ANSIBLE / "inventory" / "example", tmp_path / "site")
    for kept in ("backups/auth-1/one.4auth-backup", "keys/auth-1/one.vault", "audit/auth-1/audit-1-9-ab.jsonl"):
        (site / kept).parent.mkdir(parents=True)
        (site / kept).write_text("no inventory\n")
    with (site / "hosts.yml").open("a") as hosts:
        hosts.write(slip)
    done = deploy_program(tmp_path, "ansible-inventory", "-i", site, "--graph")
    if said is None:
        assert (done.returncode, done.stdout.count("--lobby-")) == (0, 2), done.stderr
    else:
        assert done.returncode != 0 and said in " ".join(done.stderr.split())


ONE_SITE = {"auth_server_site": "office"}
SHARED = {**ONE_SITE, "auth_server_store": "postgresql"}
THERE = {**SHARED, "auth_server_postgresql": {"hosts": ["db.example"], "root_certificate": __file__}}
DATABASE = {"db-1": {"base_allow": []}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("servers", "databases", "said"),
    [
        ({"a": ONE_SITE, "b": {"auth_server_site": "plant"}}, {}, None),
        ({"a": SHARED, "b": SHARED}, DATABASE, None),
        ({"a": {**THERE, "auth_server_postgresql_secret": "x"}}, {}, None),
        ({"a": ONE_SITE, "b": ONE_SITE}, {}, "a and b are servers of one site, office, and each would have a store"),
        (
            {"a": SHARED, "b": ONE_SITE},
            DATABASE,
            "a and b are servers of one site, office, and each would have a store",
        ),
        ({"a": SHARED}, {}, "auth_server_store of a is postgresql: name the database"),
        ({"a": {**THERE, "auth_server_postgresql_secret": "x"}}, DATABASE, "is there already; not both"),
        ({"a": THERE}, {}, "The database on db.example needs a password"),
        (
            {
                "a": {
                    **SHARED,
                    "auth_server_postgresql": {"hosts": ["db.example"]},
                    "auth_server_postgresql_secret": "x",
                }
            },
            {},
            "a file on the controller by which it is proved",
        ),
        ({"a": SHARED, "b": {**SHARED, "auth_server_site": "plant"}}, DATABASE, "office and plant are two sites"),
    ],
)
def test_servers_that_cannot_be_one_site_are_refused(tmp_path, servers, databases, said):
    groups = {"servers": {"hosts": servers}, **({"databases": {"hosts": databases}} if databases else {})}
    inventory = {"all": {"vars": {"ansible_connection": "local"}, "children": groups}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
    role = {"name": "Look", "ansible.builtin.include_role": {"name": "auth_server", "tasks_from": "preflight"}}
    play = {"name": "Look", "hosts": "servers", "gather_facts": False, "tasks": [role]}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    done = deploy_program(tmp_path, "ansible-playbook", "-i", tmp_path / "hosts.yml", tmp_path / "play.yml")
    assert (done.returncode == 0) == (said is None), done.stdout + done.stderr
    assert said is None or said in " ".join((done.stdout + done.stderr).split())


PAIR = {
    name: {"ansible_connection": "local", "ansible_host": address, "base_allow": []}
    for name, address in (("db-1", "192.0.2.41"), ("db-2", "192.0.2.42"))
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--limit", "db-1"), "db-2 cannot be reached, or --limit leaves it out"),
        (
            ("-e", "postgresql_replace=true"),
            "postgresql_replace = true: the name of the host whose database is given up",
        ),
        (("-e", "postgresql_replace=db-1"), "can only be the second of the group databases, db-2"),
        (("-e", "postgresql_replace=db-2"), "No server's store would be in db-1"),
    ],
)
def test_databases_that_cannot_be_settled_are_refused(tmp_path, options, said):
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": {"databases": {"hosts": PAIR}}}}))
    role = {"name": "Look", "ansible.builtin.include_role": {"name": "postgresql", "tasks_from": "preflight"}}
    play = {"name": "Look", "hosts": "databases", "gather_facts": False, "tasks": [role]}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    done = deploy_program(tmp_path, "ansible-playbook", "-i", tmp_path / "hosts.yml", tmp_path / "play.yml", *options)
    assert done.returncode != 0 and said in " ".join((done.stdout + done.stderr).split())


def rendered(folder: Path, role: str, template: str, host: str, groups: dict, **given: object) -> list[str]:
    """The lines that a role's template has on a host of an inventory, where its tasks found what is given."""
    own = yaml.safe_load((ANSIBLE / "roles" / role / "vars" / "main.yml").read_text())
    written = {"src": str(ANSIBLE / "roles" / role / "templates" / template), "dest": str(folder / "rendered")}
    tasks = [{"name": "Write", "ansible.builtin.template": {**written, "mode": "0600"}}]
    play = {"hosts": host, "gather_facts": False, "vars": {**defaults(role), **own, **given}, "tasks": tasks}
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": groups}}))
    (folder / "play.yml").write_text(yaml.safe_dump([{"name": "Look", **play}]))
    done = deploy_program(folder, "ansible-playbook", "-i", folder / "hosts.yml", folder / "play.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / "rendered").read_text().splitlines()


WAITS = """synchronous_standby_names = 'FIRST 1 ("db-2")'"""
WAITS_NOT = "synchronous_standby_names = ''"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "follows", "given", "line"),
    [
        (WAITS_NOT, True, {}, WAITS_NOT),
        (WAITS_NOT, True, {"postgresql_waits": True}, WAITS),
        (WAITS, True, {}, WAITS),
        (WAITS, False, {}, WAITS_NOT),
        (WAITS, True, {"postgresql_replace": "db-2"}, WAITS_NOT),
        (WAITS, True, {"postgresql_synchronous": False}, WAITS_NOT),
        (WAITS.replace("db-2", "db-3"), True, {}, WAITS_NOT),
    ],
    ids=[
        "never before it follows",
        "once it follows",
        "still where it is away for a while",
        "not where it is new",
        "not while it is made anew",
        "not where nobody wants it",
        "not because of another",
    ],
)
def test_a_primary_waits_for_its_standby(tmp_path, before, follows, given, line):
    hosts = {name: {**host, "postgresql_signal": {"stat": {"exists": follows}}} for name, host in PAIR.items()}
    found = {"postgresql_before": {"stdout": before}, **given}
    told = rendered(tmp_path, "postgresql", "postgresql.conf.j2", "db-1", {"databases": {"hosts": hosts}}, **found)
    assert [one for one in told if one.startswith("synchronous_standby_names")] == [line]


@pytest.mark.slow
def test_a_database_lets_networks_in_and_single_addresses(tmp_path):
    allowed = [
        {"what": "servers", "port": 5432, "from": ["192.0.2.11", "192.0.2.0/24", "fd00::11", "fd00::/64"]},
        {"what": "others", "port": 8443, "from": ["192.0.2.99"]},
    ]
    hosts = {"db-1": {**PAIR["db-1"], "base_allow": allowed}}
    told = rendered(tmp_path, "postgresql", "pg_hba.conf.j2", "db-1", {"databases": {"hosts": hosts}})
    networks = ["192.0.2.11/32", "192.0.2.0/24", "fd00::11/128", "fd00::/64"]
    ways = [f"hostssl fourauth fourauth {network} scram-sha-256" for network in networks]
    assert [line for line in told if not line.startswith(("#", "local"))] == ways


@pytest.mark.slow
@pytest.mark.parametrize("template", ["reaches.conf.j2", "waits.conf.j2"])
@pytest.mark.parametrize(
    ("named", "databases", "addresses"),
    [
        ({}, PAIR, ["192.0.2.41", "192.0.2.42"]),
        ({}, {"db-1": {**PAIR["db-1"], "ansible_host": "fd00::41"}}, ["fd00::41"]),
        (
            {"hosts": ["192.0.2.43", "192.0.2.44:5433", "[fd00::45]:5433", "[fd00::46]"]},
            {},
            ["192.0.2.43", "192.0.2.44", "fd00::45", "fd00::46"],
        ),
        ({"hosts": ["db.example", "db.cafe:5432", "/run/postgresql"]}, {}, []),
    ],
    ids=["its own databases", "its own database by IPv6", "addresses", "names"],
)
def test_units_may_speak_with_the_database_wherever_it_is(tmp_path, template, named, databases, addresses):
    server = {**SHARED, "ansible_connection": "local"}
    groups = {"servers": {"hosts": {"a": server}}, **({"databases": {"hosts": databases}} if databases else {})}
    given = {"auth_server_postgresql": named, "auth_server_store": "postgresql"}
    told = rendered(tmp_path, "auth_server", template, "a", groups, **given)
    allowed = [line.removeprefix("IPAddressAllow=") for line in told if line.startswith("IPAddressAllow=")]
    assert [address for address in allowed if " " not in address] == addresses


def deploy_program(home: Path, name: str, *words: object) -> "subprocess.CompletedProcess[str]":
    """Run one of Ansible's programs as a controller does."""
    subprocess.run([PROJECT / "scripts" / "deploy_venv.sh"], check=True)
    program = PROJECT / ".cache" / "deploy" / "venv" / "bin" / name
    around = {
        "HOME": str(home),
        "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
        "LANG": "C.UTF-8",
        "ANSIBLE_NOCOLOR": "1",
    }
    return subprocess.run([program, *words], env=around, cwd=home, capture_output=True, text=True)


def test_servers_of_one_site_have_every_key_of_it():
    shared = yaml.safe_load((ANSIBLE / "roles" / "auth_server" / "vars" / "main.yml").read_text())[
        "auth_server_same_files"
    ]
    kept = {path.removeprefix("keys/") for path in shared.split() if path.startswith("keys/")}
    assert kept == {form.file for form in [*FORMS.values(), RETIRED_AUDIT]}


def test_what_has_no_network_speaks_for_a_shared_store_with_whom_the_server_may():
    lines = (ANSIBLE / "roles" / "auth_server" / "templates" / "reaches.conf.j2").read_text().splitlines()
    server = SERVICES["4auth-server.service"]
    assert f"IPAddressAllow={server.one('Service', 'IPAddressAllow')}" in lines
    for unit in ("4auth-backup.service", "4auth-audit-ship.service"):
        assert SERVICES[unit].one("Service", "PrivateNetwork") == "yes"
        closed, opened = SERVICES[unit].one("Service", "RestrictAddressFamilies"), "AF_INET AF_INET6"
        assert f"RestrictAddressFamilies={opened}" in lines
        assert set(f"{closed} {opened}".split()) == set(
            (server.one("Service", "RestrictAddressFamilies") or "").split()
        )


@pytest.mark.parametrize(
    ("template", "unit", "was", "becomes"),
    [
        (
            "as.conf.j2",
            "4auth-backup",
            " backup make",
            " --as {{ auth_server_as }} --secret-file %d/admin.secret backup make",
        ),
        ("ship.conf.j2", "4auth-audit-ship", "/var/lib/4auth/shipped", "{{ auth_server_ship_to }}"),
    ],
)
def test_what_a_site_adds_to_a_unit_begins_with_the_units_own_command(template, unit, was, becomes):
    own = SERVICES[f"{unit}.service"].one("Service", "ExecStart")
    lines = (ANSIBLE / "roles" / "auth_server" / "templates" / template).read_text().splitlines()
    assert was in own and [line for line in lines if line.startswith("ExecStart=/")] == [
        f"ExecStart={own.replace(was, becomes)}"
    ]


def test_the_releases_of_the_drills_are_newer_than_the_checkouts():
    assert metadata.version("fourauth") < NEWER < DEAF < DUMB


@pytest.mark.slow
def test_the_linters_have_nothing_to_say(tmp_path):
    subprocess.run([PROJECT / "scripts" / "deploy_venv.sh"], check=True)
    programs = PROJECT / ".cache" / "deploy" / "venv" / "bin"
    around = {"HOME": str(tmp_path), "PATH": f"{programs}:/usr/bin:/bin", "LANG": "C.UTF-8"}
    for words in (["ansible-lint", "--offline", "-q", "--profile", "production"], ["yamllint", "--strict", "."]):
        done = subprocess.run(words, cwd=ANSIBLE, env=around, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
