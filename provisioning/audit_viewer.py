"""The viewer of the audit log: one page of rows at a time, however long the log is.

Names, addresses and details were typed by strangers: each text is escaped, and reaches a widget as
plain text that is never read as markup.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final

from rich.text import Text
from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, VerticalScroll
from textual.message import Message
from textual.timer import Timer
from textual.widgets import DataTable, Footer, Static
from textual.worker import get_current_worker

from auth_server.audit import AuditRow, RowFilter
from auth_server.audit_words import why
from auth_server.errors import StoreError
from provisioning.audit_options import detail
from provisioning.audit_viewer_filter import FilterForm, filter_words
from provisioning.output import escape

PAGE_ROWS: Final = 100
LIVE_EVERY_S: Final = 2.0

Read = Callable[[RowFilter], Sequence[AuditRow]]
_COLUMNS: Final = (("ROW", 7), ("TIME (UTC)", 14), ("NAME", 11), ("KIOSK", 9), ("ACTION", 12), ("RESULT", 13))


class Rows(DataTable[Text]):
    """The list. Beyond its last row lies the older page, and above its first the newer one."""

    class Beyond(Message):
        """Somebody wants to go on beyond the page."""

        def __init__(self, *, is_older: bool) -> None:
            super().__init__()
            self.is_older = is_older

    def action_cursor_down(self) -> None:
        """Go one row down, or on to the older page."""
        if self.cursor_row >= self.row_count - 1:
            self.post_message(self.Beyond(is_older=True))
        else:
            super().action_cursor_down()

    def action_cursor_up(self) -> None:
        """Go one row up, or back to the newer page."""
        if self.cursor_row <= 0:
            self.post_message(self.Beyond(is_older=False))
        else:
            super().action_cursor_up()


class Viewer(App[None]):
    """Shows what `read` finds, the newest rows first."""

    TITLE = "4Auth audit log"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (116, "-wide")]  # noqa: RUF012 - as its base class has it
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "filter", "Filter"),
        Binding("n", "older", "Older"),
        Binding("p", "newer", "Newer"),
        Binding("g", "newest", "Newest"),
        Binding("l", "live", "Live"),
        Binding("tab", "app.focus_next", "Pane"),
        Binding("q", "quit", "Quit"),
    ]
    CSS = """
    #top { height: 1; background: $primary; color: $text; }
    #site { width: auto; padding: 0 1; text-style: bold; }
    #asked { width: 1fr; padding: 0 1; }
    #state { width: auto; padding: 0 1; }
    Rows { height: 1fr; }
    Rows > .datatable--header { text-style: bold; }
    #row { padding: 0 1; background: $surface; }
    #row:focus { background: $panel; }
    .-narrow #panes { layout: vertical; }
    .-narrow #row { height: 45%; border-top: solid $primary; }
    .-wide #panes { layout: horizontal; }
    .-wide Rows { width: 80; }
    .-wide #row { width: 1fr; height: 100%; border-left: solid $primary; }
    """

    def __init__(self, read: Read, site: str, asked: RowFilter) -> None:
        super().__init__()
        self._read = read
        self._site = site
        self._asked = asked
        self._befores: list[int | None] = [None]
        self._rows: Sequence[AuditRow] = ()
        self._has_older = False
        self._live: Timer | None = None

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        with Horizontal(id="top"):
            yield Static(Text(f"{self.TITLE} · {escape(self._site)}"), id="site")
            yield Static(id="asked", markup=False)
            yield Static(id="state", markup=False)
        with Container(id="panes"):
            yield Rows(cursor_type="row", zebra_stripes=True, id="rows")
            with VerticalScroll(id="row"):
                yield Static(id="told", markup=False)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Show the newest page."""
        table = self.query_one(Rows)
        for name, width in _COLUMNS:
            table.add_column(Text(name), width=width)
        table.focus()
        self._load()

    def action_filter(self) -> None:
        """Ask for another filter."""
        self.push_screen(FilterForm(self._asked), self._filtered)

    def _filtered(self, asked: RowFilter | None) -> None:
        if asked is not None:
            self._asked = asked
            self.action_newest()

    def action_older(self) -> None:
        """Go on to the rows before those on this page."""
        if self._has_older and self._rows:
            self._befores.append(self._rows[-1].id)
            self._load()

    def action_newer(self) -> None:
        """Go back to the rows after those on this page."""
        if len(self._befores) > 1:
            self._befores.pop()
            self._load()

    @on(Rows.Beyond)
    def _go_beyond(self, asked: Rows.Beyond) -> None:
        if asked.is_older:
            self.action_older()
        else:
            self.action_newer()

    def action_newest(self) -> None:
        """Go to the newest rows."""
        self._befores = [None]
        self._load()

    def action_live(self) -> None:
        """Look for new rows every two seconds, or no more."""
        if self._live is None:
            self._live = self.set_interval(LIVE_EVERY_S, self._look_again)
            self._look_again()
        else:
            self._live.stop()
            self._live = None
            self._tell_state()

    def _look_again(self) -> None:
        # On an older page nothing moves: somebody is reading there.
        if len(self._befores) == 1:
            self._load(is_kept=True)
        else:
            self._tell_state()

    @work(thread=True, exclusive=True)
    def _load(self, *, is_kept: bool = False) -> None:
        """Read one page in a thread, so that a long search stops nobody from doing something else."""
        asked = replace(self._asked, before_id=self._befores[-1], limit=PAGE_ROWS + 1)
        self.call_from_thread(self._tell_state, "reading")
        try:
            found = self._read(asked)
        except StoreError as error:
            self.call_from_thread(self._tell_state, escape(str(error)))
            return
        if not get_current_worker().is_cancelled:
            self.call_from_thread(self._show, found, is_kept)

    def _show(self, found: Sequence[AuditRow], is_kept: bool) -> None:
        table = self.query_one(Rows)
        chosen = self._chosen() if is_kept else None
        if is_kept and [row.id for row in found[:PAGE_ROWS]] == [row.id for row in self._rows]:
            self._tell_state()
            return
        self._rows, self._has_older = found[:PAGE_ROWS], len(found) > PAGE_ROWS
        table.clear()
        for row in self._rows:
            table.add_row(*_cells(row), key=str(row.id))
        place = next((at for at, row in enumerate(self._rows) if chosen is not None and row.id == chosen.id), 0)
        # Whoever stands on the newest row sees the newest row.
        table.move_cursor(row=0 if chosen is None or not is_kept else place)
        self._tell_state()
        self._tell_row()

    def _chosen(self) -> AuditRow | None:
        at = self.query_one(Rows).cursor_row
        return self._rows[at] if 0 < at < len(self._rows) else None

    @on(DataTable.RowHighlighted)
    def _tell_row(self) -> None:
        at = self.query_one(Rows).cursor_row
        told = _whole(self._rows[at]) if 0 <= at < len(self._rows) else Text("No row is like this.")
        self.query_one("#told", Static).update(told)
        self.query_one("#row", VerticalScroll).scroll_home(animate=False)

    def _tell_state(self, what: str = "") -> None:
        first, last = (self._rows[0].id, self._rows[-1].id) if self._rows else (0, 0)
        place = f"rows {first} to {last}" if self._rows else "no rows"
        more = "" if not self._has_older else ", more below"
        live = " · live" if self._live is not None else ""
        self.query_one("#asked", Static).update(Text(filter_words(self._asked)))
        self.query_one("#state", Static).update(Text((what or place + more) + live))


