"""What a program tells systemd: that it is ready, that it takes new settings, and, as long as it works, that it lives.

The protocol is sd_notify(3): a datagram to the socket that `$NOTIFY_SOCKET` names. Without one nothing is sent.
Kiosk, server and gateway use it.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Event as Flag
from typing import Final

_VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")

_AGAIN_S: Final = 0.2
"""Between two looks whether a program that starts answers yet."""


class Notifier:
    """Sends what systemd asked for in the environment."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # An abstract address is written with @ and begins with a zero byte (unix(7)).
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.interval_s = _interval_s(environment)

    @classmethod
    def taken(cls) -> "Notifier":
        """Return the one of this process, and take its variables out of the environment: no child shall speak."""
        made = cls()
        for name in _VARIABLES:
            os.environ.pop(name, None)
        return made

    @property
    def is_heard(self) -> bool:
        """Whether there is a manager to tell."""
        return bool(self._address)

    def ready(self) -> None:
        """Everything is open: units that wait for this one may start."""
        self.send("READY=1")

    def reloading(self) -> None:
        """The settings are being read anew; `ready` ends it."""
        self.send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The program is ending on purpose."""
        self.send("STOPPING=1")

    def send(self, text: str) -> None:
        """Send one message; a manager that does not listen is no reason to end."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.sendto(text.encode(), self._address)

    def keep(self, descriptor: int, name: str) -> None:
        """Let the manager keep an open file under this name, and hand it to the program when it is started anew."""
        if not self._address:
            return
        text = f"FDSTORE=1\nFDNAME={name}"
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.connect(self._address)
            socket.send_fds(sender, [text.encode()], [descriptor])

    def feed(self, is_alive: Callable[[], bool], stopped: Flag) -> None:
        """Feed the watchdog until stopped, but only while the program does what it should."""
        if self.interval_s is None:
            return
        while not stopped.wait(self.interval_s):
            if is_alive():
                self.send("WATCHDOG=1")

    def attend(self, answers: Callable[[], bool], stopped: Flag) -> None:
        """Be ready once the program answers, and then feed the watchdog while it does, until stopped."""
        if not self.is_heard:
            return
        while not answers():
            if stopped.wait(_AGAIN_S):
                return
        self.ready()
        self.feed(answers, stopped)


def _interval_s(environment: Mapping[str, str]) -> float | None:
    """A third of the time after which systemd kills: two signs may be late. None where there is no watchdog."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        return int(environment.get("WATCHDOG_USEC", "")) / 3_000_000 or None
    except ValueError:
        return None
