"""The documents say what is so: tests, actions, commands, settings, figures and links that they name are there."""

import argparse
import ast
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest

from auth_contract.wire import WIRE_REQUESTS
from auth_server import wsgi
from auth_server.gateway import __main__ as gateway_command
from auth_server.gateway.settings import LimitSettings
from auth_server.policy import POLICY
from kiosk_agent import __main__ as kiosk_command
from kiosk_agent.settings import KioskSettings, parse_settings
from provisioning.__main__ import cli

PROJECT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(
    [
        *PROJECT.glob("*.md"),
        *(PROJECT / "docs").glob("*.md"),
        PROJECT / "systemd" / "README.md",
        *(PROJECT / "ansible").rglob("README.md"),
    ]
)
README = (PROJECT / "README.md").read_text(encoding="utf-8")
GATEWAY = (PROJECT / "docs" / "gateway.md").read_text(encoding="utf-8")
THREATS = (PROJECT / "docs" / "threats.md").read_text(encoding="utf-8")
KIOSK_TOML = PROJECT / "docs" / "kiosk.toml"
CALIBRATION = json.loads((PROJECT / "auth_server" / "face" / "calibration.json").read_text(encoding="utf-8"))

_TEST_ID = re.compile(r"`(tests/[\w/]+\.py::[\w:]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PROGRAM = re.compile(r"\b4auth-(server|kiosk|provision)\b")

every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))


def code(text: str) -> Iterator[str]:
    """Every line of an indented block and every piece of inline code."""
    for line in text.splitlines():
        if line.startswith("    "):
            yield line.strip()
        yield from re.findall(r"`([^`]+)`", line)


# --- tests


@cache
def names_in(path: Path) -> frozenset[str]:
    """The names of a file's tests, those of a class as `TestClass::test_name`."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{member.name}" for member in node.body if isinstance(member, ast.FunctionDef)}
    return frozenset(name for name in found if name.rpartition(":")[2].startswith("test_"))


def test_every_test_that_a_document_names_exists() -> None:
    named = {name for path in DOCUMENTS for name in _TEST_ID.findall(path.read_text(encoding="utf-8"))}
    assert len(named) > 80
    lost = []
    for name in sorted(named):
        file, _, test = name.partition("::")
        if not (PROJECT / file).is_file() or test not in names_in(PROJECT / file):
            lost.append(name)
    assert lost == []


def test_every_claim_names_its_test() -> None:
    claims = THREATS.partition("## Claims")[2].partition("\n## ")[0]
    rows = [line for line in claims.splitlines() if line.startswith("| ") and not line.startswith("| claim")]
    assert len(rows) > 40
    assert [row for row in rows if not _TEST_ID.search(row)] == []


def test_each_of_the_old_faults_is_kept_out_or_said_to_wait() -> None:
    faults = re.findall(r"^\| (\d+) \| .+ \| (.+) \|$", THREATS, re.MULTILINE)
    assert [int(number) for number, _ in faults] == list(range(1, 32))
    assert [answer for _, answer in faults if not (_TEST_ID.search(answer) or "not built yet" in answer)] == []


# --- actions and figures


def test_the_readme_lists_every_action_with_its_factors() -> None:
    table = README.partition("## Actions")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\w+) \| ([\w, ]+) \|$", table, re.MULTILINE)
    listed = {action: tuple(factors.split(", ")) for action, factors in rows if action != "action"}
    assert listed == {
        action.value: tuple(factor.value for factor in policy.factors) for action, policy in POLICY.items()
    }


def percent(rate: float) -> str:
    return f"{rate * 100:.3g} %"


def test_the_presence_figures_are_the_measured_ones() -> None:
    measured = CALIBRATION["presence"]
    attacks, live = measured["attacks"], measured["live"]
    assert attacks["error_rate"] == 0
    for figure in (
        f"{attacks['submissions']} submissions",
        f"{live['submissions']} submissions",
        percent(live["error_rate"]),
        percent(attacks["upper_95_by_presentation"]),
        percent(live["upper_95_by_presentation"]),
    ):
        assert figure in THREATS, figure


def test_the_match_figures_are_the_measured_ones() -> None:
    measured = CALIBRATION["match"]
    point = measured["operating_points"]["1e-4"]
    told = " ".join(README.split())
    for figure in (
        f"{measured['pictures']:,} pictures of {measured['people']} people",
        f"{measured['stranger_comparisons']:,}",
        f"{point['fmr'] * 10_000:.3g} of 10,000",
        f"{point['fmr_upper_95'] * 10_000:.3g} of 10,000",
        percent(point["fnmr"]),
        percent(point["fnmr_upper_95"]),
    ):
        assert figure in told, figure
    assert f"{measured['stranger_comparisons']:,}" in THREATS


# --- commands


def test_every_make_target_that_a_document_names_exists_and_is_listed() -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    listed = set(re.findall(r"^([a-z0-9-]+):.*## ", makefile, re.MULTILINE))
    named = {
        target
        for path in DOCUMENTS
        for piece in code(path.read_text(encoding="utf-8"))
        for target in re.findall(r"^make ([a-z0-9-]+)", piece)
    }
    assert {"demo", "test", "run", "bench"} <= named
    assert named <= listed


def commands_named() -> list[str]:
    pieces = {piece for path in DOCUMENTS for piece in code(path.read_text(encoding="utf-8"))}
    return sorted(piece for piece in pieces if re.match(r"4auth-(server|gateway|kiosk|provision) ", piece))


def options_of(parser: argparse.ArgumentParser, words: list[str]) -> set[str]:
    known = {option for action in parser._actions for option in action.option_strings}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word in words:
                if word in action.choices:
                    known |= options_of(action.choices[word], words)
    return known


def provisioning_command(words: list[str]) -> click.Command:
    found: click.Command = cli
    for word in words:
        if isinstance(found, click.Group) and not word.startswith("-"):
            assert word in found.commands, f"there is no command {word!r} in {' '.join(words)}"
            found = found.commands[word]
    return found


PARSERS = {
    "4auth-server": wsgi._parser,
    "4auth-gateway": gateway_command._parser,
    "4auth-kiosk": kiosk_command._parser,
}


@pytest.mark.parametrize("line", commands_named())
def test_every_command_that_a_document_shows_can_be_given(line: str) -> None:
    program, *words = shlex.split(line)
    given = {word for word in words if word.startswith("--")}
    if program == "4auth-provision":
        params = provisioning_command(words).params
        known = {option for param in params for option in (*param.opts, *param.secondary_opts)}
    else:
        parser = PARSERS[program]()
        if program == "4auth-kiosk" and words and not words[0].startswith("-"):
            assert words[0] in {"identity", "hardware", "door"}
        known = options_of(parser, words)
    assert given <= known | {"--help"}


# --- the kiosk's settings


def kiosk_toml() -> dict[str, Any]:
    return tomllib.loads(KIOSK_TOML.read_text(encoding="utf-8"))


def test_the_kiosk_settings_to_start_from_are_accepted_in_production() -> None:
    settings = parse_settings(kiosk_toml())
    assert (settings.environment, settings.unsafe_variants) == ("production", ())


def test_the_kiosk_settings_to_start_from_show_every_setting_with_its_default() -> None:
    written, settings = kiosk_toml(), parse_settings(kiosk_toml())
    in_effect = settings.model_dump(mode="json")
    development_only = {"mac_override", "clock_offset_s"}
    assert set(written) == set(KioskSettings.model_fields) - development_only
    assert "\n# models = " in KIOSK_TOML.read_text(encoding="utf-8"), "TOML has no word for none"
    in_effect["capture"].pop("models")
    for name in (
        "server",
        "session",
        "capture",
        "camera",
        "keypad",
        "screen",
        "door",
        "speech",
        "indicators",
        "health",
    ):
        assert set(written[name]) == set(in_effect[name]), name
    for name in ("server", "session", "capture", "camera"):
        for key, field in type(getattr(settings, name)).model_fields.items():
            if not field.is_required() and field.default is not None:
                assert written[name][key] == field.default, f"{name}.{key}"


def kiosk_examples() -> list[tuple[str, str]]:
    """The other kinds of keypad, screen, door and lights that stand in comments, each with its section's name."""
    found = []
    for section in ("keypad", "screen", "door", "indicators"):
        text = KIOSK_TOML.read_text(encoding="utf-8").partition(f"\n[{section}]\n")[2].partition("\n[")[0]
        for kind in text.split("\n# kind = ")[1:]:
            lines = [line for line in f"# kind = {kind}".splitlines() if re.match(r"# [A-Za-z_.]+ = ", line)]
            found.append((section, "\n".join(line.removeprefix("# ") for line in lines)))
    return found


