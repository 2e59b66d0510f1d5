"""Whatever is done to the log or its checkpoints is found, and the first bad row is named."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from auth_server.audit import AuditLog
from auth_server.audit_anchors import FINDINGS_MAX
from auth_server.audit_chain import GENESIS, Checkpoint, DamagedLine, Head, Restore, StoredRow, detail_hash, row_hash
from auth_server.audit_keys import key_path
from auth_server.audit_verify import ChainReport, Part, Signed, verify_chain
from auth_server.canonical import canonical_json, utc_text
from auth_server.checkpoints import Checkpoints
from auth_server.domain import AuditEntry
from auth_server.errors import StoreError
from auth_server.keyring import Keyring, key_id
from auth_server.store.database import Database

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
START = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def make_row(number: int, prev_hash: str, username: str | None = "alice", detail: str = '{"a":1}') -> StoredRow:
    salt = hashlib.sha256(f"{number}{detail}".encode()).digest()[:16]
    row = StoredRow(
        id=number,
        ts_utc=utc_text(START + timedelta(seconds=number)),
        username=username,
        kiosk_id="lobby",
        source_address="192.0.2.7",
        action="login",
        success=0,
        reason="denied",
        detail=detail,
        detail_salt=salt,
        detail_hash=detail_hash(salt, detail),
        row_hash="",
    )
    return row._replace(row_hash=row_hash(row, prev_hash))


def make_log(count: int, username: str = "alice", begin: Iterable[StoredRow] = ()) -> list[StoredRow]:
    rows = list(begin)
    while len(rows) < count:
        rows.append(make_row(len(rows) + 1, rows[-1].row_hash if rows else GENESIS, username))
    return rows


def sign(sequence: int, head: str, line: int = 1, key: Ed25519PrivateKey = KEY) -> Checkpoint:
    draft = Checkpoint(sequence, head, "2026-11-22T10:00:00.000000Z", key_id(key.public_key()), b"", line)
    return replace(draft, signature=key.sign(draft.signed_bytes()))


def anchors(rows: list[StoredRow], *sequences: int) -> list[Checkpoint]:
    heads = {0: GENESIS} | {row.id: row.row_hash for row in rows}
    return [sign(sequence, heads[sequence], line) for line, sequence in enumerate(sequences, 1)]


def check(rows: Iterable[StoredRow], checkpoints: Iterable[Checkpoint | DamagedLine]) -> ChainReport:
    lines = list(checkpoints)
    marks = [line for line in lines if isinstance(line, Checkpoint) and (line.restore or line.hand_over)]
    return verify_chain(rows, Signed(lines=lines, keys=key_path(marks, KEY.public_key()), marks=marks))


lengths = st.integers(min_value=1, max_value=12)


@st.composite
def log_and_row(draw: st.DrawFn) -> tuple[list[StoredRow], int]:
    """A log and the number of one of its rows."""
    rows = make_log(draw(lengths))
    return rows, draw(st.integers(1, len(rows)))


class TestSound:
    """What is right passes, and the report says how far it is proved."""

    @given(lengths, st.data())
    def test_an_untouched_log_is_fine(self, count: int, data: st.DataObject):
        rows = make_log(count)
        made = sorted(data.draw(st.sets(st.integers(0, count), min_size=1)))
        report = check(rows, anchors(rows, *made))
        assert report.ok
        assert report.findings == ()
        assert (report.rows, report.head) == (count, (count, rows[-1].row_hash))
        assert (report.proved_to, report.unsigned_rows) == (made[-1], count - made[-1])
        assert report.first_bad_row is None

    def test_an_empty_log_is_fine(self):
        assert check([], []).ok
        assert check([], anchors([], 0)).ok

    def test_a_checkpoint_made_twice_is_no_fork(self):
        rows = make_log(3)
        assert check(rows, anchors(rows, 2, 2, 3)).ok

    @given(log_and_row())
    def test_an_erased_detail_leaves_the_chain_whole(self, log: tuple[list[StoredRow], int]):
        rows, number = log
        signed = anchors(rows, len(rows))
        rows[number - 1] = rows[number - 1]._replace(detail=None, detail_salt=None)
        report = check(rows, signed)
        assert report.ok
        assert report.erased == 1

    def test_a_torn_last_line_is_reported_and_no_fault(self):
        rows = make_log(3)
        report = check(rows, [*anchors(rows, 2), DamagedLine(2, "its end is missing, as after a power cut")])
        assert report.ok
        assert report.notes == (
            "checkpoint line 2 is not whole (its end is missing, as after a power cut) and was passed over",
        )

    def test_rows_and_checkpoints_are_streamed(self):
        alive, most = 0, 0

        def generated() -> Iterable[StoredRow]:
            nonlocal alive, most
            prev = GENESIS
            for number in range(1, 500):
                row = make_row(number, prev)
                prev = row.row_hash
                alive += 1
                most = max(most, alive)
                yield row
                alive -= 1

        assert check(generated(), iter(anchors([], 0))).rows == 499
        assert most == 1


def _edited(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, datetime):
        return value + timedelta(microseconds=1)
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:]
    return f"{value}x"


class TestEdited:
    """One field of one row is changed."""

    @pytest.mark.parametrize("field", [field for field in StoredRow._fields if field != "id"])
    @given(log_and_row())
    def test_any_field(self, field: str, log: tuple[list[StoredRow], int]):
        rows, number = log
        signed = anchors(rows, len(rows))
        rows[number - 1] = rows[number - 1]._replace(**{field: _edited(getattr(rows[number - 1], field))})
        report = check(rows, signed)
        assert report.first_bad_row == number
        assert f"row {number}" in report.findings[0].what
        assert "changed" in report.findings[0].what

    @pytest.mark.parametrize("field", ["username", "kiosk_id", "source_address", "detail", "detail_salt"])
    def test_a_field_that_was_emptied(self, field: str):
        rows = make_log(4)
        signed = anchors(rows, 4)
        rows[2] = rows[2]._replace(**{field: None})
        assert check(rows, signed).first_bad_row == 3

    @pytest.mark.parametrize(
        "wrong",
        [{"username": 7}, {"detail_salt": "text"}, {"detail": b"bytes"}, {"row_hash": None}, {"username": "\ud800"}],
    )
    def test_a_field_of_another_type_is_a_finding_and_no_crash(self, wrong: dict[str, object]):
        rows = make_log(4)
        signed = anchors(rows, 4)
        rows[2] = rows[2]._replace(**wrong)
        assert check(rows, signed).first_bad_row == 3

    @given(log_and_row())
    def test_with_its_own_hashes_made_again(self, log: tuple[list[StoredRow], int]):
        """The forger knows how hashes are made, and the next row or the checkpoint gives it away."""
        rows, number = log
        signed = anchors(rows, len(rows))
        prev = rows[number - 2].row_hash if number > 1 else GENESIS
        rows[number - 1] = make_row(number, prev, "mallory")
        report = check(rows, signed)
        assert not report.ok
        assert report.first_bad_row == min(number + 1, len(rows))

    @given(log_and_row())
    def test_with_the_whole_rest_of_the_chain_made_again(self, log: tuple[list[StoredRow], int]):
        rows, number = log
        signed = anchors(rows, len(rows))
        forged = make_log(len(rows), "mallory", begin=rows[: number - 1])
        report = check(forged, signed)
        assert not report.ok
        assert "written anew" in report.findings[0].what


class TestDeleted:
    """Rows are taken out, at any place."""

    @given(log_and_row())
    def test_one_row(self, log: tuple[list[StoredRow], int]):
        rows, number = log
        signed = anchors(rows, len(rows))
        del rows[number - 1]
        report = check(rows, signed)
        assert report.first_bad_row == number

    @pytest.mark.parametrize(
        ("gone", "told"),
        [
            ([1], "row 1 is missing: row 2 follows the beginning of the log"),
            ([1, 2, 3], "rows 1 to 3 are missing: row 4 follows the beginning of the log"),
            ([3], "row 3 is missing: row 4 follows row 2"),
            ([2, 3, 4], "rows 2 to 4 are missing: row 5 follows row 1"),
            ([6], "the log ends at row 5, but had 6 rows on 2026-11-22T10:00:00.000000Z (checkpoint line 2)"),
            ([2, 3, 4, 5, 6], "the log ends at row 1, but had 6 rows"),
            ([1, 2, 3, 4, 5, 6], "the log ends at row 0, but had 6 rows"),
        ],
    )
    def test_it_is_said_in_plain_words(self, gone: list[int], told: str):
        rows = make_log(6)
        report = check([row for row in rows if row.id not in gone], anchors(rows, 2, 6))
        assert report.findings[0].what.startswith(told)
        assert report.first_bad_row == gone[0]

    @given(log_and_row())
    def test_with_the_rest_renumbered(self, log: tuple[list[StoredRow], int]):
        rows, number = log
        signed = anchors(rows, len(rows))
        left = [row for row in rows if row.id != number]
        renumbered = [row._replace(id=place) for place, row in enumerate(left, 1)]
        assert check(renumbered, signed).first_bad_row == number

    @given(log_and_row())
    def test_with_the_rest_renumbered_and_hashed_again(self, log: tuple[list[StoredRow], int]):
        rows, number = log
        forged = make_log(len(rows) - 1, "mallory", begin=rows[: number - 1])
        assert not check(forged, anchors(rows, len(rows))).ok


class TestReordered:
    """Rows are put in another order."""

    @given(st.permutations(range(6)))
    def test_as_they_stand(self, order: list[int]):
        rows = make_log(6)
        report = check([rows[place] for place in order], anchors(rows, 6))
        assert report.ok == (order == sorted(order))

    @given(st.permutations(range(6)))
    def test_with_numbers_that_fit_again(self, order: list[int]):
        rows = make_log(6)
        forged = [rows[place]._replace(id=number) for number, place in enumerate(order, 1)]
        report = check(forged, anchors(rows, 6))
        first_moved = next((number for number, place in enumerate(order, 1) if place != number - 1), None)
        assert report.first_bad_row == first_moved

    def test_a_row_that_stands_twice(self):
        rows = make_log(3)
        report = check([*rows, rows[1]], anchors(rows, 3))
        assert report.findings[0].what == "row 2 stands after row 3: the rows are not in their order"


class TestRolledBack:
    """An older copy of the database was put back."""

    @given(lengths, st.data())
    def test_the_end_is_missing(self, count: int, data: st.DataObject):
        rows = make_log(count)
        kept = data.draw(st.integers(0, count - 1))
        report = check(rows[:kept], anchors(rows, *range(count + 1)))
        assert report.first_bad_row == kept + 1
        assert "older copy of the database was put back" in report.findings[0].what
        assert len(report.findings) == 1

    @given(lengths, st.data())
    def test_it_was_written_on_beyond_where_it_was(self, count: int, data: st.DataObject):
        rows = make_log(count)
        kept = data.draw(st.integers(0, count - 1))
        other = make_log(count + 3, "later", begin=rows[:kept])
        report = check(other, [*anchors(rows, count), *anchors(other, count + 3)])
        assert not report.ok
        assert report.first_bad_row == count

    def test_checkpoints_that_step_back_are_reported(self):
        rows = make_log(6)
        report = check(rows, anchors(rows, 5, 3, 6))
        assert "checkpoint line 2 is of row 3, after one of row 5" in report.findings[0].what


def restore(
    rows: list[StoredRow], sequence: int, kept: int, given_up: StoredRow, line: int, key: Ed25519PrivateKey = KEY
) -> Checkpoint:
    made = sign(sequence, rows[sequence - 1].row_hash, line, key)
    draft = replace(made, restore=Restore(kept, Head(given_up.id, given_up.row_hash), line))
    return replace(draft, signature=key.sign(draft.signed_bytes()))


class TestAcceptedRestore:
    """An administrator has said that the older copy was put back on purpose."""

    @given(lengths, st.data())
    def test_it_is_whole_again_and_told_for_ever(self, count: int, data: st.DataObject):
        rows = make_log(count)
        kept = data.draw(st.integers(0, count - 1))
        grown = data.draw(st.integers(kept + 1, count + 5))
        later = make_log(grown + data.draw(st.integers(0, 4)), "later", begin=rows[:kept])
        made = restore(later, grown, kept, rows[-1], count + 2)
        lines = [*anchors(rows, *range(count + 1)), made, sign(len(later), later[-1].row_hash, count + 3)]
        report = check(later, lines)
        assert report.findings == () and report.ok
        assert report.proved_to == len(later)
        assert len(report.notes) == 1
        for told in (f"rows {kept + 1} to {count} ", rows[-1].row_hash, later[grown - 1].row_hash, "2026-11-22T10:00"):
            assert told in report.notes[0]

    @pytest.fixture
    def story(self) -> tuple[list[StoredRow], list[Checkpoint]]:
        """Six rows, signed at 2, 4 and 6; a copy of four was put back, accepted at row 5 and signed at 8."""
        rows = make_log(6)
        later = make_log(8, "later", begin=rows[:4])
        made = restore(later, 5, 4, rows[5], 4)
        return later, [*anchors(rows, 2, 4, 6), made, sign(8, later[7].row_hash, 5)]

    def check(self, rows: list[StoredRow], lines: list[Checkpoint]) -> ChainReport:
        return check(rows, lines)

    def test_what_it_kept_is_still_proved(self, story: tuple[list[StoredRow], list[Checkpoint]]):
        later, lines = story
        assert self.check(later, lines).ok
        forged = make_log(4, "mallory", begin=later[:2])
        assert self.check([*forged, *later[4:]], lines).first_bad_row == 4

    def test_what_came_after_is_proved(self, story: tuple[list[StoredRow], list[Checkpoint]]):
        later, lines = story
        forged = make_log(8, "mallory", begin=later[:4])
        assert self.check(forged, lines).first_bad_row == 5
        assert self.check(later[:6], lines).first_bad_row == 7

    def test_a_copy_of_it_further_down_gives_up_nothing(self, story: tuple[list[StoredRow], list[Checkpoint]]):
        later, lines = story
        copy = replace(lines[3], line=6)
        forged = make_log(9, "mallory", begin=later[:5])
        report = self.check(forged, [*lines, copy])
        assert report.first_bad_row == 8
        assert "checkpoint line 6 accepts a restore and was signed for another line" in report.findings[-1].what

    def test_one_of_another_key_gives_up_nothing(self, story: tuple[list[StoredRow], list[Checkpoint]]):
        later, lines = story
        stranger = Ed25519PrivateKey.from_private_bytes(bytes(32))
        forged = restore(later, 8, 0, later[7], 6, stranger)
        claimed = replace(forged, key_id=key_id(KEY.public_key()))
        for line in (forged, claimed):
            assert self.check(make_log(8, "mallory"), [*lines, line]).first_bad_row == 2

    def test_without_it_the_log_is_not_whole(self, story: tuple[list[StoredRow], list[Checkpoint]]):
        later, lines = story
        assert self.check(later, [*lines[:3], lines[4]]).first_bad_row == 6

    def test_a_second_one_gives_up_the_first(self, story: tuple[list[StoredRow], list[Checkpoint]]):
        later, lines = story
        third = make_log(4, "third", begin=later[:2])
        report = self.check(third, [*lines, restore(third, 3, 2, later[7], 6)])
        assert report.ok and report.proved_to == 3
        assert len(report.notes) == 2


class TestForked:
    """There are two logs."""

    def test_two_signed_heads_of_one_row(self):
        rows, other = make_log(4), make_log(4, "bob")
        report = check(rows, [*anchors(rows, 4), replace(anchors(other, 4)[0], line=2)])
        assert "checkpoint lines 1 and 2 disagree about row 4: there are two logs" in [f.what for f in report.findings]

    @given(log_and_row())
    def test_a_checkpoint_of_another_log(self, log: tuple[list[StoredRow], int]):
        rows, number = log
        other = make_log(len(rows), "bob")
        report = check(rows, anchors(other, number))
        assert report.first_bad_row == number

    def test_a_log_with_another_beginning(self):
        assert not check(make_log(2), [sign(0, "1" * 64)]).ok


class TestForgedCheckpoint:
    """The checkpoint file is tampered with."""

    @pytest.mark.parametrize("field", ["sequence", "head", "ts_utc", "signature"])
    def test_any_field_changed(self, field: str):
        rows = make_log(3)
        made = anchors(rows, 3)[0]
        value = 2 if field == "sequence" else _edited(getattr(made, field))
        report = check(rows, [*anchors(rows, 1), replace(made, **{field: value}, line=2)])
        assert [finding.what for finding in report.findings] == [
            "checkpoint line 2 is forged or was changed: its signature is wrong"
        ]
        assert report.proved_to == 1

    def test_another_key(self):
        rows = make_log(3)
        stranger = Ed25519PrivateKey.from_private_bytes(bytes(32))
        report = check(rows, [sign(3, rows[2].row_hash, 1, stranger)])
        assert "was signed by key" in report.findings[0].what
        claimed = replace(sign(3, rows[2].row_hash, 1, stranger), key_id=key_id(KEY.public_key()))
        assert "forged" in check(rows, [claimed]).findings[0].what

    @given(st.binary(max_size=80))
    def test_any_signature_that_is_not_the_keys(self, signature: bytes):
        rows = make_log(1)
        assert not check(rows, [replace(anchors(rows, 1)[0], signature=signature)]).ok

    def test_all_of_them_removed(self):
        rows = make_log(3)
        assert "no signed checkpoint" in check(rows, []).findings[0].what
        assert "no signed checkpoint" in check(rows, [DamagedLine(1, "x")]).findings[0].what


def test_many_faults_are_counted_and_the_first_are_listed():
    rows = make_log(100)
    signed = anchors(rows, 100)
    broken = [row._replace(username="mallory") for row in rows]
    report = check(broken, signed)
    assert report.finding_count == 100
    assert [finding.row for finding in report.findings] == list(range(1, FINDINGS_MAX + 1))


def test_a_log_that_cannot_be_read_on_is_a_finding():
    rows = make_log(3)

    def breaking() -> Iterable[StoredRow]:
        yield from rows[:2]
        raise StoreError("the store failed: database disk image is malformed")

    report = check(breaking(), anchors(rows, 3))
    assert report.findings[0].what.startswith("the rows after row 2 cannot be read")
    assert report.first_bad_row == 3


def test_the_hash_can_be_made_by_anybody_from_the_description():
    """Computed here without the product's code, so that it cannot change unnoticed."""
    row = make_row(1, GENESIS, "zoë")
    told = {
        "action": "login",
        "detail_hash": hashlib.sha256((row.detail_salt or b"") + b'{"a":1}').hexdigest(),
        "id": 1,
        "kiosk_id": "lobby",
        "prev_hash": "0" * 64,
        "reason": "denied",
        "source_address": "192.0.2.7",
        "success": False,
        "ts_utc": "2026-11-22T09:30:01.000000Z",
        "username": "zoë",
    }
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == row.row_hash


