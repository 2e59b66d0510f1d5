"""docs/operations.md against the code: each alarm that can be raised is explained, each command can be given."""

import ast
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from auth_contract.actions import Reason
from auth_server.notifications import Event
from kiosk_agent.health import Health
from kiosk_agent.screen import words
from kiosk_agent.settings.network import MacTrait
from kiosk_agent.vitals import FLAGS
from kiosk_agent.vocabulary import CameraState, Cause
from provisioning.__main__ import cli
from tests.systemd.units import UNITS
from tests.test_docs import code

PROJECT = Path(__file__).resolve().parent.parent
ANSIBLE = PROJECT / "ansible"
PAGE = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
TOLD = " ".join(PAGE.split())
SPOKEN = frozenset(re.findall(r"`([^`\n]+)`", PAGE))
"""What stands in the page as code."""

PROGRAMS = ("auth_server", "auth_client", "auth_vision", "kiosk_agent", "provisioning")
DEBIANS = frozenset({"nginx", "chrony", "nftables"})
"""Debian's own units that the page speaks of."""


def trees(*folders: str) -> Iterator[ast.AST]:
    for folder in folders:
        for path in sorted((PROJECT / folder).rglob("*.py")):
            yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def texts(node: ast.expr) -> set[str]:
    """The plain words that an expression can be."""
    if isinstance(node, ast.IfExp):
        return texts(node.body) | texts(node.orelse)
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()


# --- alarms


def logged() -> set[str]:
    """The names under which the programs warn, as `log.warning("name", ...)` spells them."""
    found: set[str] = set()
    for node in trees(*PROGRAMS):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            if node.func.attr in {"warning", "error", "critical"}:
                found |= {text for text in texts(node.args[0]) if re.fullmatch(r"[a-z_]+", text)}
    return {name for name in found if not name.endswith("_works")}


def test_every_warning_of_the_programs_is_explained() -> None:
    events = logged()
    assert {"incident", "clock_state", "server_down", "keypad_fault", "door_guard_died"} <= events
    assert sorted(events - SPOKEN) == []


