"""The checkpoint file: one signed line for each growth of the log, whatever happens while it is written."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_server.audit_chain import GENESIS, Checkpoint, DamagedLine, Head, Restore
from auth_server.checkpoint_line import parse_line
from auth_server.checkpoints import Checkpoints, check_log
from auth_server.errors import LogRolledBack, StoreError
from auth_server.keyring import Keyring, key_id

HEADS = [Head(0, GENESIS), Head(3, "3" * 64), Head(7, "7" * 64), Head(9, "9" * 64)]


class Rows:
    """A log of which only numbers and hashes are known."""

    def __init__(self, *heads: Head) -> None:
        self._hashes = {0: GENESIS} | dict(heads)

    def head(self) -> Head:
        return Head(max(self._hashes), self._hashes[max(self._hashes)])

    def hash_at(self, row_id: int) -> str | None:
        return self._hashes.get(row_id)


def log_to(*heads: Head) -> Rows:
    """A log with these rows; with one alone, it has all that come before it in HEADS."""
    return Rows(*[head for head in HEADS if head < heads[0]], *heads) if len(heads) == 1 else Rows(*heads)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the checkpoints go."""
    return tmp_path / "checkpoints.jsonl"


@pytest.fixture
def checkpoints(path: Path, keyring: Keyring) -> Checkpoints:
    """No checkpoint yet."""
    return Checkpoints(path, keyring.audit_key)


def _sequences(checkpoints: Checkpoints) -> list[int | str]:
    return [line.sequence if isinstance(line, Checkpoint) else "damaged" for line in checkpoints.read()]


def test_a_line_holds_a_signed_head(checkpoints: Checkpoints, path: Path, keyring: Keyring, now: datetime):
    assert checkpoints.write(log_to(HEADS[1]), now)
    members = json.loads(path.read_text())
    assert members["sequence"] == 3
    assert members["head"] == "3" * 64
    assert members["ts_utc"] == "2026-11-22T09:30:00.000000Z"
    assert members["key_id"] == key_id(keyring.audit_key.public_key())
    (made,) = checkpoints.read()
    assert isinstance(made, Checkpoint)
    keyring.audit_key.public_key().verify(made.signature, made.signed_bytes())
    assert path.read_bytes().endswith(b"}\n")


def test_what_is_signed_can_be_made_by_anybody_from_the_description(checkpoints: Checkpoints, now: datetime):
    """Computed here without the product's code, so that it cannot change unnoticed."""
    checkpoints.write(log_to(HEADS[1]), now)
    (made,) = checkpoints.read()
    assert isinstance(made, Checkpoint)
    told = {"head": "3" * 64, "key_id": made.key_id, "sequence": 3, "ts_utc": "2026-11-22T09:30:00.000000Z"}
    expected = b"4auth audit checkpoint v1\n" + json.dumps(told, separators=(",", ":")).encode()
    assert made.signed_bytes() == expected


def test_only_growth_is_written(checkpoints: Checkpoints, now: datetime):
    assert [checkpoints.write(log_to(head), now) for head in HEADS for _ in range(2)] == [True, False] * 4
    assert _sequences(checkpoints) == [0, 3, 7, 9]


def test_a_log_that_is_behind_or_another_one_is_not_signed(checkpoints: Checkpoints, now: datetime):
    checkpoints.write(log_to(HEADS[2]), now)
    for other, said in (
        (log_to(HEADS[1]), r"ends at row 3.*checkpoint of row 7.*older copy.*audit accept-restore"),
        (log_to(Head(7, "8" * 64)), r"row 7 .*not the one signed on 2026-11-22.*audit accept-restore"),
        (log_to(HEADS[1], Head(7, "8" * 64), HEADS[3]), r"row 7 .*not the one signed"),
        (log_to(HEADS[1], HEADS[3]), r"row 7 .*not the one signed"),
    ):
        with pytest.raises(LogRolledBack, match=said):
            checkpoints.write(other, now)
        with pytest.raises(LogRolledBack, match=said):
            check_log(other, checkpoints)
    assert _sequences(checkpoints) == [7]
    check_log(log_to(*HEADS), checkpoints)
    assert checkpoints.write(log_to(*HEADS), now)


def test_looking_at_a_log_makes_no_file(checkpoints: Checkpoints, path: Path):
    check_log(log_to(HEADS[1]), checkpoints)
    assert not path.exists()


