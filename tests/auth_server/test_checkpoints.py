"""The checkpoint file: one signed line for each growth of the log, whatever happens while it is written."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from auth_server.audit_chain import GENESIS, Checkpoint, DamagedLine, HandOver, Head, Restore
from auth_server.audit_processes import judge_in_processes
from auth_server.checkpoint_line import line_of, parse_line
from auth_server.checkpoints import Checkpoints, check_log
from auth_server.errors import LogRolledBack, StoreError
from auth_server.key_forms import AUDIT, State
from auth_server.keyring import Keyring, SigningKeys, key_id

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
    return Checkpoints(path, keyring.audit)


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
        check_log(log_to(HEADS[1]), Checkpoints(tmp_path, keyring.audit))


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
        assert checkpoints.marks() == [replace(made, line=5)]
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
        Checkpoints(tmp_path / "nowhere" / "c.jsonl", keyring.audit).write(log_to(HEADS[1]), now)
    with pytest.raises(StoreError, match="cannot be read: Is a directory"):
        list(Checkpoints(tmp_path, keyring.audit).read())


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
log, checkpoints = AuditLog(database), Checkpoints(Path({str(path)!r}), keyring.audit)
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


class TestHandOver:
    """The audit key changes, and the file goes on."""

    OLD, NEW, THIRD = (Ed25519PrivateKey.from_private_bytes(bytes([n] * 32)) for n in (1, 2, 3))

    def of(self, path: Path, *keys: Ed25519PrivateKey) -> Checkpoints:
        return Checkpoints(path, SigningKeys.of(*keys))

    @pytest.fixture
    def handed(self, path: Path, now: datetime) -> Checkpoint:
        """Rows 3 and 7 were signed by the old key, which handed over at row 7."""
        self.of(path, self.OLD).write(log_to(HEADS[1]), now)
        self.of(path, self.OLD).write(log_to(*HEADS[:3]), now)
        return self.of(path, self.OLD, self.NEW).hand_over(log_to(*HEADS[:3]), self.NEW, now)

    def test_both_keys_sign_its_line(self, path: Path, handed: Checkpoint):
        (line,) = self.of(path, self.NEW).marks()
        assert line == replace(handed, line=3)
        assert line.hand_over == HandOver(
            self.OLD.public_key().public_bytes_raw(), self.NEW.public_key().public_bytes_raw(), 3
        )
        self.OLD.public_key().verify(line.signature, line.signed_bytes())
        self.NEW.public_key().verify(line.countersignature, line.signed_bytes())
        assert json.loads(path.read_text().splitlines()[-1])["kind"] == "key"

    def test_the_new_key_goes_on(self, path: Path, handed: Checkpoint, now: datetime):
        checkpoints = self.of(path, self.NEW)
        assert not checkpoints.write(log_to(*HEADS[:3]), now)
        assert checkpoints.write(log_to(*HEADS), now)
        newest = checkpoints.newest()
        assert newest is not None and newest.key_id == key_id(self.NEW.public_key())

    def test_a_log_that_was_rolled_back_is_known_by_the_line_itself(
        self, path: Path, handed: Checkpoint, now: datetime
    ):
        with pytest.raises(LogRolledBack, match="checkpoint of row 7"):
            check_log(log_to(HEADS[1]), self.of(path, self.NEW))

    def test_a_process_that_still_has_the_old_key_first_signs_with_the_new_one(
        self, path: Path, handed: Checkpoint, now: datetime
    ):
        """The rotation was killed, or has not come so far: the server must not break the file meanwhile."""
        checkpoints = self.of(path, self.OLD, self.NEW)
        assert checkpoints.write(log_to(*HEADS), now)
        newest = self.of(path, self.NEW).newest()
        assert newest is not None and newest.sequence == 9

    def test_done_again_after_a_kill_it_writes_nothing(self, path: Path, handed: Checkpoint, now: datetime):
        before = path.read_bytes()
        for keys in ((self.OLD, self.NEW), (self.NEW, self.OLD), (self.NEW,)):
            again = self.of(path, *keys).hand_over(log_to(*HEADS[:3]), self.NEW, now)
            assert again == replace(handed, line=3)
        assert path.read_bytes() == before

    def test_a_key_that_was_never_handed_over_to_is_no_new_one(self, path: Path, now: datetime):
        with pytest.raises(StoreError, match="is the audit key in use"):
            self.of(path, self.OLD).hand_over(log_to(HEADS[1]), self.OLD, now)

    def test_a_log_that_was_rolled_back_is_not_handed_over(self, path: Path, now: datetime):
        self.of(path, self.OLD).write(log_to(*HEADS[:3]), now)
        before = path.read_bytes()
        with pytest.raises(LogRolledBack):
            self.of(path, self.OLD, self.NEW).hand_over(log_to(HEADS[1]), self.NEW, now)
        assert path.read_bytes() == before

    def test_the_retired_key_signs_nothing_that_is_believed(self, path: Path, handed: Checkpoint, now: datetime):
        forged = replace(handed, sequence=8, head="8" * 64, hand_over=None, countersignature=b"", line=4)
        forged = replace(forged, signature=self.OLD.sign(forged.signed_bytes()))
        with path.open("ab") as file:
            file.write(line_of(forged))
        for keys in ((self.NEW,), (self.NEW, self.OLD)):
            newest = self.of(path, *keys).newest()
            assert newest is not None and newest.sequence == 7

    def test_a_restore_before_it_and_one_after_it(self, path: Path, handed: Checkpoint, now: datetime):
        checkpoints = self.of(path, self.NEW)
        checkpoints.write(log_to(*HEADS), now)
        made = checkpoints.accept_restore(log_to(HEADS[1], Head(4, "d" * 64)), now)
        assert made.restore is not None and made.restore.kept == 3
        signed = checkpoints.signed()
        assert signed.keys.ids == (key_id(self.OLD.public_key()), key_id(self.NEW.public_key()))
        assert [signed.keys.fault(line) for line in checkpoints.read() if isinstance(line, Checkpoint)] == [None] * 5


class TestSharedLog:
    """Another server of the same database handed its file over to a new key; here its key files were copied."""

    OLD, NEW = (Ed25519PrivateKey.from_private_bytes(bytes([n] * 32)) for n in (1, 2))

    def of(self, path: Path, *states: tuple[Ed25519PrivateKey, State], is_log_shared: bool = True) -> Checkpoints:
        keys = tuple(AUDIT.key(key, state) for key, state in states)
        return Checkpoints(path, SigningKeys(lambda: keys), is_log_shared=is_log_shared)

    @property
    def before(self) -> tuple[tuple[Ed25519PrivateKey, State], ...]:
        return (self.OLD, State.IN_USE), (self.NEW, State.NEXT)

    @property
    def after(self) -> tuple[tuple[Ed25519PrivateKey, State], ...]:
        return (self.NEW, State.IN_USE), (self.OLD, State.OLD)

    def test_the_next_signature_is_the_new_keys_after_a_hand_over(self, path: Path, now: datetime):
        self.of(path, *self.before).write(log_to(*HEADS[:3]), now)
        copied = self.of(path, *self.after)
        copied.write(log_to(*HEADS), now)
        assert [line.hand_over is not None for line in copied.read() if isinstance(line, Checkpoint)] == [False, True]
        signed = copied.signed()
        assert signed.keys.newest == self.NEW.public_key()
        assert [signed.keys.fault(line) for line in copied.read() if isinstance(line, Checkpoint)] == [None] * 2
        assert not copied.write(log_to(*HEADS), now)

    def test_until_then_what_the_old_key_signed_counts(self, path: Path, now: datetime):
        self.of(path, *self.before).write(log_to(*HEADS[:3]), now)
        copied = self.of(path, *self.after)
        with pytest.raises(LogRolledBack, match="checkpoint of row 7"):
            check_log(log_to(HEADS[1]), copied)
        with pytest.raises(LogRolledBack, match="checkpoint of row 7"):
            copied.write(log_to(HEADS[1]), now)
        signed = copied.signed()
        assert [signed.keys.fault(line) for line in copied.read() if isinstance(line, Checkpoint)] == [None]

    def test_the_old_key_signs_nothing_that_is_believed_once_the_new_one_has_signed(self, path: Path, now: datetime):
        """As a thief would who has it, and cut the hand-over off."""
        self.of(path, *self.after).write(log_to(*HEADS), now)
        self.of(path, (self.OLD, State.IN_USE)).write(log_to(*HEADS), now)
        newest = self.of(path, *self.after).newest()
        assert newest is not None and newest.key_id == key_id(self.NEW.public_key())

    def test_a_server_that_is_alone_follows_nobody(self, path: Path, now: datetime):
        """Its own rotation writes the hand-over first; where that is missing, it was cut off."""
        self.of(path, *self.before).write(log_to(*HEADS[:3]), now)
        alone = self.of(path, *self.after, is_log_shared=False)
        assert alone.signed().keys.ids == (key_id(self.NEW.public_key()),)


def test_what_strangers_append_hides_no_signed_row(checkpoints: Checkpoints, path: Path, now: datetime):
    """However much it is: else a rolled-back log could be signed after it."""
    checkpoints.write(log_to(*HEADS[:3]), now)
    with path.open("ab") as file:
        file.write((b"x" * 300 + b"\n") * 200 + b"y" * 50_000)
    with pytest.raises(LogRolledBack):
        checkpoints.write(log_to(HEADS[1]), now)
    newest = checkpoints.newest()
    assert newest is not None and newest.sequence == 7


def test_a_long_file_is_checked_in_other_processes(
    checkpoints: Checkpoints, path: Path, keyring: Keyring, now: datetime
):
    checkpoints.write(log_to(HEADS[1]), now)
    line = path.read_bytes()
    path.write_bytes(line * 5_000)
    forged = json.dumps(json.loads(line) | {"sequence": 4}).encode() + b"\n"
    with path.open("ab") as file:
        file.write(forged + line)
    signed = checkpoints.signed()
    assert signed.judge is judge_in_processes
    faults = [(judged.line.line, judged.fault) for judged in signed.judge(signed.lines, signed.keys) if judged.fault]
    assert faults == [(5_001, "checkpoint line 5001 is forged or was changed: its signature is wrong")]