def parts_of_servers() -> set[str]:
    """The keys of `faults["..."] = ` and of `{"...": ...}` that readiness and warnings are made of."""
    found: set[str] = set()
    for name in ("health.py", "housekeeping.py", "notifier.py", "wsgi.py", "gateway/__main__.py"):
        for node in ast.walk(ast.parse((PROJECT / "auth_server" / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
                target = node.targets[0]
                if "faults" in ast.unparse(target.value):
                    found |= texts(target.slice)
            if isinstance(node, ast.FunctionDef) and node.name in {"warnings", "_told", "_faults"}:
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Dict):
                        found |= {text for key in inner.keys if key is not None for text in texts(key)}
    return found


def test_every_part_that_may_not_be_ready_is_explained() -> None:
    kiosk = Health(lambda: 0.0)
    for name in Health.__dataclass_fields__:
        if name.endswith("_fault"):
            setattr(kiosk, name, "it does not answer")
    servers = parts_of_servers()
    assert servers == {"store", "disk", "audit", "keys", "checkpoints", "clock", "notifications", "presence", "server"}
    assert set(kiosk.faults) == {"camera", "keypad", "door", "server", "clock"}
    section = PAGE.partition("### A server, gateway or kiosk is not ready")[2].partition("\n### ")[0]
    assert sorted((servers | set(kiosk.faults)) - set(re.findall(r"`(\w+)`", section))) == []


@pytest.mark.parametrize(
    "kinds",
    [Event, Reason, Cause, MacTrait, [state for state in CameraState if state is not CameraState.OK], FLAGS.values()],
    ids=["notifications", "reasons", "causes", "MACs", "cameras", "boards"],
)
def test_every_kind_of_alarm_is_explained(kinds: Any) -> None:
    assert [str(kind) for kind in kinds if str(kind) not in SPOKEN] == []


def test_what_a_screen_says_is_quoted_as_it_says_it() -> None:
    for sentence in (*words.CAUSES.values(), words.DISK.partition(": ")[2], words.DEVELOPMENT):
        assert f'"{sentence}"' in TOLD, sentence


def test_every_reason_to_refuse_a_kiosk_is_explained() -> None:
    reasons: set[str] = set()
    for node in ast.walk(ast.parse((PROJECT / "auth_server" / "signature.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "why":
            reasons |= texts(node.value)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "KioskRefused" and node.args:
            reasons |= texts(node.args[0])
    assert len(reasons) == 5
    assert [reason for reason in reasons if f'"{reason.partition(":")[0]}"' not in TOLD] == []


STATUS_ROLES = ("auth_server", "kiosk", "postgresql")


def test_all_that_makes_status_fail_is_explained() -> None:
    told: set[str] = set()
    for role in STATUS_ROLES:
        variable = f"{role}_status_faults"
        for task in yaml.safe_load((ANSIBLE / "roles" / role / "tasks" / "status.yml").read_text()):
            facts = task.get("ansible.builtin.set_fact", {})
            told |= set(
                re.findall(
                    r"'([A-Za-z][^']*: |no [^']+| [a-z][^']+|is a [^']+|does not [^']+| % full)'",
                    facts.get(variable, ""),
                )
            )
    assert {" does not run", " failed", "not ready: ", "no backup of the last two days"} <= told
    assert [phrase for phrase in told if phrase.strip().rstrip(":") not in TOLD] == []
    looked_at = re.findall(r"\b(4auth-[\w-]+\.\w+|nginx\.service|chrony\.service|nftables\.service)", status_tasks())
    assert [unit for unit in looked_at if f"`{unit} does not run`" not in PAGE] == []


def status_tasks() -> str:
    return "".join((ANSIBLE / "roles" / role / "tasks" / "status.yml").read_text() for role in STATUS_ROLES)


def test_every_file_without_which_a_unit_does_not_start_is_named() -> None:
    asserts = ("AssertPathExists", "AssertDirectoryNotEmpty")
    wanted = {path.removeprefix("|") for unit in UNITS.values() for name in asserts for path in unit.all("Unit", name)}
    rows = [line for line in PAGE.splitlines() if line.startswith("| `Assertion failed`")]
    known = {spoken.removesuffix("...") for row in rows for spoken in re.findall(r"`(/[^`]+)`", row.split("|")[1])}
    assert len(wanted) > 10
    assert [path for path in wanted if not any(path.startswith(place) for place in known)] == []


def test_every_unit_leads_to_this_page() -> None:
    for unit in UNITS.values():
        assert "file:///usr/local/share/doc/4auth/operations.md" in (unit.one("Unit", "Documentation") or "").split()


# --- commands


def lines(program: str) -> list[str]:
    """What stands in the page as a command of a program, without what it is joined with."""
    pieces = [part.strip() for piece in code(PAGE) for part in re.split(r"&&|;|(?<!\\)\|", piece)]
    return sorted({piece for piece in pieces if piece.startswith(f"{program} ")})


@pytest.mark.parametrize("line", lines("4auth-provision"))
def test_every_act_of_an_administrator_can_be_given(line: str) -> None:
    found: click.Command = cli
    given = shlex.split(line)[1:]
    while isinstance(found, click.Group):
        assert given, f"{line} is no whole command"
        found = found.commands[given.pop(0)]
    values, left, _ = found.make_parser(click.Context(found)).parse_args(given)
    assert left == []
    wanted = [param.name for param in found.params if param.required]
    assert [name for name in wanted if not values.get(name)] == [], f"{line} lacks an argument"


def test_every_unit_that_a_command_names_is_there() -> None:
    named: set[str] = set()
    for program in ("systemctl", "journalctl"):
        for line in lines(program):
            options = re.findall(r"(?:-u |(?<= ))(4auth-[\w.-]+|nginx|chrony|nftables)(?=\s|$)", line)
            named |= {name if "." in name or name in DEBIANS else f"{name}.service" for name in options}
    assert {"4auth-server.service", "4auth-kiosk.service", "nginx"} <= named
    assert sorted(named - set(UNITS) - DEBIANS) == []


def plays() -> list[str]:
    """Every playbook with its options, with `ansible-playbook` before it or, in a sentence, without."""
    return sorted(
        {piece for piece in code(PAGE) if re.search(r"(^| )[\w-]+\.yml( |$)", piece) and "vault.yml" not in piece}
    )


def inventory_hosts() -> set[str]:
    text = (ANSIBLE / "inventory" / "example" / "hosts.yml").read_text()
    groups = yaml.safe_load(text)["all"]["children"]
    not_every_site_has = set(re.findall(r"#\s+(db-\d):", text))
    return not_every_site_has | {host for group in groups.values() for host in group["hosts"]}


@pytest.mark.parametrize("line", plays())
def test_every_playbook_can_be_given(line: str) -> None:
    given = shlex.split(line)
    (name,) = [word for word in given if word.endswith(".yml")]
    book = ANSIBLE / name
    assert book.is_file()
    for option, value in pairwise(given):
        if option == "--limit":
            assert value in inventory_hosts()
        if option == "-e":
            assert reads(book, value.partition("=")[0]), f"nothing reads {value}"
    options = {word for word in given if word.startswith("-")}
    assert options <= {"-i", "-e", "--limit", "--check", "--diff", "--ask-vault-pass"}


def reads(book: Path, variable: str) -> bool:
    everything = [book, *ANSIBLE.glob("roles/*/tasks/*.yml"), *ANSIBLE.glob("roles/*/meta/*.yml")]
    return any(re.search(rf"\b{variable}\b", path.read_text()) for path in everything)


def test_the_keys_that_rotate_takes_are_all_named() -> None:
    named = re.search(r"difference\(\[(.+)\]\)", (ANSIBLE / "rotate.yml").read_text())
    assert named is not None
    kinds = re.findall(r"'(\w+)'", named[1])
    assert [kind for kind in kinds if kind not in SPOKEN and f"rotate={kind}" not in TOLD] == []


def test_every_place_in_the_page_that_it_leads_to_is_there() -> None:
    heads = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in re.findall(r"^#+ (.+)$", PAGE, re.M)}
    assert sorted(set(re.findall(r"\]\(#([\w-]+)\)", PAGE)) - heads) == []
