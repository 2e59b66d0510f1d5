"""One picture of the screen as data, and what it is made with beside the session. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from auth_contract.actions import Movement
from auth_contract.neutral import neutral
from kiosk_agent.events import Key, Step
from kiosk_agent.phrases import Language, Phrase, Speaker
from kiosk_agent.screen import words

Tone = Literal["plain", "good", "bad", "busy"]
Oval = Literal["", "seek", "good"]
Local = Callable[[datetime], datetime]
"""From a moment to the same moment in the kiosk's time zone."""


@dataclass(frozen=True, slots=True)
class View:
    """One picture of the screen. `entry` is None where nothing is typed; `seconds_left` where time runs down.

    `subject` is what all of it is about, `aside` stands beside the entry, `options` are a menu's lines.
    `movement` is what to do before the camera, `oval` whether a face is seen as it should be, `progress`
    how many of how many movements or pictures. `keys` are labels and what they do. `code_left_s` is how
    long the present one-time code holds. `chrome` is what a page says around all this.
    """

    title: str
    lines: tuple[str, ...] = ()
    tone: Tone = "plain"
    entry: str | None = None
    problem: str = ""
    seconds_left: int | None = None
    keys: tuple[tuple[str, str], ...] = ()
    notice: str = ""
    subject: str = ""
    aside: str = ""
    uri: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    step: Step = Step.ATTRACT
    language: Language = Language.ENGLISH
    options: tuple[str, ...] = ()
    movement: Movement | None = None
    oval: Oval = ""
    progress: tuple[int, int] | None = None
    mode: str = ""
    contact: str = ""
    code_left_s: int | None = None
    chrome: Mapping[str, str] = field(default_factory=dict, repr=False)


_ALL_KEYS: Final[Mapping[Key, str]] = {
    Key.ENTER: "Enter",
    Key.BACKSPACE: "Backspace",
    Key.CLEAR: "Delete",
    Key.CANCEL: "Esc",
    Key.MORE: "Tab",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """What a view is made with beside the session: the language, the keypad's labels, the place and the time.

    `now` is aware UTC, None where no clock is shown; `since_s` is how long the step has lasted.
    """

    notice: str = ""
    local: Local = lambda moment: moment
    speaker: Speaker = field(default_factory=Speaker)
    labels: Mapping[Key, str] = field(default_factory=lambda: _ALL_KEYS)
    contact: str = ""
    now: datetime | None = None
    since_s: float = 0.0
    reveals: bool = False

    def say(self, text: str, **values: object) -> str:
        """Return a sentence in the language of the screen, with the names of keys and other values filled in."""
        if not isinstance(text, Phrase) and "{" in text:
            names: dict[str, object] = {key.value: self.labels.get(key, key.value) for key in Key}
            text = Phrase(text, "", **{**names, **values})
        return self.speaker.say(text)

    def hear(self, text: str) -> str:
        """Return a sentence from elsewhere in the language of the screen, with nothing in it that steers a display."""
        if not isinstance(text, Phrase):
            return self.speaker.say(neutral(text))
        safe = {name: neutral(value) if isinstance(value, str) else value for name, value in text.values.items()}
        return self.speaker.say(Phrase(text.template, text.many, **safe))

    def keys(self, keys: words.Keys) -> tuple[tuple[str, str], ...]:
        """Return labels and what they do, of those keys that there are."""
        named = [(self.labels.get(key, "") if isinstance(key, Key) else key, what) for key, what in keys]
        # What is printed on a key is the same in every language.
        shown = ((self.say(label) if isinstance(label, Phrase) else label, what) for label, what in named if label)
        return tuple((label, self.say(what)) for label, what in shown)
