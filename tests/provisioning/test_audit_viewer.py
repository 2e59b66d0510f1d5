"""`audit view`: a person looks through the log at a terminal."""

import asyncio
import json
import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static

from auth_server.audit_chain import AuditRow
from auth_server.audit_filter import RowFilter
from auth_server.errors import StoreError
from provisioning.audit_viewer import PAGE_ROWS, Viewer
from provisioning.audit_viewer_filter import FilterForm, filter_words

START = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def make_row(number: int, username: str | None = "ann", **members: object) -> AuditRow:
    row = AuditRow(
        number,
        START + timedelta(minutes=number),
        username,
        "lobby-1",
        "192.0.2.7",
        "login",
        False,
        "denied",
        '{"verdicts":{"password":{"passed":false}}}',
        b"",
        "",
        "a" * 64,
    )
    return replace(row, **members)


class Log:
    """A log of any length, of which pages are asked for."""

    def __init__(self, count: int) -> None:
        self.rows = [make_row(number) for number in range(1, count + 1)]
        self.asked: list[RowFilter] = []
        self.fault: StoreError | None = None

    def __call__(self, wanted: RowFilter) -> list[AuditRow]:
        self.asked.append(wanted)
        if self.fault:
            raise self.fault
        found = [row for row in reversed(self.rows) if wanted.before_id is None or row.id < wanted.before_id]
        return [row for row in found if wanted.username in (None, row.username)][: wanted.limit]


Steps = Callable[[Viewer, "Pilot[None]"], Awaitable[None]]


def look(log: Log, steps: Steps, asked: RowFilter | None = None, size: tuple[int, int] = (80, 24)) -> Viewer:
    """Run the viewer on a terminal of this size, with somebody who does these steps."""

    async def run() -> Viewer:
        viewer = Viewer(log, "head-office", asked or RowFilter())
        async with viewer.run_test(size=size) as pilot:
            await settle(viewer, pilot)
            await steps(viewer, pilot)
        return viewer

    return asyncio.run(run())


async def settle(viewer: Viewer, pilot: "Pilot[None]") -> None:
    await pilot.pause()
    await viewer.workers.wait_for_complete()
    await pilot.pause()


def shown(viewer: Viewer, name: str) -> str:
    return str(viewer.screen_stack[0].query_one(f"#{name}", Static).content)


def ids(viewer: Viewer) -> list[int]:
    table = viewer.screen_stack[0].query_one(DataTable)
    return [int(str(table.get_row_at(at)[0])) for at in range(table.row_count)]


def test_the_newest_rows_come_first_and_the_chosen_one_is_explained():
    async def steps(viewer: Viewer, pilot: "Pilot[None]") -> None:
        assert ids(viewer) == [3, 2, 1]
        assert "4Auth audit log · head-office" in shown(viewer, "site")
        assert "Row 3" in shown(viewer, "told") and "Password: failed: it is not the one enrolled." in shown(
            viewer, "told"
        )
        await pilot.press("down")
        assert "Row 2" in shown(viewer, "told")

    look(Log(3), steps)


def test_a_long_log_is_read_a_page_at_a_time_there_and_back():
    async def steps(viewer: Viewer, pilot: "Pilot[None]") -> None:
        assert ids(viewer)[0] == 1_000 and len(ids(viewer)) == PAGE_ROWS
        assert "more below" in shown(viewer, "state")
        await pilot.press("n")
        await settle(viewer, pilot)
        assert ids(viewer)[0] == 1_000 - PAGE_ROWS
        await pilot.press("p")
        await settle(viewer, pilot)
        assert ids(viewer)[0] == 1_000
        await pilot.press("p")
        await settle(viewer, pilot)
        assert ids(viewer)[0] == 1_000

    log = Log(1_000)
    look(log, steps)
    assert max(asked.limit for asked in log.asked) == PAGE_ROWS + 1


def test_going_down_beyond_the_last_row_goes_on_to_the_older_page():
    async def steps(viewer: Viewer, pilot: "Pilot[None]") -> None:
        viewer.query_one(DataTable).move_cursor(row=PAGE_ROWS - 1)
        await pilot.press("down")
        await settle(viewer, pilot)
        assert ids(viewer) == [50 - n for n in range(50)]
        viewer.query_one(DataTable).move_cursor(row=49)
        await pilot.press("down")
        await settle(viewer, pilot)
        assert ids(viewer)[-1] == 1
        await pilot.press("g")
        await settle(viewer, pilot)
        await pilot.press("down", "up", "up")
        assert ids(viewer)[0] == PAGE_ROWS + 50

    look(Log(PAGE_ROWS + 50), steps)


def test_the_form_asks_for_a_filter_and_says_which_one_is_in_force():
    async def steps(viewer: Viewer, pilot: "Pilot[None]") -> None:
        await pilot.press("f")
        await pilot.pause()
        await pilot.press(*"BOB", "enter")
        await settle(viewer, pilot)
        assert ids(viewer) == [2]
        assert shown(viewer, "asked") == "user=bob"
        await pilot.press("f")
        await pilot.pause()
        assert viewer.screen.query_one("#username", Input).value == "bob"
        await pilot.click("#clear")
        await settle(viewer, pilot)
        assert ids(viewer) == [3, 2, 1] and shown(viewer, "asked") == "all rows"

    log = Log(3)
    log.rows[1] = make_row(2, "bob")
    look(log, steps)


