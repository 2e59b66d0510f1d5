"""The viewer's form of filters: the same as the options of `audit list`, checked by the same rules."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar, Final

from pydantic import TypeAdapter, ValidationError
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Grid, Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Select, Static

from auth_contract.fields import KioskId, canonical_username
from auth_server.audit import RowFilter
from auth_server.canonical import utc_text
from provisioning.audit_options import OUTCOMES, parse_text, row_filter
from provisioning.output import escape
from provisioning.params import parse_time

_FIELDS: Final[tuple[tuple[str, str, str, Callable[[str], Any]], ...]] = (
    ("username", "User", "a name", canonical_username),
    ("kiosk_id", "Kiosk", "a kiosk's id", TypeAdapter[str](KioskId).validate_python),
    ("action", "Action", "login, admin.user.add, ...", str),
    ("since", "Since", "2026-11-22 or 2026-11-22T09:30", parse_time),
    ("until", "Until", "before this time, UTC", parse_time),
    ("text", "Text", "anywhere in the row", parse_text),
)


def filter_words(asked: RowFilter) -> str:
    """Say in one line which rows a filter asks for."""
    success = None if asked.success is None else OUTCOMES[not asked.success]
    told = {name: _spelt(getattr(asked, name)) for name, *_ in _FIELDS} | {"outcome": success or ""}
    words = {"username": "user", "kiosk_id": "kiosk"}
    return "  ".join(f"{words.get(name, name)}={value}" for name, value in told.items() if value) or "all rows"


class FilterForm(ModalScreen[RowFilter | None]):
    """Asks for a filter; None when it was left as it was."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "leave", "Back")]

    CSS = """
    FilterForm { align: center middle; }
    #form { width: 64; height: auto; border: round $primary; background: $surface; padding: 0 2; }
    #title { text-style: bold; padding-bottom: 1; }
    #fields { grid-size: 2; grid-columns: 10 1fr; grid-rows: 1; height: 7; grid-gutter: 0 1; }
    #fields Input, #fields Select { border: none; height: 1; padding: 0 1; background: $boost; }
    #fields Input:focus { background: $primary 30%; }
    #fields SelectCurrent { border: none; height: 1; padding: 0 1; }
    #wrong { color: $error; height: auto; min-height: 1; }
    #buttons { height: 1; align-horizontal: right; }
    #buttons Button { border: none; height: 1; min-width: 12; margin-left: 2; }
    """

    def __init__(self, asked: RowFilter) -> None:
        super().__init__()
        self._asked = asked

    def compose(self) -> ComposeResult:
        """Lay out the form."""
        with Vertical(id="form"):
            yield Static("Show only rows of", id="title", markup=False)
            with Grid(id="fields"):
                for name, label, hint, _ in _FIELDS:
                    yield Label(label, markup=False)
                    value = _spelt(getattr(self._asked, name))
                    yield Input(value, placeholder=hint, id=name, max_length=200, select_on_focus=False)
                yield Label("Outcome", markup=False)
                yield Select(
                    [(outcome, outcome) for outcome in OUTCOMES],
                    prompt="any",
                    value=Select.NULL if self._asked.success is None else OUTCOMES[not self._asked.success],
                    id="outcome",
                    compact=True,
                )
            yield Static("", id="wrong", markup=False)
            with Horizontal(id="buttons"):
                yield Button("Clear", id="clear", compact=True)
                yield Button("Show", id="show", variant="primary", compact=True)

    def action_leave(self) -> None:
        """Change nothing."""
        self.dismiss(None)

    @on(Button.Pressed, "#clear")
    def clear(self) -> None:
        """Ask for all rows."""
        self.dismiss(RowFilter())

    @on(Button.Pressed, "#show")
    @on(Input.Submitted)
    def show(self) -> None:
        """Ask for what stands in the fields, or say which of them breaks a rule."""
        values: dict[str, Any] = {}
        for name, label, _, parse in _FIELDS:
            field = self.query_one(f"#{name}", Input)
            typed = field.value if name == "text" else field.value.strip()
            try:
                values[name] = parse(typed) if typed else None
            except ValueError as error:
                self.query_one("#wrong", Static).update(Text(f"{label}: {escape(_rule(error))}"))
                field.focus()
                return
        outcome = self.query_one("#outcome", Select).value
        self.dismiss(row_filter(**values, outcome=None if outcome is Select.NULL else str(outcome)))


def _rule(error: ValueError) -> str:
    return error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)


def _spelt(value: object) -> str:
    if isinstance(value, datetime):
        return utc_text(value).replace(".000000", "")
    return "" if value is None else escape(str(value))
