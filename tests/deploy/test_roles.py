"""The playbooks and roles by themselves: linted, and each variable explained where an operator looks for it."""

import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
import yaml

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
    "delegate_to check_mode block rescue listen become".split()
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
    spoken = re.compile(r"_secret\b|passphrase|first-admin")
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
    subprocess.run([PROJECT / "scripts" / "deploy_venv.sh"], check=True)
    site = shutil.copytree(ANSIBLE / "inventory" / "example", tmp_path / "site")
    for kept in ("backups/auth-1/one.4auth-backup", "keys/auth-1/one.vault", "audit/auth-1/audit-1-9-ab.jsonl"):
        (site / kept).parent.mkdir(parents=True)
        (site / kept).write_text("no inventory\n")
    with (site / "hosts.yml").open("a") as hosts:
        hosts.write(slip)
    program = PROJECT / ".cache" / "deploy" / "venv" / "bin" / "ansible-inventory"
    around = {"HOME": str(tmp_path), "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"), "LANG": "C.UTF-8"}
    done = subprocess.run([program, "-i", site, "--graph"], env=around, cwd=tmp_path, capture_output=True, text=True)
    if said is None:
        assert (done.returncode, done.stdout.count("--lobby-")) == (0, 2), done.stderr
    else:
        assert done.returncode != 0 and said in " ".join(done.stderr.split())


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