@pytest.mark.parametrize(
    ("field", "typed", "told"),
    [("since", "yesterday", "Since: a time is ISO 8601"), ("kiosk_id", "a b", "Kiosk: "), ("username", "", "")],
)
def test_a_field_that_breaks_a_rule_is_named_and_nothing_is_asked_for(field: str, typed: str, told: str):
    async def steps(viewer: Viewer, pilot: "Pilot[None]") -> None:
        await pilot.press("f")
        await pilot.pause()
        viewer.screen.query_one(f"#{field}", Input).value = typed
        await pilot.click("#show")
        await settle(viewer, pilot)
        assert isinstance(viewer.screen, FilterForm) == bool(told)
        if told:
            assert told in str(viewer.screen.query_one("#wrong", Static).content)
            await pilot.press("escape")
            await settle(viewer, pilot)
            assert not isinstance(viewer.screen, FilterForm)

    log = Log(3)
    look(log, steps)
    assert len(log.asked) == (1 if told else 2)


def test_new_rows_come_while_it_is_live_and_an_older_page_stays():
    async def steps(viewer: Viewer, pilot: "Pilot[None]") -> None:
        await pilot.press("l")
        await settle(viewer, pilot)
        assert "live" in shown(viewer, "state")
        await pilot.press("down")
        log.rows.append(make_row(PAGE_ROWS + 21))
        viewer._look_again()
        await settle(viewer, pilot)
        assert ids(viewer)[0] == PAGE_ROWS + 21
        assert f"Row {PAGE_ROWS + 19}" in shown(viewer, "told")  # whoever reads a row goes on reading it
        await pilot.press("n")
        await settle(viewer, pilot)
        before = ids(viewer)
        log.rows.append(make_row(PAGE_ROWS + 22))
        viewer._look_again()
        await settle(viewer, pilot)
        assert ids(viewer) == before
        await pilot.press("l")
        await settle(viewer, pilot)
        assert "live" not in shown(viewer, "state")

    log = Log(PAGE_ROWS + 20)
    look(log, steps)


def test_a_store_that_fails_is_told_of_and_the_viewer_goes_on():
    async def steps(viewer: Viewer, pilot: "Pilot[None]") -> None:
        log.fault = StoreError("the store was busy")
        await pilot.press("g")
        await settle(viewer, pilot)
        assert "the store was busy" in shown(viewer, "state")
        log.fault = None
        await pilot.press("g")
        await settle(viewer, pilot)
        assert ids(viewer) == [2, 1]

    log = Log(2)
    look(log, steps)


def test_an_empty_log_and_one_that_nobody_matches():
    async def steps(viewer: Viewer, pilot: "Pilot[None]") -> None:
        assert "no rows" in shown(viewer, "state")
        await pilot.press("down", "up", "n", "p")

    look(Log(0), steps)
    look(Log(3), steps, RowFilter(username="nobody"))


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 12), (200, 60)])
def test_it_has_a_place_on_any_terminal(size: tuple[int, int]):
    async def steps(viewer: Viewer, pilot: "Pilot[None]") -> None:
        assert viewer.query_one("#row").size.height >= 3
        assert viewer.query_one(DataTable).size.height >= 3
        await pilot.press("f")
        await pilot.pause()

    look(Log(30), steps, size=size)


def test_all_keys_are_shown():
    async def steps(viewer: Viewer, pilot: "Pilot[None]") -> None:
        svg = viewer.export_screenshot()
        for word in ("Filter", "Older", "Newer", "Newest", "Live", "Quit"):
            assert word in svg

    look(Log(3), steps)


HOSTILE = "[bold red]x[/] \x1b[2J\x1b]0;owned\x07 \u202eevil\u2066 [link=http://x]y[/link] [@click=app.quit]z[/] \\["


def test_what_strangers_typed_steers_no_terminal_and_is_no_markup():
    async def steps(viewer: Viewer, pilot: "Pilot[None]") -> None:
        told = shown(viewer, "told")
        assert "[bold red]x[/]" in told and "\\x1b[2J" in told and "\\u202eevil" in told
        assert "[@click=app.quit]z[/]" in told
        cells = [cell.plain for cell in viewer.query_one(DataTable).get_row_at(0)]
        assert cells[2].startswith("[bold red]") and cells[3:] == ["\\x1b[2J\\…", "\\x9b2J", "\\u2028x"]
        for text in (told, viewer.export_screenshot(), "".join(cells)):
            assert not set(text) & set("\x1b\x07\u202e\u2066\x9b")

    log = Log(0)
    detail = '{"why":' + json.dumps(HOSTILE) + "}"
    log.rows = [make_row(1, HOSTILE, kiosk_id="\x1b[2J\u202e", action="\x9b2J", reason="\u2028x", detail=detail)]
    look(log, steps, RowFilter(text=HOSTILE, username=None))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=40), st.text(max_size=40))
def test_any_letters_are_shown_as_plain_text(name: str, detail: str):
    async def steps(viewer: Viewer, pilot: "Pilot[None]") -> None:
        told = shown(viewer, "told").replace("\n", "")
        assert not [c for c in told if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]

    log = Log(0)
    log.rows = [make_row(1, name, detail=detail, reason=detail, action=name)]
    look(log, steps)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (RowFilter(), "all rows"),
        (RowFilter(username="ann", success=False), "user=ann  outcome=failure"),
        (RowFilter(since=START, text="a\x1bb"), "since=2026-11-22T09:30:00Z  text=a\\x1bb"),
        (RowFilter(success=True, kiosk_id="lobby-1"), "kiosk=lobby-1  outcome=success"),
    ],
)
def test_the_filter_in_words(asked: RowFilter, words: str):
    assert filter_words(asked) == words


def test_where_there_is_no_terminal_it_refuses(command):
    result = command("audit", "view")
    assert result.exit_code == 1
    assert "needs a terminal: use `4auth-provision audit list`" in result.stderr
    assert command("audit", "view", "--json").exit_code == 2
