"""Contacts of a key matrix in, presses and releases out: bounce, ghosts, several keys at once, stuck keys.

Pure: the caller passes what it read and when. A matrix without diodes shows four contacts where three
corners of a rectangle are pressed, and nothing says which of the four is not: such a reading gives no
key, and whatever it shows must be let go before it counts. Of several keys the first that went down
counts and no other until all are up; of two that went down in the same reading neither does.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

Place = tuple[int, int]
"""Row and column, from 0."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """A key went down or was let go. `is_void`: it was lost among others, so that what it began means nothing."""

    key: str
    is_down: bool
    at_s: float
    is_void: bool = False


class Matrix:
    """The state of all keys. `keys` are the rows as printed, one character a key."""

    def __init__(self, keys: tuple[str, ...], *, debounce_s: float = 0.02, stuck_s: float = 20.0) -> None:
        self._names: Final = {(row, column): key for row, line in enumerate(keys) for column, key in enumerate(line)}
        self._debounce_s = debounce_s
        self._stuck_s = stuck_s
        self._down: dict[Place, float] = {}  # since when
        self._changing: dict[Place, float] = {}  # since when a contact is not what `_down` says
        self._stuck: frozenset[Place] = frozenset()
        self._first: Place | None = None

    @property
    def fault(self) -> str:
        """What is wrong with the pad, as a sentence; empty where nothing is."""
        stuck = ", ".join(sorted(self._names[place] for place in self._stuck))
        return f"key {stuck} of the keypad is stuck: it is down for more than {self._stuck_s:g} s" if stuck else ""

    @property
    def is_moving(self) -> bool:
        """Whether a contact changed and may still bounce."""
        return bool(self._changing)

    def feed(self, closed: Collection[Place], now_s: float) -> list[Stroke]:
        """Return what a reading of all contacts means, in order."""
        strokes: list[Stroke] = []
        if _is_ambiguous(closed):
            strokes = self._end_first(now_s, is_void=True)
            self._down = {place: now_s for place in closed} | self._down
        still = self._still(closed, now_s)
        strokes += self._release([place for place in still if place in self._down], now_s)
        self._stuck = frozenset(place for place, since in self._down.items() if now_s - since > self._stuck_s)
        if self._first in self._stuck:
            self._first = None  # it was pressed once; its release means nothing any more
        return strokes + self._press([place for place in still if place in closed], now_s)

    def _still(self, closed: Collection[Place], now_s: float) -> list[Place]:
        """The contacts that changed, and have not bounced for long enough."""
        differing = set(closed) ^ set(self._down)
        self._changing = {place: self._changing.get(place, now_s) for place in sorted(differing)}
        return [place for place, since in self._changing.items() if now_s - since >= self._debounce_s]

    def _release(self, gone: list[Place], now_s: float) -> list[Stroke]:
        for place in gone:
            del self._down[place]
        return self._end_first(now_s) if self._first in gone else []

    def _press(self, came: list[Place], now_s: float) -> list[Stroke]:
        others = set(self._down) - self._stuck
        self._down |= {place: now_s for place in came}
        if len(came) != 1 or others:
            return []
        self._first = came[0]
        return [Stroke(self._names[came[0]], True, now_s)]

    def _end_first(self, now_s: float, *, is_void: bool = False) -> list[Stroke]:
        place, self._first = self._first, None
        return [] if place is None else [Stroke(self._names[place], False, now_s, is_void)]


def _is_ambiguous(closed: Collection[Place]) -> bool:
    """Whether three contacts are corners of a rectangle: one has another in its row, and another in its column."""
    rows = [row for row, _ in closed]
    columns = [column for _, column in closed]
    return any(rows.count(row) > 1 and columns.count(column) > 1 for row, column in closed)
