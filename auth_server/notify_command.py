"""Notifications to a program of the site's: JSON on standard input, exit 0 once it has it."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Final

from auth_server.errors import DeliveryFailed, SettingsRefused
from auth_server.settings import CommandNotify

_ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
"""All that the program inherits: the server's own environment may hold what is not its business."""


class CommandBackend:
    """Runs the program once for each notification: no shell, a clean environment, a process group of its own."""

    def __init__(self, settings: CommandNotify) -> None:
        """Look for the program. Raises SettingsRefused where this user cannot run it."""
        program = Path(settings.argv[0])
        if not program.is_file() or not os.access(program, os.X_OK):
            raise SettingsRefused(f"notify.argv[0] = {str(program)!r}: no file that this user may run: mend or name it")
        self.timeout_s = settings.timeout_s
        self._argv = settings.argv

    def deliver(self, document: bytes) -> None:
        """Run the program with the document. Raises DeliveryFailed unless it exits 0 in time."""
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's own program, by its whole path
                self._argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,  # whatever it writes can neither fill a pipe nor a log
                stderr=subprocess.DEVNULL,
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise DeliveryFailed(f"the program cannot be started: {error.strerror}") from None
        try:
            process.communicate(document, self.timeout_s)
        except subprocess.TimeoutExpired:
            raise DeliveryFailed(f"the program took longer than {self.timeout_s:g} s and was killed") from None
        finally:
            _end(process)
        if process.returncode:
            raise DeliveryFailed(_said(process.returncode))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what still runs, with all that it started; its number is its own until it has been waited for."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _said(code: int) -> str:
    return f"the program exited with {code}" if code > 0 else f"the program was ended by signal {-code}"
