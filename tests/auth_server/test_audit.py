"""The audit log: every row says who, where, what and why, in bounded text, whoever wrote it."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Engine, event

from auth_server.audit import AuditLog, RowFilter
from auth_server.audit_chain import GENESIS
from auth_server.audit_detail import CUT, DETAIL_MAX_BYTES, detail_text, name_text
from auth_server.audit_keys import key_path
from auth_server.audit_verify import ChainReport, Signed, verify_chain
from auth_server.domain import AuditEntry
from auth_server.keyring import Keyring
from auth_server.store.database import Database

ENTRY = AuditEntry(
    action="login",
    success=False,
    outcome_reason="denied",
    username="alice",
    kiosk_id="lobby",
    source_address="192.0.2.7",
    detail={"verdicts": {"password": {"passed": False}}},
)


def check(audit: AuditLog, keyring: Keyring) -> ChainReport:
    """Verify a log that has no checkpoints."""
    return verify_chain(audit.chain(), Signed(lines=[], keys=key_path([], keyring.audit_key.public_key())))


@pytest.fixture
def audit(database: Database) -> AuditLog:
    """An empty log."""
    return AuditLog(database)


def test_a_row_says_who_where_what_and_why(audit: AuditLog, now: datetime):
    assert audit.record(ENTRY, now) == 1
    row = audit.show(1)
    assert row is not None
    assert (row.ts_utc, row.username, row.kiosk_id, row.source_address) == (now, "alice", "lobby", "192.0.2.7")
    assert (row.action, row.success, row.reason) == ("login", False, "denied")
    assert json.loads(row.detail or "") == ENTRY.detail
    assert row.ts_utc.tzinfo is UTC
    assert audit.show(2) is None


def test_an_unsigned_request_names_nobody(audit: AuditLog, now: datetime):
    audit.record(replace(ENTRY, username=None, kiosk_id=None, source_address=None), now)
    row = audit.show(1)
    assert row is not None
    assert (row.username, row.kiosk_id, row.source_address) == (None, None, None)


def test_a_row_commits_with_its_effect_or_not_at_all(audit: AuditLog, database: Database, now: datetime):
    with pytest.raises(RuntimeError), database.transaction() as session:
        audit.append(session, ENTRY, now)
        raise RuntimeError
    assert audit.head() == (0, GENESIS)


def test_a_row_outlives_an_effect_that_is_rolled_back(audit: AuditLog, database: Database, now: datetime):
    with database.transaction() as session:
        effect = session.begin_nested()
        session.connection().exec_driver_sql("DELETE FROM site")
        effect.rollback()
        audit.append(session, ENTRY, now)
    assert audit.head().sequence == 1
    with database.read() as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM site").scalar_one() == 1


def test_the_head_is_the_newest_row(audit: AuditLog, now: datetime):
    assert audit.head() == (0, GENESIS)
    for _ in range(3):
        audit.record(ENTRY, now)
    newest = audit.show(3)
    assert newest is not None
    assert audit.head() == (3, newest.row_hash)


def test_two_equal_entries_have_different_salts_and_hashes(audit: AuditLog, now: datetime):
    audit.record(ENTRY, now)
    audit.record(ENTRY, now)
    one, other = audit.chain()
    assert one.detail == other.detail
    assert one.detail_salt != other.detail_salt
    assert one.detail_hash != other.detail_hash


class TestRows:
    """The viewer's ways through the log."""

    @pytest.fixture(autouse=True)
    def _rows(self, audit: AuditLog, now: datetime):
        people = [("alice", True), ("bob", False), (None, False), ("alice", False)]
        for number, (username, success) in enumerate(people):
            entry = replace(ENTRY, username=username, success=success, action="login" if number else "open_attempt")
            audit.record(entry, now + timedelta(seconds=number))

    @pytest.mark.parametrize(
        ("wanted", "ids"),
        [
            (RowFilter(), [4, 3, 2, 1]),
            (RowFilter(username="alice"), [4, 1]),
            (RowFilter(username="ALICE' OR 1=1 --"), []),
            (RowFilter(action="login"), [4, 3, 2]),
            (RowFilter(success=True), [1]),
            (RowFilter(success=False, username="alice"), [4]),
            (RowFilter(kiosk_id="lobby"), [4, 3, 2, 1]),
            (RowFilter(kiosk_id="annex"), []),
            (RowFilter(limit=2), [4, 3]),
            (RowFilter(before_id=3, limit=1), [2]),
        ],
    )
    def test_newest_first_and_filtered(self, audit: AuditLog, wanted: RowFilter, ids: list[int]):
        assert [row.id for row in audit.rows(wanted)] == ids

    def test_all_without_a_filter(self, audit: AuditLog):
        assert [row.id for row in audit.rows()] == [4, 3, 2, 1]
        assert [row.id for row in audit.chain()] == [1, 2, 3, 4]