letters = st.text(alphabet=st.characters(exclude_categories=["Cs"]))


@given(st.integers(1, 2**63 - 1), st.none() | letters, st.none() | letters, letters, st.booleans())
def test_a_row_is_hashed_over_its_canonical_json(number: int, name: str | None, kiosk: str | None, text: str, ok: bool):
    """The form that is spelt out for speed is the one that `canonical_json` gives, for any letters."""
    row = make_row(1, GENESIS, name)._replace(id=number, kiosk_id=kiosk, action=text, reason=text, success=int(ok))
    members: dict[str, object] = {**row._asdict(), "prev_hash": text, "success": ok}
    for left_out in ("detail", "detail_salt", "row_hash"):
        del members[left_out]
    assert row_hash(row, text) == hashlib.sha256(canonical_json(members).encode()).hexdigest()


class TestPart:
    """A range of rows, as an export holds it."""

    ROWS = make_log(10)

    def check(self, first: int, last: int, *signed: int, is_to_the_end: bool = False) -> ChainReport:
        after = Head(first - 1, self.ROWS[first - 2].row_hash if first > 1 else GENESIS)
        lines = Signed(lines=anchors(self.ROWS, *signed), keys=key_path([], KEY.public_key()))
        return verify_chain(self.ROWS[first - 1 : last], lines, Part(after, is_to_the_end))

    def test_it_is_proved_as_far_as_it_was_signed(self):
        report = self.check(4, 8, 2, 6, 9)
        assert report.ok
        assert (report.rows, report.proved_to, report.unsigned_rows) == (5, 6, 2)

    def test_nothing_of_it_is_proved_without_a_checkpoint_among_its_rows(self):
        report = self.check(4, 5, 2, 3, 6)
        assert not report.ok
        assert "no signed checkpoint falls among rows 4 to 5" in report.findings[0].what

    def test_the_row_before_it_is_held_against_its_checkpoint_too(self):
        after = Head(3, "0" * 64)
        lines = Signed(lines=anchors(self.ROWS, 3, 6), keys=key_path([], KEY.public_key()))
        assert verify_chain(self.ROWS[3:8], lines, Part(after, is_to_the_end=False)).first_bad_row == 3

    def test_its_end_may_be_missing_only_where_it_was_not_the_logs(self):
        assert self.check(1, 5, 3, 8).ok
        assert self.check(1, 5, 3, 8, is_to_the_end=True).first_bad_row == 6