def test_a_start_is_refused_when_the_file_cannot_be_read(tmp_path: Path, keyring: Keyring):
    with pytest.raises(StoreError, match="cannot be read: Is a directory"):
        check_log(log_to(HEADS[1]), Checkpoints(tmp_path, keyring.audit_key))


class TestRestore:
    """An administrator says that an older database was put back on purpose."""

    @pytest.fixture
    def restored(self, checkpoints: Checkpoints, now: datetime) -> "Rows":
        """Row 9 was signed last; the copy ends at row 7, and somebody wrote two rows since."""
        for head in HEADS:
            checkpoints.write(log_to(*HEADS[: HEADS.index(head) + 1]), now)
        return log_to(*HEADS[:3], Head(8, "b" * 64), Head(9, "c" * 64))

    def test_it_names_what_is_given_up_and_the_log_goes_on(
        self, checkpoints: Checkpoints, path: Path, keyring: Keyring, restored: "Rows", now: datetime
    ):
        made = checkpoints.accept_restore(restored, now)
        assert (made.sequence, made.head) == (9, "c" * 64)
        assert made.restore == Restore(kept=7, given_up=HEADS[3], line=5)
        assert checkpoints.restores() == [replace(made, line=5)]
        keyring.audit_key.public_key().verify(made.signature, made.signed_bytes())
        assert json.loads(path.read_text().splitlines()[-1])["kind"] == "restore"
        check_log(restored, checkpoints)
        assert not checkpoints.write(restored, now)
        with pytest.raises(LogRolledBack):
            checkpoints.write(log_to(*HEADS), now)

    def test_a_log_without_a_fault_has_nothing_to_accept(self, checkpoints: Checkpoints, path: Path, now: datetime):
        for log in (log_to(), log_to(*HEADS)):
            with pytest.raises(StoreError, match="there is no restore to accept"):
                checkpoints.accept_restore(log, now)
            checkpoints.write(log_to(*HEADS), now)
        assert _sequences(checkpoints) == [9]

    def test_what_an_earlier_restore_gave_up_is_not_taken_for_common(
        self, checkpoints: Checkpoints, restored: "Rows", now: datetime
    ):
        checkpoints.accept_restore(restored, now)
        made = checkpoints.accept_restore(log_to(HEADS[1], HEADS[3]), now)
        assert made.restore == Restore(kept=3, given_up=Head(9, "c" * 64), line=6)

    def test_a_log_that_shares_nothing_keeps_nothing(self, checkpoints: Checkpoints, restored: "Rows", now: datetime):
        made = checkpoints.accept_restore(log_to(Head(1, "d" * 64)), now)
        assert made.restore is not None and made.restore.kept == 0

    @pytest.mark.parametrize(
        "wrong",
        [{"kind": "other"}, {"kind": None}, {"kept": -1}, {"line": "5"}, {"old_head": 7}, {"old_sequence": True}],
    )
    def test_a_field_of_another_type_is_a_damaged_line(
        self, checkpoints: Checkpoints, path: Path, restored: "Rows", now: datetime, wrong: dict[str, object]
    ):
        checkpoints.accept_restore(restored, now)
        line = json.dumps(json.loads(path.read_text().splitlines()[-1]) | wrong).encode() + b"\n"
        assert parse_line(line, 4) == DamagedLine(4, "it is no checkpoint record")

    @pytest.mark.parametrize("member", ["kept", "line", "old_sequence"])
    def test_no_part_of_it_can_be_changed(
        self, checkpoints: Checkpoints, path: Path, restored: "Rows", now: datetime, member: str
    ):
        checkpoints.accept_restore(restored, now)
        lines = path.read_text().splitlines()
        lines[-1] = json.dumps(json.loads(lines[-1]) | {member: 1})
        path.write_text("\n".join(lines) + "\n")
        newest = checkpoints.newest()
        assert newest is not None and newest.restore is None


def test_only_its_owner_may_read_the_file(checkpoints: Checkpoints, path: Path, now: datetime):
    before = os.umask(0)
    try:
        checkpoints.write(log_to(HEADS[1]), now)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o7777 == 0o600


def test_no_file_no_checkpoints(checkpoints: Checkpoints, path: Path):
    assert list(checkpoints.read()) == []
    assert not path.exists()