class TestLookedFor:
    """By time, whatever the clock did, and by text, whatever it is."""

    @pytest.fixture(autouse=True)
    def _rows(self, audit: AuditLog, now: datetime):
        """Ten rows, one a minute; before the sixth the clock was set back by three minutes and a half."""
        for number in range(1, 11):
            back = timedelta(minutes=3, seconds=30) if number >= 6 else timedelta()
            detail = {"why": ['50% "off"', "STRASSE", "Straße 7", "a_b", "a\\b", "É", "é", "x", "y", "z"][number - 1]}
            audit.record(replace(ENTRY, detail=detail), now + timedelta(minutes=number) - back)

    @pytest.mark.parametrize(
        ("since", "until", "ids"),
        [
            (None, None, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
            (3, None, [10, 9, 8, 7, 5, 4, 3]),
            (None, 3, [6, 2, 1]),
            (3, 5, [8, 7, 4, 3]),
            (100, None, []),
            (None, -100, []),
            (5, 3, []),
        ],
    )
    def test_a_clock_that_was_set_back_hides_no_row(
        self, audit: AuditLog, now: datetime, since: int | None, until: int | None, ids: list[int]
    ):
        times = [None if minutes is None else now + timedelta(minutes=minutes) for minutes in (since, until)]
        wanted = RowFilter(since=times[0], until=times[1])
        assert [row.id for row in audit.rows(wanted)] == ids
        assert [row.id for row, _ in audit.filtered(wanted, 0, 10)] == ids[::-1]
        paged: list[int] = []
        while page := list(audit.rows(replace(wanted, limit=2, before_id=paged[-1] if paged else None))):
            paged += [row.id for row in page]
        assert paged == ids

    @pytest.mark.parametrize(
        ("text", "ids"),
        [
            ("50% ", [1]),
            ('"OFF"', [1]),
            ('\\"off', [1]),
            ("5_%", []),
            ("5%off", []),
            ("a_b", [4]),
            ("A\\B", [5]),
            ("straSSe", [2]),
            ("STRASSE", [2]),
            ("straße", [3, 2]),
            ("é", [7, 6]),
            ("É", [7, 6]),
            ("LOBBY", [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
            ("192.0.2.7", [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
            ("' OR 1=1 --", []),
        ],
    )
    def test_a_text_is_literal_and_its_case_does_not_matter(self, audit: AuditLog, text: str, ids: list[int]):
        found = [row.id for row in audit.rows(RowFilter(text=text))]
        assert found == ids

    def test_a_row_is_found_by_its_hash(self, audit: AuditLog):
        row = audit.show(4)
        assert row is not None
        assert [found.id for found in audit.rows(RowFilter(text=row.row_hash[:20].upper()))] == [4]

    def test_a_list_is_one_statement_and_reads_no_more_than_its_page(self, audit: AuditLog):
        statements: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            statements.append(statement)

        event.listen(Engine, "before_cursor_execute", note)
        try:
            list(audit.rows(RowFilter(limit=3, username="alice")))
        finally:
            event.remove(Engine, "before_cursor_execute", note)
        assert len(statements) == 1


def test_the_chain_is_read_in_pages(
    audit: AuditLog, now: datetime, monkeypatch: pytest.MonkeyPatch, database: Database
):
    with database.transaction() as session:
        for _ in range(2005):
            audit.append(session, ENTRY, now)
    assert [row.id for row in audit.chain()] == list(range(1, 2006))


def test_a_row_written_during_a_check_does_not_disturb_it(audit: AuditLog, keyring: Keyring, now: datetime):
    audit.record(ENTRY, now)
    rows = audit.chain()
    next(rows)
    audit.record(ENTRY, now)
    assert [row.id for row in rows] == []
    assert check(audit, keyring).rows == 2


def test_rows_of_many_processes_make_one_chain(
    audit: AuditLog, keyring: Keyring, run_in_processes: Callable[[int, str], list[str]]
):
    run_in_processes(
        3,
        """
from auth_server.audit import AuditLog
from auth_server.domain import AuditEntry
audit = AuditLog(database)
wait_for_all()
entry = AuditEntry("login", False, "denied", None, None, None, {})
in_threads(4, lambda _: [audit.record(entry, now) for _ in range(10)])
""",
    )
    report = check(audit, keyring)
    assert report.rows == 120
    assert [finding.what for finding in report.findings if finding.row is not None] == []


class TestText:
    """Somebody else chose these letters."""

    @pytest.mark.parametrize(
        ("given_name", "stored"),
        [
            (None, None),
            ("alice", "alice"),
            ("a" * 64, "a" * 64),
            ("a" * 65, "a" * 64 + CUT),
            ("a\0b", "a\\u0000b"),
            ("\ud800", "\\ud800"),
        ],
    )
    def test_names_are_capped_and_storable(self, given_name: str | None, stored: str | None):
        assert name_text(given_name) == stored

    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.sets(st.integers()),
        max_leaves=50,
    )

    @given(st.dictionaries(st.text(), json_values))
    @example({"why": "x" * 100_000})
    @example({str(number): "x" * 100 for number in range(1000)})
    @example({"k" * 10_000: 1})
    @example({"n": 10**5000})
    @example({"n": [[[[[[[[[[1]]]]]]]]]]})
    @example({"wide": [list(range(100))] * 100})
    @example({"emoji": ["\U0001f512" * 900] * 64})
    def test_any_detail_is_stored_as_bounded_json(self, detail: dict[str, object]):
        text = detail_text(detail)
        assert len(text.encode()) <= DETAIL_MAX_BYTES
        assert isinstance(json.loads(text, parse_constant=pytest.fail), dict)

    def test_a_detail_that_fits_is_kept_whole(self):
        detail = {"why": "x" * 4000, "n": 1.5, "ok": True, "nothing": None, "deep": {"a": [1, 2]}}
        assert json.loads(detail_text(detail)) == detail

    def test_what_was_left_out_is_marked(self):
        told = json.loads(detail_text({"why": "x" * 5000, "many": list(range(100)), "kept": "short"}))
        assert told["why"] == "x" * 1000 + CUT
        assert told["many"][-1] == CUT
        assert told["kept"] == "short"

    def test_what_json_does_not_have_is_named_and_never_printed(self):
        told = json.loads(detail_text({"frame": b"\xff\xd8secret", "clock": datetime(2026, 11, 22, tzinfo=UTC)}))
        assert told == {"frame": "<bytes>", "clock": "2026-11-22T00:00:00.000000Z"}

    def test_a_circle_ends(self):
        circle: dict[str, object] = {}
        circle["self"] = circle
        assert "dict" in detail_text(circle)


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_letters_make_a_row_that_verifies(name: str, detail: str):
    """Pure: what would be stored hashes the same after a round through UTF-8."""
    stored = name_text(name)
    assert stored is not None
    assert "\0" not in stored
    assert stored.encode().decode() == stored
    assert detail_text({"x": detail}).encode().decode() == detail_text({"x": detail})
