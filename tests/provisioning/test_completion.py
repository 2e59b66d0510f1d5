"""Shell completion, driven in the shells that this machine has."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("4auth-provision")

BASH = """
set -u
source {script}
COMP_WORDS=({words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
COMP_LINE="{words}"
COMP_POINT=${{#COMP_LINE}}
complete -p 4auth-provision | grep -o '_[a-z0-9_]*completion' > {folder}/function
compopt() {{ :; }}
COMPREPLY=()
"$(cat {folder}/function)" 4auth-provision
printf '%s\\n' "${{COMPREPLY[@]:-}}"
"""


@pytest.fixture
def script(command, tmp_path):
    def write(shell):
        made = command("completion", shell)
        assert made.exit_code == 0
        path = tmp_path / f"completion.{shell}"
        path.write_text(made.stdout)
        return path

    return write


@pytest.fixture
def complete(script, command, tmp_path):
    """What bash offers for the last of some words."""
    if not PROGRAM.exists():
        pytest.skip("the program is not installed beside this Python")
    path = script("bash")

    def ask(*words, settings=None):
        text = BASH.format(script=path, folder=tmp_path, words=" ".join(word or "''" for word in words))
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-c", text],
            capture_output=True,
            text=True,
            check=True,
            env={
                "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}",
                "FOURAUTH_SETTINGS": str(settings or command.settings),
                "HOME": str(tmp_path),
            },
        )
        assert done.stderr == ""
        return done.stdout.split()

    return ask


def test_bash_takes_the_script_although_the_programs_name_begins_with_a_digit(script):
    subprocess.run(["bash", "-n", script("bash")], check=True)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_take_theirs(script, shell):
    path = script(shell)
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    subprocess.run([shell, "-n", path], check=True)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("4auth-provision", "adm"), ["admin"]),
        (("4auth-provision", "user", "invit"), ["invite", "invites"]),
        (("4auth-provision", "admin", "add", "bob", "--ro"), ["--role"]),
        (("4auth-provision", "admin", "add", "bob", "--role", "su"), ["supervisor"]),
        (("4auth-provision", "completion", ""), ["bash", "zsh", "fish"]),
        (("4auth-provision", "nothing", "at", "al"), []),
    ],
)
def test_commands_options_and_choices_complete(complete, words, offered):
    assert complete(*words) == offered


def test_names_complete_where_the_store_opens(complete, with_ann):
    assert complete("4auth-provision", "user", "show", "") == ["ann"]
    assert complete("4auth-provision", "user", "show", "an") == ["ann"]
    assert complete("4auth-provision", "user", "show", "b") == []
    assert complete("4auth-provision", "kiosk", "show", "lob") == ["lobby-1"]
    assert complete("4auth-provision", "admin", "show", "") == ["admin"]
    assert complete("4auth-provision", "--as", "ad") == ["admin"]
    assert complete("4auth-provision", "user", "invite", "bob", "--kiosk", "l") == ["lobby-1"]


def test_a_new_name_is_not_completed_to_one_that_is_there(complete, with_ann):
    assert complete("4auth-provision", "user", "invite", "an") == []
    assert complete("4auth-provision", "kiosk", "add", "lob") == []


def test_without_a_store_there_are_no_names_and_no_complaint(complete, with_ann, tmp_path):
    assert complete("4auth-provision", "user", "show", "", settings=tmp_path / "absent.toml") == []
    (with_ann.settings.parent / "keys" / "database.key").unlink()
    assert complete("4auth-provision", "user", "show", "") == []


def test_completing_writes_nothing(complete, with_ann):
    before = len(with_ann.audit_rows())
    complete("4auth-provision", "user", "disable", "an")
    assert len(with_ann.audit_rows()) == before


def test_the_script_needs_no_site_and_comes_as_json_too(command, tmp_path):
    command.settings = tmp_path / "absent.toml"
    told = command.json("completion", "bash")
    assert told["shell"] == "bash" and "_4auth_provision_completion" in told["script"]
