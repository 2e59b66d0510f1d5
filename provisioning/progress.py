"""How far a long command has come: a bar on a terminal's standard error, silence in a pipe."""

import sys
from collections.abc import Callable, Iterable, Iterator
from operator import length_hint
from time import monotonic
from types import TracebackType
from typing import Any, Final, Generic, TypeVar

import click

Item = TypeVar("Item")

_BAR_CHARS: Final = 24
_EVERY_S: Final = 0.1
"""Drawing costs more than a row's check, so it is not done for each."""


class Progress(Generic[Item]):
    """One bar. Iterate over it, or use it in a `with` block and call `advance`.

    With a known total it shows percentage, time left and rate; without one the count and the rate.
    """

    def __init__(self, items: Iterable[Item] | None, total: int | None, label: str, clock: Callable[[], float]) -> None:
        self._items = items
        self._clock = clock
        self._done = 0
        self._told = 0
        self._began = self._told_at = clock()
        self._is_shown = sys.stderr is not None and sys.stderr.isatty()
        self._bar: Any = click.progressbar(
            iter(()),
            length=total,
            label=label,
            file=sys.stderr,
            width=_BAR_CHARS,
            show_pos=total is None,
            hidden=not self._is_shown,
            item_show_func=lambda _: self._rate(),
        )

    def __enter__(self) -> "Progress[Item]":
        if self._is_shown:
            self._bar.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._is_shown:
            self._tell()
            self._bar.__exit__(kind, error, at)

    def __iter__(self) -> Iterator[Item]:
        with self:
            for item in self._items or ():
                yield item
                self.advance()

    def advance(self, steps: int = 1) -> None:
        """Say that so many more are done."""
        self._done += steps
        if self._is_shown and self._clock() - self._told_at >= _EVERY_S:
            self._tell()

    def reach(self, done: int) -> None:
        """Say how many are done in all, for work that counts by itself; fewer than before changes nothing."""
        self.advance(max(0, done - self._done))

    def _tell(self) -> None:
        self._told_at = self._clock()
        self._bar.update(self._done - self._told)
        self._told = self._done

    def _rate(self) -> str | None:
        seconds = self._told_at - self._began
        return f"{self._done / seconds:,.0f}/s" if seconds > 0 and self._done else None


def progress(
    work: Iterable[Item] | int | None, label: str, *, total: int | None = None, clock: Callable[[], float] = monotonic
) -> Progress[Item]:
    """Return a bar over items, over so many steps, or (None) over an unknown number of them.

    `total` says how many items there are where their iterable cannot tell.

        for row in progress(rows, "Reading"): ...
        with progress(1000, "Sealing") as bar: bar.advance(10)
    """
    if work is None or isinstance(work, int):
        return Progress(None, work if total is None else total, label, clock)
    hint = length_hint(work, -1) if total is None else total
    return Progress(work, None if hint < 0 else hint, label, clock)