@pytest.mark.parametrize("kept", [1, 20, 150, -1])
def test_a_line_torn_by_a_power_cut_is_reported_and_written_after(
    checkpoints: Checkpoints, path: Path, now: datetime, kept: int
):
    checkpoints.write(log_to(HEADS[1]), now)
    whole = path.read_bytes()
    checkpoints.write(log_to(HEADS[2]), now)
    second = path.read_bytes()[len(whole) :]
    path.write_bytes(whole + second[:kept])
    damaged = list(checkpoints.read())[-1]
    assert isinstance(damaged, DamagedLine)
    assert (damaged.line, damaged.why) == (2, "its end is missing, as after a power cut")
    assert checkpoints.write(log_to(HEADS[2]), now)
    assert _sequences(checkpoints) == [3, "damaged", 7] if kept != -1 else [3, 7, 7]


def test_a_forged_line_does_not_keep_the_server_from_signing(checkpoints: Checkpoints, path: Path, now: datetime):
    checkpoints.write(log_to(HEADS[1]), now)
    forged = json.loads(path.read_text()) | {"sequence": 2**62}
    with path.open("a") as file:
        file.write(json.dumps(forged) + "\n")
    assert checkpoints.write(log_to(HEADS[2]), now)
    assert _sequences(checkpoints) == [3, 2**62, 7]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_damaged_line_and_no_crash(line: bytes):
    assert isinstance(parse_line(line + b"\n", 1), DamagedLine)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sequence": "3"},
        {"sequence": True},
        {"sequence": -1},
        {"sequence": 2**63},
        {"sequence": 1.0},
        {"head": 7},
        {"head": "\ud800"},
        {"ts_utc": None},
        {"key_id": []},
        {"signature": "not base64"},
        {"signature": None},
    ],
)
def test_a_field_of_another_type_is_a_damaged_line(
    checkpoints: Checkpoints, path: Path, now: datetime, wrong: dict[str, object]
):
    checkpoints.write(log_to(HEADS[1]), now)
    line = json.dumps(json.loads(path.read_text()) | wrong).encode() + b"\n"
    assert parse_line(line, 4) == DamagedLine(4, "it is no checkpoint record")


def test_a_line_written_while_reading_is_left_for_the_next_time(checkpoints: Checkpoints, now: datetime):
    checkpoints.write(log_to(HEADS[1]), now)
    reading = checkpoints.read()
    next(reading)
    checkpoints.write(log_to(HEADS[2]), now)
    assert list(reading) == []


def test_a_line_finished_while_reading_is_judged_as_it_stood(checkpoints: Checkpoints, path: Path, now: datetime):
    """Its row may be newer than the rows that were read beside it."""
    checkpoints.write(log_to(HEADS[1]), now)
    whole = path.stat().st_size
    checkpoints.write(log_to(HEADS[2]), now)
    second = path.read_bytes()[whole:]
    os.truncate(path, whole + 20)
    reading = checkpoints.read()
    next(reading)
    with path.open("ab") as file:
        file.write(second[20:])
    assert [type(line) for line in reading] == [DamagedLine]


def test_a_folder_that_is_missing_is_told_of(tmp_path: Path, keyring: Keyring, now: datetime):
    with pytest.raises(StoreError, match=r"nowhere.*cannot be written: No such file"):
        Checkpoints(tmp_path / "nowhere" / "c.jsonl", keyring.audit_key).write(log_to(HEADS[1]), now)
    with pytest.raises(StoreError, match="cannot be read: Is a directory"):
        list(Checkpoints(tmp_path, keyring.audit_key).read())


def test_many_processes_sign_what_they_write_in_step(
    checkpoints: Checkpoints, path: Path, run_in_processes: Callable[[int, str], list[str]]
):
    """None takes a row for missing that another has just written and signed."""
    lines = run_in_processes(
        3,
        f"""
from auth_server.audit import AuditLog
from auth_server.checkpoints import Checkpoints
from auth_server.domain import AuditEntry
log, checkpoints = AuditLog(database), Checkpoints(Path({str(path)!r}), keyring.audit_key)
wait_for_all()
def work(_):
    written = 0
    for _ in range(10):
        log.record(AuditEntry("login", False, "denied", "ada", "kiosk-1", None, {{}}), now)
        written += checkpoints.write(log, now)
    return written
print(sum(in_threads(4, work)))
""",
    )
    sequences = _sequences(checkpoints)
    assert sequences == sorted(set(sequences))
    assert sum(map(int, lines)) == len(sequences)
    assert sequences[-1] == 120
