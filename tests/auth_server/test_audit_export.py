"""An export proves itself offline, and whatever is done to it is found."""

import base64
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from auth_server.audit_chain import GENESIS, Checkpoint, DamagedLine, Head, StoredRow, detail_hash, row_hash
from auth_server.audit_export import (
    ExportedRow,
    Header,
    checkpoint_line,
    end_line,
    header_line,
    records,
    row_line,
)
from auth_server.audit_export_check import read_header, verify_export
from auth_server.audit_verify import ChainReport
from auth_server.checkpoints import Checkpoints
from auth_server.errors import StoreError
from auth_server.keyring import SigningKeys, key_id

OLD, NEW = (Ed25519PrivateKey.from_private_bytes(bytes([number] * 32)) for number in (1, 2))


SALT = b"\xff\x00salt"


class Rows:
    """A log in memory."""

    def __init__(self, rows: list[StoredRow]) -> None:
        self.rows = rows

    def head(self) -> Head:
        return Head(self.rows[-1].id, self.rows[-1].row_hash)

    def hash_at(self, row_id: int) -> str | None:
        return GENESIS if row_id == 0 else self.rows[row_id - 1].row_hash


def make_log(count: int, name: str = "zoë") -> list[StoredRow]:
    rows: list[StoredRow] = []
    for number in range(1, count + 1):
        detail = f'{{"n":{number}}}'
        fields = (
            name,
            None,
            "192.0.2.7",
            "login",
            1,
            "granted",
            detail,
            b"\xff\x00salt",
            detail_hash(b"\xff\x00salt", detail),
        )
        row = StoredRow(number, "2026-11-22T09:30:00.000000Z", *fields, "")
        rows.append(row._replace(row_hash=row_hash(row, rows[-1].row_hash if rows else GENESIS)))
    return rows


ROWS = make_log(9)


@pytest.fixture
def checkpoints(tmp_path: Path, now: datetime) -> Checkpoints:
    """Signed at rows 2, 4, 5 (where the key changed), 7 and 9."""
    path = tmp_path / "checkpoints.jsonl"
    for end in (2, 4):
        Checkpoints(path, SigningKeys.of(OLD)).write(Rows(ROWS[:end]), now)
    Checkpoints(path, SigningKeys.of(OLD, NEW)).hand_over(Rows(ROWS[:5]), NEW, now)
    made = Checkpoints(path, SigningKeys.of(NEW))
    for end in (7, 9):
        made.write(Rows(ROWS[:end]), now)
    return made


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, checkpoints: Checkpoints) -> Write:
    """Writes an export of rows `first` to `last`; `chosen` makes it a filtered one."""

    def make(first: int = 1, last: int = 9, chosen: list[int] | None = None) -> Path:
        header = Header(
            site="hq",
            made_at="2026-11-22T10:00:00.000000Z",
            after=Head(first - 1, ROWS[first - 2].row_hash if first > 1 else GENESIS),
            last=Head(last, ROWS[last - 1].row_hash),
            is_chained=chosen is None,
            is_to_the_end=chosen is None and last == 9,
            keys=tuple(key.public_bytes_raw() for key in checkpoints.signed().keys.keys),
            filter={},
        )
        wanted = range(first, last + 1) if chosen is None else chosen
        lines = [header_line(header)]
        lines += [checkpoint_line(line) for line in checkpoints.read() if chosen is None]
        lines += [row_line(ROWS[n - 1], ROWS[n - 2].row_hash if n > 1 else GENESIS) for n in wanted]
        lines.append(end_line(len(wanted), Head(wanted[-1], ROWS[wanted[-1] - 1].row_hash)))
        path = tmp_path / "export.jsonl"
        path.write_bytes(b"".join(lines))
        return path

    return make


def check(path: Path) -> ChainReport:
    return verify_export(path, read_header(path))


def edit(path: Path, line: int, **members: object) -> None:
    """Change members of one line, counted from 0."""
    lines = path.read_text().splitlines()
    lines[line] = json.dumps(json.loads(lines[line]) | members)
    path.write_text("\n".join(lines) + "\n")


def row_at(number: int) -> int:
    """The line of a row in a whole export: after the header and five checkpoints."""
    return 5 + number


def test_a_whole_export_is_proved_by_the_key_it_ends_with(write: Write):
    report = check(write())
    assert report.ok and report.findings == ()
    assert (report.rows, report.proved_to, report.unsigned_rows) == (9, 9, 0)
    assert report.keys == (key_id(OLD.public_key()), key_id(NEW.public_key()))


def test_a_range_is_proved_as_far_as_it_was_signed(write: Write):
    report = check(write(3, 8))
    assert report.ok
    assert (report.rows, report.head.sequence, report.proved_to, report.unsigned_rows) == (6, 8, 7, 1)


