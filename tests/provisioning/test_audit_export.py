"""`audit export` and `audit verify --export`: the log proved on a machine that has neither store nor keys."""

import json
from pathlib import Path

import pytest

from auth_server.audit import AuditLog
from auth_server.domain import AuditEntry
from provisioning.params import encode_public_key


@pytest.fixture
def log(with_kiosk):
    """Rows 1 and 2 are administrative; then eight logins, one an hour, two of each are signed together."""
    for number in range(8):
        with_kiosk.clock.pass_(hours=1)
        with with_kiosk.desk().site() as site:
            entry = AuditEntry("login", False, "denied", "bob" if number % 2 else "ann", "lobby-1", None, {"n": number})
            AuditLog(site.database).record(entry, with_kiosk.clock())
    return with_kiosk


@pytest.fixture
def elsewhere(log, tmp_path):
    """The command on a machine that has no site."""
    log.settings = tmp_path / "nowhere" / "server.toml"
    return log


def rows_of(path: Path) -> list[int]:
    return [line["id"] for line in map(json.loads, path.read_text().splitlines()) if line["kind"] == "row"]


def test_a_whole_export_is_proved_elsewhere(log, tmp_path):
    path = tmp_path / "all.jsonl"
    told = log.json("audit", "export", "--to", path)
    assert (told["rows"], told["is_chained"], told["last"]["row"]) == (10, True, 10)
    assert path.stat().st_mode & 0o777 == 0o600
    with log.desk().site() as site:
        public = encode_public_key(site.keyring.audit.current.public_key().public_bytes_raw())
    log.settings = tmp_path / "nowhere.toml"
    for anchor in (["--key-id", told["key"]], ["--public-key", public]):
        result = log("audit", "verify", "--export", path, *anchor)
        assert result.exit_code == 0, result.stderr
        assert (
            "Signed checkpoints prove rows 1 to 10" in result.stdout
            and "named by the export itself" not in result.stdout
        )


def test_without_a_key_of_ones_own_it_says_what_that_proves(log, tmp_path):
    log("audit", "export", "--to", tmp_path / "all.jsonl")
    told = log("audit", "verify", "--export", tmp_path / "all.jsonl")
    assert told.exit_code == 0
    assert (
        "named by the export itself, so this shows that the file belongs together, and not who made it" in told.stdout
    )


def test_another_sites_key_exits_1(log, tmp_path):
    log("audit", "export", "--to", tmp_path / "all.jsonl")
    result = log("audit", "verify", "--export", tmp_path / "all.jsonl", "--key-id", "0123456789abcdef")
    assert result.exit_code == 1 and "it was signed by somebody else" in result.stderr


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        (["--from-row", "4", "--to-row", "7"], [4, 5, 6, 7]),
        (["--from-row", "9"], [9, 10]),
        (["--since", "2026-11-22T12:00:00Z", "--until", "2026-11-22T15:00:00Z"], [5, 6, 7]),
        (["--since", "2026-11-22T12:00:00Z", "--to-row", "5"], [5]),
    ],
)
def test_a_range_is_proved_too(log, tmp_path, options, rows):
    path = tmp_path / "part.jsonl"
    assert log.json("audit", "export", "--to", path, *options)["is_chained"]
    assert rows_of(path) == rows
    report = log.json("audit", "verify", "--export", path)
    assert report["ok"] and (report["rows"], report["proved_to"]) == (len(rows), rows[-1])


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        (["--user", "ann"], [3, 5, 7, 9]),
        (["--user", "ann", "--since", "2026-11-22T12:00:00Z"], [5, 7, 9]),
        (["--action", "login", "--to-row", "4"], [3, 4]),
        (["--text", '"n":7'], [10]),
        (["--user", "nobody"], []),
    ],
)
def test_a_filtered_export_says_what_it_cannot_show(log, tmp_path, options, rows):
    path = tmp_path / "some.jsonl"
    result = log("audit", "export", "--to", path, *options)
    assert result.exit_code == 0, result.stderr
    assert "which rows were left out, this export cannot show" in result.stdout
    assert rows_of(path) == rows
    report = log.json("audit", "verify", "--export", path)
    assert report["ok"] and (report["rows"], report["proved_to"]) == (len(rows), 0)


def test_it_goes_to_standard_output_when_no_file_is_named(log, tmp_path):
    result = log("audit", "export")
    (tmp_path / "out.jsonl").write_bytes(result.stdout_bytes)
    assert "Written: rows 1 to 10" in result.stderr
    assert log("audit", "verify", "--export", tmp_path / "out.jsonl").exit_code == 0
    assert log("audit", "export", "--json").exit_code == 2


def test_an_edited_export_exits_1(log, tmp_path):
    path = tmp_path / "all.jsonl"
    log("audit", "export", "--to", path)
    path.write_text(path.read_text().replace('"reason":"denied"', '"reason":"granted"', 1))
    result = log("audit", "verify", "--export", path, "--json")
    assert result.exit_code == 1 and json.loads(result.stdout)["first_bad_row"] == 3


def test_nothing_is_written_over_and_nothing_half(log, tmp_path):
    path = tmp_path / "all.jsonl"
    path.write_text("mine")
    result = log("audit", "export", "--to", path)
    assert result.exit_code == 1 and "is there already: name another file" in result.stderr
    assert path.read_text() == "mine" and [p.name for p in tmp_path.iterdir() if "jsonl" in p.name] == ["all.jsonl"]
    assert "cannot be written" in log("audit", "export", "--to", tmp_path / "no" / "all.jsonl").stderr


def test_a_time_without_rows_is_refused(log, tmp_path):
    for options in (["--since", "2030-01-01"], ["--from-row", "99"]):
        result = log("audit", "export", "--to", tmp_path / "none.jsonl", *options)
        assert result.exit_code == 1 and "the log has no row" in result.stderr


def test_an_export_that_cannot_be_read_is_refused_by_a_sentence(elsewhere, tmp_path):
    result = elsewhere("audit", "verify", "--export", tmp_path / "nowhere.jsonl")
    assert result.exit_code == 1 and "cannot be read: No such file" in result.stderr
