"""One audit key hands over to the next, and only the key in force at a line may sign it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auth_server.audit_chain import GENESIS, Checkpoint, HandOver, Head, Restore, StoredRow, detail_hash, row_hash
from auth_server.audit_keys import key_path
from auth_server.audit_verify import ChainReport, Signed, verify_chain
from auth_server.checkpoint_line import line_of, parse_line
from auth_server.keyring import key_id


def key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number] * 32))


OLD, NEW, THIRD, THIEF = key(1), key(2), key(3), key(9)


def make_log(count: int, username: str = "ann", begin: Sequence[StoredRow] = ()) -> list[StoredRow]:
    rows = list(begin)
    while len(rows) < count:
        prev = rows[-1].row_hash if rows else GENESIS
        hashed = detail_hash(b"salt", "{}")
        number = len(rows) + 1
        fields = (username, "lobby", None, "login", 0, "denied", "{}", b"salt", hashed)
        row = StoredRow(number, "2026-11-22T09:30:00.000000Z", *fields, "")
        rows.append(row._replace(row_hash=row_hash(row, prev)))
    return rows


def draft(rows: Sequence[StoredRow], sequence: int, line: int, signer: Ed25519PrivateKey) -> Checkpoint:
    head = rows[sequence - 1].row_hash if sequence else GENESIS
    return Checkpoint(sequence, head, "2026-11-22T10:00:00.000000Z", key_id(signer.public_key()), b"", line)


def signed(made: Checkpoint, signer: Ed25519PrivateKey, counter: Ed25519PrivateKey | None = None) -> Checkpoint:
    text = made.signed_bytes()
    return replace(made, signature=signer.sign(text), countersignature=b"" if counter is None else counter.sign(text))


def plain(rows: Sequence[StoredRow], sequence: int, line: int, signer: Ed25519PrivateKey) -> Checkpoint:
    return signed(draft(rows, sequence, line, signer), signer)


def hand_over(
    rows: Sequence[StoredRow],
    sequence: int,
    line: int,
    old: Ed25519PrivateKey,
    new: Ed25519PrivateKey,
    counter: Ed25519PrivateKey | None = None,
) -> Checkpoint:
    mark = HandOver(old.public_key().public_bytes_raw(), new.public_key().public_bytes_raw(), line)
    return signed(replace(draft(rows, sequence, line, old), hand_over=mark), old, counter or new)


def check(
    rows: Sequence[StoredRow],
    lines: Sequence[Checkpoint],
    in_use: Ed25519PrivateKey = NEW,
    known: Sequence[Ed25519PrivateKey] = (),
) -> ChainReport:
    marks = [line for line in lines if line.restore or line.hand_over]
    keys = key_path(marks, in_use.public_key(), [each.public_key() for each in known])
    return verify_chain(rows, Signed(lines=lines, keys=keys, marks=marks))


ROWS = make_log(8)
BEFORE = [plain(ROWS, 2, 1, OLD), plain(ROWS, 4, 2, OLD)]
HANDED = hand_over(ROWS, 5, 3, OLD, NEW)
AFTER = [plain(ROWS, 6, 4, NEW), plain(ROWS, 8, 5, NEW)]
STORY = [*BEFORE, HANDED, *AFTER]


def test_a_log_that_was_handed_over_is_whole_and_says_so():
    report = check(ROWS, STORY)
    assert report.ok and report.proved_to == 8
    assert report.keys == (key_id(OLD.public_key()), key_id(NEW.public_key()))
    assert report.notes == (
        f"checkpoint line 3: on 2026-11-22T10:00:00.000000Z audit key {report.keys[0]} handed over to {report.keys[1]}",
    )


def test_any_number_of_hand_overs_follow_each_other():
    lines = [*STORY, hand_over(ROWS, 8, 6, NEW, THIRD), plain(ROWS, 8, 7, THIRD)]
    report = check(ROWS, lines, THIRD)
    assert report.ok and len(report.keys) == 3


def test_the_newest_key_alone_is_needed_to_check_all_lines():
    """No key file of the retired ones is asked for: each is named, under two signatures, where it ended."""
    assert check(ROWS, STORY, NEW, known=[]).ok


def test_a_hand_over_reads_back_as_it_was_written():
    assert parse_line(line_of(HANDED), 3) == HANDED


class TestStolenOldKey:
    """A thief has the retired key, and can write to the database and the checkpoint file."""

    def test_signs_no_line_after_its_hand_over(self):
        rows = make_log(9, "mallory", begin=ROWS)
        report = check(rows, [*STORY, plain(rows, 9, 6, OLD)])
        assert not report.ok and report.proved_to == 8
        assert "that key was not in force there" in report.findings[0].what

    def test_hands_over_to_no_other_key(self):
        rows = make_log(9, "mallory", begin=ROWS)
        lines = [*STORY, hand_over(rows, 8, 6, OLD, THIEF), plain(rows, 9, 7, THIEF)]
        report = check(rows, lines)
        assert not report.ok and report.proved_to == 8

    def test_writes_no_row_anew_that_was_signed_after(self):
        """It can sign any line before the hand-over; the rows must still lead to what the new key signed."""
        rows = make_log(8, "mallory", begin=ROWS[:1])
        lines = [plain(rows, 2, 1, OLD), plain(rows, 4, 2, OLD), HANDED, *AFTER]
        report = check(rows, lines)
        assert not report.ok and report.first_bad_row == 5

    def test_moves_its_hand_over_nowhere(self):
        rows = make_log(8, "mallory", begin=ROWS[:1])
        lines = [*[plain(rows, n, n, OLD) for n in range(1, 6)], replace(HANDED, line=6), *AFTER]
        assert not check(rows, lines).ok

    def test_a_copy_of_its_hand_over_further_down_unproves_nothing(self):
        report = check(ROWS, [*STORY, replace(HANDED, line=6)])
        assert not report.ok and report.proved_to == 8 and report.finding_count == 1

    def test_makes_its_hand_over_for_no_other_rows(self):
        rows = make_log(5, "mallory")
        forged = hand_over(rows, 5, 3, OLD, NEW, counter=OLD)  # the new key would not sign it
        report = check(rows, [plain(rows, 2, 1, OLD), plain(rows, 4, 2, OLD), forged])
        assert not report.ok and report.proved_to == 0

    def test_takes_the_hand_over_back_by_no_cut(self):
        report = check(ROWS[:4], BEFORE)
        assert not report.ok and report.proved_to == 0

    def test_gives_up_no_row_by_a_restore(self):
        rows = make_log(8, "mallory", begin=ROWS[:2])
        given_up = Restore(2, Head(8, ROWS[7].row_hash), 6)
        forged = signed(replace(draft(rows, 8, 6, OLD), restore=given_up), OLD)
        report = check(rows, [*STORY, forged])
        assert not report.ok and report.first_bad_row == 4


class TestForgedHandOver:
    """Somebody without the keys, or with one of them too few."""

    @pytest.mark.parametrize(
        ("forged", "told"),
        [
            (hand_over(ROWS, 5, 3, THIEF, NEW), "was signed by key"),
            (hand_over(ROWS, 5, 3, THIEF, THIEF), "was signed by key"),
            (hand_over(ROWS, 5, 3, OLD, THIEF), "hands over to key"),
            (hand_over(ROWS, 5, 3, OLD, NEW, counter=THIEF), "hands over to key"),
            (replace(HANDED, sequence=6), "its signature is wrong"),
            (replace(HANDED, countersignature=b""), "hands over to key"),
        ],
        ids=["by a stranger", "all a stranger's", "to a stranger", "not countersigned", "changed", "half signed"],
    )
    def test_is_found_and_makes_nothing_valid_after_it(self, forged: Checkpoint, told: str):
        in_use = OLD if forged.hand_over and forged.key_id == key_id(OLD.public_key()) else NEW
        report = check(ROWS, [*BEFORE, forged, *AFTER], in_use)
        assert not report.ok
        assert any(told in finding.what for finding in report.findings), report.findings

    def test_of_the_key_in_use_to_one_that_the_site_never_had(self):
        """The key was stolen while it was in use, and the thief goes on with a key of his own."""
        rows = make_log(9, "mallory", begin=ROWS)
        lines = [*STORY, hand_over(rows, 8, 6, NEW, THIEF), plain(rows, 9, 7, THIEF)]
        report = check(rows, lines)
        assert not report.ok and report.proved_to == 8
        assert "which is not this site's" in report.findings[0].what


class TestInterrupted:
    """A rotation was killed between the hand-over and the change of the key in use."""

    def test_the_site_knows_the_new_key_and_finds_nothing(self):
        report = check(ROWS, STORY, OLD, known=[OLD, NEW])
        assert report.ok and report.proved_to == 8
        assert report.keys[-1] == key_id(NEW.public_key())

    def test_a_retired_key_that_is_known_proves_nothing_after(self):
        rows = make_log(9, "mallory", begin=ROWS)
        assert not check(rows, [*STORY, plain(rows, 9, 6, OLD)], NEW, known=[NEW, OLD]).ok