def test_it_says_how_far_it_has_come(write: Write):
    path, told = write(), []
    verify_export(path, read_header(path), told.append)
    assert told == list(range(1, 10))


@pytest.mark.parametrize(
    "members",
    [
        {"username": "eve"},
        {"success": 0},
        {"ts_utc": "2026-11-22T09:30:00.000001Z"},
        {"detail": "{}"},
        {"detail_salt": "AAAA"},
        {"detail": None},
        {"row_hash": "0" * 64},
        {"detail_hash": "0" * 64},
        {"kiosk_id": "lobby"},
    ],
    ids=lambda members: next(iter(members)),
)
@pytest.mark.parametrize("chosen", [None, [2, 4, 5, 9]], ids=["a chain", "filtered"])
def test_an_edited_row_is_found(write: Write, members: dict[str, object], chosen: list[int] | None):
    path = write(chosen=chosen)
    edit(path, row_at(4) if chosen is None else 2, **members)
    report = check(path)
    assert not report.ok and report.first_bad_row == 4


def test_rows_left_out_or_cut_off_are_found(write: Write):
    path = write()
    lines = path.read_bytes().splitlines(keepends=True)
    for left, bad_row in ((lines[:9] + lines[10:], 4), (lines[:-2] + lines[-1:], 9)):
        path.write_bytes(b"".join(left))
        report = check(path)
        assert report.first_bad_row == bad_row
        assert any("stand in it" in finding.what for finding in report.findings)


def test_a_file_that_was_cut_says_so(write: Write):
    path = write(3, 8)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert "its end is missing" in check(path).findings[-1].what
    path.write_bytes(path.read_bytes()[:-40])
    assert not check(path).ok


def test_checkpoints_left_out_leave_rows_unproved_and_nothing_else(write: Write):
    path = write()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], *lines[6:]]))
    report = check(path)
    assert not report.ok and "there is no signed checkpoint" in report.findings[0].what


def test_another_key_in_the_header_finds_no_line_of_its_own(write: Write):
    """A forger has to sign everything anew, and then has another key than the auditor noted down."""
    path = write()
    thief = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    header = json.loads(path.read_text().splitlines()[0])
    edit(path, 0, keys=[header["keys"][0], base64.b64encode(thief.public_bytes_raw()).decode()])
    report = check(path)
    assert not report.ok and report.proved_to == 0
    assert report.keys == (key_id(thief),)


def test_a_filtered_export_shows_each_row_by_itself(write: Write):
    report = check(write(chosen=[2, 4, 5, 9]))
    assert report.ok
    assert (report.rows, report.proved_to, report.unsigned_rows) == (4, 0, 4)
    assert "proves nothing of the rows that it leaves out" in report.notes[0]


def test_rows_of_a_filtered_export_that_stand_together_follow_each_other(write: Write):
    path = write(chosen=[4, 5])
    edit(path, 2, prev_hash="0" * 64)
    assert check(path).first_bad_row == 5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json\n",
        "[]\n",
        '{"kind":"row"}\n',
        '{"kind":"4auth-audit-export","version":2}\n',
        '{"kind":[]}\n',
        "{}\n",
    ],
)
def test_another_file_is_refused_by_a_sentence(tmp_path: Path, text: str):
    path = tmp_path / "other"
    path.write_text(text)
    with pytest.raises(StoreError, match=r"no line of an audit export|is no audit export"):
        read_header(path)
    with pytest.raises(StoreError, match="cannot be read: No such file"):
        read_header(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "members", [{"id": "4"}, {"id": True}, {"success": True}, {"action": None}, {"detail_salt": "?"}, {"id": -1}]
)
def test_a_row_of_another_type_is_a_finding(write: Write, members: dict[str, object]):
    path = write()
    edit(path, row_at(4), **members)
    report = check(path)
    assert not report.ok
    assert "line 10 is no line of an audit export" in report.findings[0].what


texts = st.none() | st.text()


@given(
    st.tuples(st.integers(1, 2**62), st.text(), texts, texts, texts, st.text(), st.integers(0, 1), st.text(), texts),
    st.none() | st.binary(),
    texts,
)
def test_any_row_comes_back_as_it_was(fields: tuple, salt: bytes | None, prev_hash: str | None):
    row = StoredRow(*fields, salt, "d", "r")
    assert list(records([row_line(row, prev_hash)])) == [ExportedRow(row, prev_hash)]


def test_checkpoint_lines_come_back_as_they_were(checkpoints: Checkpoints):
    lines: list[Checkpoint | DamagedLine] = [*checkpoints.read(), DamagedLine(6, "torn")]
    assert list(records(map(checkpoint_line, lines))) == lines
