"""Speech by espeak-ng, a child process for each prompt.

The text goes in by a pipe: as an argument every process of the machine could read it. A prompt that
is newer than the one being said takes its place, and its child is killed. A thread of its own does all
of that, so that a synthesiser which hangs, breaks or is gone never holds up the kiosk.
"""

import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

import structlog

from kiosk_agent.errors import BackendRefused
from kiosk_agent.languages import Speakers
from kiosk_agent.phrases import Language
from kiosk_agent.screen.frame import View
from kiosk_agent.settings.speech import EspeakSpeech
from kiosk_agent.speech.prompt import Prompt, prompt

VOICES: Final[Mapping[Language, str]] = {
    Language.ENGLISH: "en",
    Language.SPANISH: "es",
    Language.GERMAN: "de",
    Language.FRENCH: "fr-fr",
    Language.CHINESE: "cmn",
    Language.ARABIC: "ar",
}
"""What espeak-ng calls the voice of each language."""

_LOOK_S: Final = 0.25
_LOOKS_MAX: Final = 240
"""Looks at a child, a minute of them: one that still speaks then hangs, and is killed."""

_END_S: Final = 2.0
_UNSEEN: Final = dict.fromkeys(map(ord, "\u2066\u2067\u2068\u2069"))
"""What gives a line its direction, and would be read out by its name."""


class EspeakBackend:
    """Says prompts one after another; `more` are further arguments, with which a test writes to a file."""

    def __init__(self, settings: EspeakSpeech, more: tuple[str, ...] = ()) -> None:
        program = str(settings.program) if settings.program is not None else shutil.which("espeak-ng")
        if program is None or shutil.which(program) is None:
            raise BackendRefused(
                f'speech.kind = "espeak" needs {settings.program or "espeak-ng"}, which is not there: '
                'install the package espeak-ng, or use speech.kind = "none"'
            )
        self._command = (program, *_arguments(settings), *more)
        self._speaks_secret = settings.speaks_secret
        self._speakers = Speakers()
        self._before: View | None = None
        self._waiting: SimpleQueue[Prompt | None] = SimpleQueue()
        self.problem = ""
        self._thread = Thread(target=self._work, name="speech", daemon=True)
        self._thread.start()

    def follow(self, view: View) -> None:
        """Say what is new in this view."""
        say = self._speakers.of(view.language).say
        found = prompt(self._before, view, say, speaks_secret=self._speaks_secret)
        self._before = view
        if found is not None:
            self._waiting.put(found)

    def close(self) -> None:
        """Fall silent."""
        self._waiting.put(None)
        self._thread.join(_END_S)

    def _work(self) -> None:
        wanted = self._waiting.get()
        while wanted is not None:
            wanted = self._say(wanted) if wanted.text else self._waiting.get()

    def _say(self, wanted: Prompt) -> Prompt | None:
        """Say a prompt until its end or until another comes, and return the next; None ends the work."""
        child = self._start(wanted)
        try:
            return self._next(child)
        finally:
            _end(child)

    def _next(self, child: "subprocess.Popen[bytes] | None") -> Prompt | None:
        """Return the next prompt; a child that ends before it comes, or hangs, is looked at."""
        for _ in range(_LOOKS_MAX):
            with suppress(Empty):
                return self._waiting.get(timeout=_LOOK_S)
            if child is None or child.poll() is not None:
                break
        if child is not None:
            self._note(_problem(child))
            _end(child)
        return self._waiting.get()

    def _start(self, wanted: Prompt) -> "subprocess.Popen[bytes] | None":
        try:
            child = subprocess.Popen(  # noqa: S603 - the settings name the program, and the text is no argument
                [*self._command, "-v", VOICES[wanted.language]],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            self._note(str(error))
            return None
        # A prompt is far below the 64 KiB that a pipe holds, so that nobody has to read for this to end.
        with suppress(OSError):
            if child.stdin is not None:
                child.stdin.write(wanted.text.translate(_UNSEEN).encode())
                child.stdin.close()
        return child

    def _note(self, problem: str) -> None:
        if problem and problem != self.problem:
            _log().error("speech_fault", program=self._command[0], problem=problem)
        self.problem = problem


def _arguments(settings: EspeakSpeech) -> tuple[str, ...]:
    device = ("-d", settings.device) if settings.device else ()
    return ("--stdin", "-b", "1", "-s", str(settings.rate), "-a", str(settings.volume), *device)


def _problem(child: "subprocess.Popen[bytes]") -> str:
    code = child.poll()
    if code is None:
        return f"it did not end within {_LOOKS_MAX * _LOOK_S:g} s"
    return f"it ended with exit code {code}" if code else ""


def _end(child: "subprocess.Popen[bytes] | None") -> None:
    if child is None:
        return
    child.kill()
    with suppress(subprocess.TimeoutExpired):
        child.wait(_END_S)


def _log() -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("kiosk_agent.speech")
    return logger
