"""Starts the guard of a relay, asks it for pulses, and watches it from a thread of its own.

A guard that dies is started again at once, and its first act is to turn the relay off; one that does
not turn it off in time, or does not answer, is killed, and the next one does.
"""

import os
import select
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from threading import Condition, Thread
from threading import Event as Flag
from typing import IO, Final

import structlog

from kiosk_agent.door.guard import OFF, ON, READY, REFUSED
from kiosk_agent.errors import DoorFault
from kiosk_agent.keypad.backoff import Backoff

START_S: Final = 15.0
"""For the first guard to be ready; gpiozero takes about a second to load on a Pi."""

_ANSWER_S: Final = 2.0
_RESTART_S: Final = 5.0
_LATE_S: Final = 1.0
"""After the end of a pulse, by which the guard must have said that the relay is off."""

_KEPT: Final = ("PATH", "HOME", "LANG", "GPIOZERO_PIN_FACTORY")
_Process = subprocess.Popen[bytes]


class GuardWatch:
    """One guard at a time, of this command, until closed; `tell` hears when there is none, and when there is again."""

    def __init__(
        self, command: Sequence[str], pulse_s: float, tell: Callable[[str], None] = lambda fault: None
    ) -> None:
        self._tell = tell
        self._command: Final = list(command)
        self._pulse_s: Final = pulse_s
        self._told = Condition()
        self._process: _Process | None = None
        self._is_ready = False
        self._was_ready = False
        self._closing = Flag()
        self._pulses = 0
        self._ends_s: float | None = None
        self.problem = f"its guard is not ready within {START_S:g} s"
        self._thread = Thread(target=self._run, name="door-guard", daemon=True)

    def start(self) -> bool:
        """Start the first guard; return whether it holds the relay, else `problem` says why not."""
        self._thread.start()
        with self._told:
            self._told.wait_for(lambda: self._is_ready or self._closing.is_set(), START_S)
            return self._is_ready

    def ask(self) -> None:
        """Have the relay turned on for one pulse from now; raises DoorFault where the guard does not say so."""
        with self._told:
            self._told.wait_for(lambda: self._is_ready or self._closing.is_set(), _RESTART_S)
            pulses, process = self._pulses, self._process
            if not self._is_ready or process is None or process.stdin is None:
                raise DoorFault(f"the guard of the door's relay does not run: {self.problem}")
            try:
                process.stdin.write(b"open\n")
            except (OSError, ValueError) as error:  # ValueError: closed meanwhile
                raise DoorFault(f"the guard of the door's relay cannot be reached: {error}") from error
            self._told.wait_for(lambda: self._pulses > pulses or self._process is not process, _ANSWER_S)
            if self._pulses == pulses:
                process.kill()
                raise DoorFault("the guard of the door's relay did not answer, and is started again")

    def settle(self) -> None:
        """Return when the relay is off again."""
        with self._told:
            self._told.wait_for(lambda: self._ends_s is None, self._pulse_s + 2 * _LATE_S)

    def close(self) -> None:
        """End the guard, which turns the relay off."""
        with self._told:
            if self._closing.is_set():
                return
            self._closing.set()
            process = self._process
            self._told.notify_all()
        if process is not None:
            _end(process)
        if self._thread.is_alive():
            self._thread.join(_ANSWER_S)

    # --- in the thread

    def _run(self) -> None:
        backoff = Backoff()
        while not self._closing.is_set():
            try:
                self._follow(self._started())
            except OSError as error:
                self.problem = f"it cannot be started: {error.strerror}"
            if self._forget():
                backoff.worked()
            else:
                backoff.failed(time.monotonic())
            with self._told:
                self._told.wait_for(self._closing.is_set, backoff.left_s(time.monotonic()))

    def _forget(self) -> bool:
        """Note that the guard has ended; return whether it was a good one."""
        with self._told:
            was_good = self._is_ready
            self._process, self._is_ready, self._ends_s = None, False, None
            if not self._was_ready:
                self._closing.set()  # there is nothing yet to go back to
            if not self._closing.is_set():
                _log().error("door_guard_died", problem=self.problem)
                self._tell(f"the guard of the door's relay does not run: {self.problem}")
            self._told.notify_all()
            return was_good

    def _started(self) -> _Process:
        # lgpio leaves a file where it is started, so that place must be one that can be written to.
        folder = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0] or tempfile.gettempdir()
        process = subprocess.Popen(  # noqa: S603 - our own script, and numbers
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd=folder,
            env={name: os.environ[name] for name in _KEPT if name in os.environ},
            start_new_session=True,  # what ends the agent from a terminal must not end its guard first
        )
        with self._told:
            self._process = process
            if self._closing.is_set() and process.stdin is not None:
                process.stdin.close()
        return process

    def _follow(self, process: _Process) -> None:
        """Hear a guard until it ends."""
        with process:
            if process.stdout is not None:
                self._hear_all(process, process.stdout)
            process.wait()
        if process.returncode and self.problem == "":
            self.problem = f"it ended with {process.returncode}"

    def _hear_all(self, process: _Process, said: IO[bytes]) -> None:
        text = b""
        while True:
            if select.select([said], [], [], self._left_s())[0]:
                chunk = said.read(4096)
                if not chunk:
                    return
                *lines, text = (text + chunk).split(b"\n")
                for line in lines:
                    self._hear(line.decode(errors="replace"))
            elif self._left_s() == 0:
                _log().error("door_guard_late", pulse_s=self._pulse_s)
                process.kill()
                self._ends_s = None

    def _left_s(self) -> float | None:
        ends_s = self._ends_s
        return None if ends_s is None else max(0.0, ends_s + _LATE_S - time.monotonic())

    def _hear(self, line: str) -> None:
        word, _, reason = line.partition(" ")
        with self._told:
            if word == READY:
                if self._was_ready:
                    self._tell("")
                self._is_ready = self._was_ready = True
                self.problem = ""
            elif word == ON:
                self._pulses += 1
                self._ends_s = time.monotonic() + self._pulse_s
            elif word == OFF:
                self._ends_s = None
            elif word == REFUSED:
                self.problem = reason
            self._told.notify_all()


def _end(process: _Process) -> None:
    try:
        if process.stdin is not None:
            process.stdin.close()
        process.wait(_ANSWER_S)
    except (subprocess.TimeoutExpired, OSError):
        process.kill()


def _log() -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("kiosk_agent.door")
    return logger