def _cells(row: AuditRow) -> list[Text]:
    colour = "green" if row.success else "red"
    texts = (
        str(row.id),
        row.ts_utc.strftime("%m-%d %H:%M:%S"),
        row.username or "-",
        row.kiosk_id or "-",
        row.action,
        row.reason,
    )
    return [
        Text(_cut(escape(text), width), style=colour if name == "RESULT" else "", no_wrap=True)
        for text, (name, width) in zip(texts, _COLUMNS, strict=True)
    ]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _whole(row: AuditRow) -> Text:
    told = Text(f"Row {row.id}\n", style="bold")
    for sentence in why(row):
        told.append(f"{escape(sentence)}\n", style="not bold")
    told.append("\nAs it is stored\n", style="bold")
    fields: dict[str, Any] = {
        "address": row.source_address,
        "hash": row.row_hash,
        "detail": "erased" if row.detail is None else "",
    }
    for name, value in fields.items():
        told.append(f"{name}: {escape(str(value)) if value is not None else '-'}\n", style="not bold dim")
    if row.detail is not None:
        # JSON spells out control characters; what reorders text is spelt out line by line.
        for line in json.dumps(detail(row), indent=2, ensure_ascii=False).splitlines():
            told.append(f"{escape(line)}\n", style="not bold dim")
    return told
