"""What the keys of a pad do: pressed shortly, or held. Pure."""

import math
from collections.abc import Mapping

from kiosk_agent.events import Key
from kiosk_agent.keypad.matrix import Stroke


class Roles:
    """Turns strokes into digits and actions. A key that can be held gives its short meaning when let go."""

    def __init__(self, pressed: Mapping[str, Key], held: Mapping[str, Key], hold_s: float) -> None:
        self._pressed = pressed
        self._held = held
        self._hold_s = hold_s
        self._waiting: Stroke | None = None

    def feed(self, stroke: Stroke) -> list[str]:
        """Return what a stroke gives: a digit, or a `Key`."""
        if not stroke.is_down:
            given = [] if stroke.is_void else self.tick(stroke.at_s)
            waited, self._waiting = self._waiting, None
            return given if waited is None or stroke.is_void else [self._short(waited.key)]
        self._waiting = stroke if stroke.key in self._held else None
        return [] if self._waiting else [self._short(stroke.key)]

    def tick(self, now_s: float) -> list[str]:
        """Return what a key gives that has been held for long enough."""
        if self._waiting is None or now_s - self._waiting.at_s < self._hold_s:
            return []
        key, self._waiting = self._waiting.key, None
        return [self._held[key]]

    def _short(self, key: str) -> str:
        return self._pressed.get(key, key)


def labels(pressed: Mapping[str, Key], held: Mapping[str, Key], hold_s: float) -> dict[Key, str]:
    """Return what the keys are called; for a held one with the seconds, which need no translation."""
    names = {action: f"{key} ({math.ceil(hold_s)} s)" for key, action in held.items()}
    return names | {action: key for key, action in pressed.items()}