class TestOnTheStore:
    """The same by SQL, with the database's own key in hand."""

    ENTRY = AuditEntry("login", False, "denied", "alice", "lobby", "192.0.2.7", {"why": "wrong code"})

    @pytest.fixture
    def checkpoints(self, database: Database, keyring: Keyring, now: datetime, tmp_path) -> Checkpoints:
        """Eight rows, with a checkpoint at the fourth and the last."""
        audit, made = AuditLog(database), Checkpoints(tmp_path / "checkpoints.jsonl", keyring.audit)
        for _ in range(2):
            for _ in range(4):
                audit.record(self.ENTRY, now)
            made.write(audit, now)
        return made

    def _check(self, database: Database, keyring: Keyring, checkpoints: Checkpoints) -> ChainReport:
        return checkpoints.verify(AuditLog(database).chain())

    def test_untouched(self, database: Database, keyring: Keyring, checkpoints: Checkpoints):
        report = self._check(database, keyring, checkpoints)
        assert report.ok
        assert (report.proved_to, report.unsigned_rows) == (8, 0)

    @pytest.mark.parametrize(
        ("statement", "row"),
        [
            ("UPDATE access_logs SET success = 1 WHERE id = 3", 3),
            ("UPDATE access_logs SET username = 'bob' WHERE id = 1", 1),
            ("UPDATE access_logs SET ts_utc = '2026-11-22T09:30:00.000001Z' WHERE id = 8", 8),
            ("UPDATE access_logs SET ts_utc = 'yesterday' WHERE id = 5", 5),
            ("UPDATE access_logs SET detail = '{}' WHERE id = 6", 6),
            ("UPDATE access_logs SET detail_salt = 'text' WHERE id = 6", 6),
            ("UPDATE access_logs SET source_address = NULL WHERE id = 2", 2),
            ("DELETE FROM access_logs WHERE id = 1", 1),
            ("DELETE FROM access_logs WHERE id = 5", 5),
            ("DELETE FROM access_logs WHERE id = 8", 8),
            ("DELETE FROM access_logs WHERE id > 3", 4),
            ("DELETE FROM access_logs", 1),
            ("UPDATE access_logs SET id = id + 100 WHERE id = 5", 5),
            ("UPDATE access_logs SET username = CAST(X'FF' AS TEXT) WHERE id = 5", 5),
        ],
    )
    def test_tampered_with(
        self, database: Database, keyring: Keyring, checkpoints: Checkpoints, statement: str, row: int
    ):
        with database.transaction() as session:
            session.connection().exec_driver_sql(statement)
        assert self._check(database, keyring, checkpoints).first_bad_row == row

    def test_two_rows_swapped(self, database: Database, keyring: Keyring, checkpoints: Checkpoints):
        with database.transaction() as session:
            for one, other in ((3, 100), (6, 3), (100, 6)):
                session.connection().exec_driver_sql(f"UPDATE access_logs SET id = {other} WHERE id = {one}")  # noqa: S608
        assert self._check(database, keyring, checkpoints).first_bad_row == 3

    def test_an_older_copy_put_back(
        self, database: Database, keyring: Keyring, checkpoints: Checkpoints, now: datetime
    ):
        with database.transaction() as session:
            session.connection().exec_driver_sql("DELETE FROM access_logs WHERE id > 6")
        assert self._check(database, keyring, checkpoints).first_bad_row == 7
        audit = AuditLog(database)
        with pytest.raises(StoreError, match="older copy"):
            checkpoints.write(audit, now)
        for _ in range(3):
            audit.record(self.ENTRY, now)
        with pytest.raises(StoreError, match=r"row 8 .*older copy"):
            checkpoints.write(audit, now)
        report = self._check(database, keyring, checkpoints)
        assert report.first_bad_row == 8
        assert "written anew" in report.findings[0].what