# Of these pairs a section takes one; the examples show both.
EITHER, OR = {"device", "pins", "led"}, {"name", "ca_file", "rgb"}


@pytest.mark.parametrize("left_out", [EITHER, OR], ids=["one way", "the other"])
@pytest.mark.parametrize(("section", "text"), kiosk_examples())
def test_each_example_of_another_kind_is_good(section: str, text: str, left_out: set[str]) -> None:
    members = {name: value for name, value in tomllib.loads(text).items() if name not in left_out}
    assert getattr(parse_settings(kiosk_toml() | {section: members}), section).kind == members["kind"]


# --- the gateway


def test_the_wire_protocol_is_documented_as_it_is() -> None:
    rows = re.findall(r'^\| `"(\d+)"` \| [\w ]+ \| (.+) \|$', GATEWAY, re.MULTILINE)
    listed = {code: set(re.findall(r"`(\w+)`", members)) for code, members in rows}
    assert listed == {code: set(model.model_fields) - {"cmd"} for code, model in WIRE_REQUESTS.items()}


def test_every_limit_of_the_gateway_is_listed_with_its_default() -> None:
    table = GATEWAY.partition("## Limits")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+`) \| ([\w, ]+) \|", table, re.MULTILINE)
    listed = {
        name: value
        for names, values in rows
        for name, value in zip(re.findall(r"`(\w+)`", names), values.split(", "), strict=True)
    }
    limits = LimitSettings().model_dump()
    assert set(listed) == set(limits)
    for name, value in listed.items():
        number, _, unit = value.partition(" ")
        assert float(number) * (1024 * 1024 if unit == "MiB" else 1) == limits[name], name


# --- links and names


@every_document
def test_relative_links_lead_somewhere(path: Path) -> None:
    links = _LINK.findall(path.read_text(encoding="utf-8"))
    relative = [link.partition("#")[0] for link in links if "://" not in link and not link.startswith("#")]
    assert [link for link in relative if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", [*DOCUMENTS, KIOSK_TOML], ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_document_names_no_machine_and_no_registry(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    foreign = r"/(?:home|root|tmp|Users|mnt)/|[a-z.]*(?:py|npm|deb)[a-z.]*\.(?:org|com|io)\b|index-url|[A-Z]:\\"
    assert re.findall(foreign, text) == []


@every_document
def test_no_placeholder_is_left(path: Path) -> None:
    assert re.findall(r"@[A-Z]+@|\bTODO\b|\bTBD\b|\bFIXME\b", path.read_text(encoding="utf-8")) == []
