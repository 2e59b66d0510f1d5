"""What holds for every command."""

import resource
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from auth_server.admins import Role
from provisioning.__main__ import cli
from provisioning.output import escape
from provisioning.roles import MAY_RUN, NAMELESS

PROJECT = Path(__file__).resolve().parents[2]


def commands(
    command: click.Command = cli, path: tuple[str, ...] = ()
) -> Iterator[tuple[click.Command, tuple[str, ...]]]:
    yield command, path
    for name, below in command.commands.items() if isinstance(command, click.Group) else ():
        yield from commands(below, (*path, name))


ALL = [path for _, path in commands()]
LEAVES = [path for command, path in commands() if not isinstance(command, click.Group)]


def test_these_are_the_commands():
    """The table of roles names each, and none besides."""
    assert {" ".join(path) for path in LEAVES} == NAMELESS | MAY_RUN[Role.ADMIN]


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_has_an_example_of_that_very_command(path):
    result = CliRunner().invoke(cli, [*path, "--help"])
    assert result.exit_code == 0
    example = result.stdout.partition("Example:")[2]
    assert f"4auth-provision {' '.join(path)}".strip() in example or "site pin" in example


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_has_json_and_settings(path):
    text = CliRunner().invoke(cli, [*path, "--help"]).stdout
    assert "--json" in text and "--settings" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["site", "destroy"], "No such command 'destroy'"),
        (["kiosk", "add"], "Missing argument 'ID'"),
        (["kiosk", "list", "--loud"], "No such option"),
    ],
)
def test_wrong_usage_exits_2(arguments, message):
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2 and message in result.stderr


def test_options_may_stand_before_or_after_the_command(with_kiosk):
    settings = with_kiosk.settings
    with_kiosk.settings = settings.parent / "another.toml"
    before = with_kiosk("--settings", settings, "--json", "kiosk", "list")
    after = with_kiosk("kiosk", "list", "--settings", settings, "--json")
    assert before.exit_code == after.exit_code == 0
    assert before.stdout == after.stdout and before.stdout.startswith("{")


def test_the_settings_file_comes_from_the_environment(with_kiosk):
    result = CliRunner().invoke(cli, ["kiosk", "list"], env={"FOURAUTH_SETTINGS": str(with_kiosk.settings)})
    assert result.exit_code == 0 and "lobby-1" in result.stdout


def test_it_runs_as_a_process_of_its_own():
    run = subprocess.run(
        [sys.executable, "-m", "provisioning", "--version"], capture_output=True, text=True, cwd=PROJECT, check=False
    )
    assert run.returncode == 0 and run.stdout.startswith("4auth-provision, version ")


SHOW_LIMIT = """
import resource
from provisioning.__main__ import main
try:
    main()
finally:
    print(resource.getrlimit(resource.RLIMIT_CORE))
"""


def test_the_kernel_may_write_no_core_file():
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard == 0:
        pytest.skip("this machine allows no core files at all")
    run = subprocess.run(
        [sys.executable, "-c", SHOW_LIMIT, "--version"],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (hard, hard)),
    )
    assert run.stdout.splitlines()[-1] == "(0, 0)"


def test_help_names_the_exit_codes():
    told = " ".join(CliRunner().invoke(cli, ["--help"]).stdout.split())
    assert "78 settings, keys, database or models must be mended first" in told


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zoë O'Neil", "Zoë O'Neil"),
        ("名前", "名前"),
        ("a\nb", "a\\nb"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\x9bb", "a\\x9bb"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u2028b", "a\\u2028b"),
        ("a\U000e0041b", "a\\U000e0041b"),
        ("a\ud800b", "a\\ud800b"),
    ],
)
def test_escape(text, shown):
    assert escape(text) == shown


@given(st.text())
@example("\x1b[2J\x1b]0;owned\x07")
@example("a\u202eb\u2066c\u200bd\n\r\t\x7f\x9b\u2028")
def test_what_is_shown_controls_no_terminal(text: str):
    told = escape(text)
    assert not [c for c in told if unicodedata.category(c)[0] == "C" or c in "\u2028\u2029"]
    if text.isprintable():
        assert told == text
