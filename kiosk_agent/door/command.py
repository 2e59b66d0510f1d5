"""A door that a program opens. It is run without a shell, with nothing of the agent's environment."""

import os
import signal
import subprocess
from contextlib import suppress
from typing import Final

import structlog

from kiosk_agent.errors import BackendRefused, DoorFault
from kiosk_agent.events import VerifiedAssertion
from kiosk_agent.settings.doors import CommandDoor

_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


class CommandBackend:
    """Runs the program once for each grant, and kills it and its children when it takes too long."""

    def __init__(self, settings: CommandDoor, *, kiosk_id: str = "", tell: object = None) -> None:
        """Look whether there is such a program; raises BackendRefused."""
        del kiosk_id, tell  # the program is of this kiosk alone, and what is wrong with it shows when it runs
        self._settings = settings
        if not os.access(settings.argv[0], os.X_OK):
            raise BackendRefused(f"door.argv: {settings.argv[0]!r} is no program that this user may run")

    def open_for(self, assertion: VerifiedAssertion) -> None:
        """Run the program; raises DoorFault unless it ends with exit code 0 in time."""
        who = {"FOURAUTH_USERNAME": assertion.username, "FOURAUTH_JTI": assertion.jti}
        try:
            process = subprocess.Popen(  # noqa: S603 - no shell; the settings say what runs
                self._settings.argv,
                env=_ENVIRONMENT | (who if self._settings.tells_who else {}),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise DoorFault(f"the door's program cannot be run: {error.strerror}") from error
        code = self._wait(process)
        if code != 0:
            raise DoorFault(f"the door's program ended with {code}")
        _log().info("door_opened", username=assertion.username, jti=assertion.jti)

    def settle(self) -> None:
        """The program has ended, and what it moved is its own."""

    def close(self) -> None:
        """Nothing to let go of."""

    def _wait(self, process: "subprocess.Popen[bytes]") -> int:
        try:
            return process.wait(self._settings.timeout_s)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise DoorFault(f"the door's program took longer than {self._settings.timeout_s:g} s") from None


def _log() -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("kiosk_agent.door")
    return logger
