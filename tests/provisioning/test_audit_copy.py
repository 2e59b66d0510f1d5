"""`audit copy-checkpoints`: the copy grows with the file, and keeps what somebody took out of it."""

from pathlib import Path

import pytest

NEW = b'{"head":"later"}\n'


@pytest.fixture
def source(command) -> Path:
    with command.desk().site() as site:
        return site.settings.store.checkpoints


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy.jsonl"


def test_it_is_made_and_then_grows(command, source, copy) -> None:
    assert command.json("audit", "copy-checkpoints", "--to", str(copy))["lines"] == source.read_bytes().count(b"\n") > 0
    assert copy.stat().st_mode & 0o777 == 0o600
    before = source.read_bytes()
    source.write_bytes(before + NEW)
    told = command("audit", "copy-checkpoints", "--to", str(copy))
    assert "1 lines more" in told.stdout and f"Newest: {NEW.decode().strip()}" in told.stdout
    assert command.json("audit", "copy-checkpoints", "--to", str(copy))["lines"] == 0
    assert copy.read_bytes() == before + NEW


def test_a_line_that_is_being_written_is_taken_when_it_is_whole(command, source, copy) -> None:
    before = source.read_bytes()
    source.write_bytes(before + NEW[:5])
    command.json("audit", "copy-checkpoints", "--to", str(copy))
    assert copy.read_bytes() == before
    source.write_bytes(before + NEW)
    command.json("audit", "copy-checkpoints", "--to", str(copy))
    assert copy.read_bytes() == before + NEW


def test_a_copy_that_was_broken_off_goes_on(command, source, copy) -> None:
    copy.write_bytes(source.read_bytes()[:-7])
    command.json("audit", "copy-checkpoints", "--to", str(copy))
    assert copy.read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [lambda text: b"", lambda text: text[:-1], lambda text: text.replace(b"1", b"2"), lambda text: NEW + text],
    ids=["emptied", "cut", "rewritten", "another's"],
)
def test_what_was_taken_out_stays_in_the_copy_and_is_told(command, source, copy, damage) -> None:
    source.write_bytes(source.read_bytes() + NEW)
    command.json("audit", "copy-checkpoints", "--to", str(copy))
    held = copy.read_bytes()
    source.write_bytes(damage(held))
    refused = command("audit", "copy-checkpoints", "--to", str(copy))
    assert refused.exit_code == 1
    assert "does not go on from its copy" in refused.stderr
    assert copy.read_bytes() == held


def test_it_needs_no_key(command, source, copy) -> None:
    with command.desk().site() as site:
        keys = site.settings.store.keys
    keys.rename(keys.with_name("elsewhere"))
    assert command.json("audit", "copy-checkpoints", "--to", str(copy))["lines"] > 0


@pytest.mark.parametrize("missing", ["the file", "the folder"])
def test_what_is_not_there_is_named(command, source, copy, missing) -> None:
    if missing == "the file":
        source.unlink()
    refused = command("audit", "copy-checkpoints", "--to", str(copy if missing == "the file" else copy / "x"))
    assert refused.exit_code == 1
    assert "No such file or directory" in refused.stderr


def test_from_standard_input_it_needs_not_even_settings(command, source, copy, tmp_path) -> None:
    held = source.read_bytes()
    words = ("--settings", tmp_path / "none.toml", "audit", "copy-checkpoints", "--from", "-", "--to", copy)
    with source.open("rb") as opened:
        assert command(*words, typed=opened).exit_code == 0
    assert copy.read_bytes() == held
