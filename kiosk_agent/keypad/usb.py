"""A USB keyboard or number pad through evdev, grabbed: no console and no browser hears what is typed.

It may be unplugged at any time. Reading then raises KeypadFault, and looks for it again with waits
that grow; once it is back, reading goes on.
"""

import errno
import re
import select
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Event as Flag
from typing import Any, Final, Protocol

import evdev
from evdev import ecodes

from kiosk_agent.errors import KeypadFault
from kiosk_agent.events import KeyEvent, Step
from kiosk_agent.keypad.backoff import Backoff
from kiosk_agent.keypad.keymap import DIGIT_KEYS, US_LABELS, Keyboard, Keys, NumberPad, pad_labels
from kiosk_agent.settings.keypads import UsbKeypad

_SYN_DROPPED: Final = 3
"""linux/input-event-codes.h: the reader was too slow, and the kernel threw events away."""


class InputDevices(Protocol):
    """The input devices of a machine, as evdev gives them."""

    def paths(self) -> Iterable[str]:
        """The devices that there are, in order."""

    def open(self, path: str) -> Any:
        """Return an `evdev.InputDevice`, or what behaves like one; raises OSError."""


class MachineDevices:
    """The devices under /dev/input."""

    def paths(self) -> Iterable[str]:
        """The devices that may be read, in order of their numbers."""
        return sorted(evdev.list_devices(), key=lambda path: int("0" + re.sub(r"\D", "", path)))

    def open(self, path: str) -> Any:
        """Open one."""
        return evdev.InputDevice(path)


class UsbBackend:
    """Reads one device. `devices`, `monotonic` and `wait` let tests stand in for the machine and its clock."""

    def __init__(
        self,
        settings: UsbKeypad,
        *,
        is_production: bool = True,
        devices: InputDevices | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        del is_production  # no key that is grabbed can end the agent
        self._settings: Final = settings
        self._devices = devices or MachineDevices()
        self._monotonic = monotonic
        self._closed = Flag()
        self._wait = wait or self._closed.wait
        self._keys: Final = _keys(settings)
        self._pending: deque[KeyEvent] = deque()
        self._backoff = Backoff()
        self._device: Any = None
        self.labels: Final = US_LABELS if settings.layout == "us" else pad_labels(settings.actions)
        self.state = ""
        with suppress(KeypadFault):  # it may be plugged in later; until then `state` tells
            self._open(0)

    @property
    def device(self) -> str:
        """Path and name of the device that is being read; empty while there is none."""
        return "" if self._device is None else f"{self._device.path} ({self._device.name})"

    def follow(self, step: Step) -> None:
        """Take note of where the session stands."""
        self._keys.follow(step)

    def read(self, timeout_s: float) -> KeyEvent | None:
        """Return the next key, or None when none came in time; raises KeypadFault while there is no device."""
        self._pending.extend(self._keys.due())
        if not self._pending and not self._closed.is_set():
            device = self._device or self._open(timeout_s)
            try:
                if select.select([device.fd], [], [], timeout_s)[0]:
                    self._take(device)
            except (OSError, ValueError) as error:  # ValueError: closed meanwhile
                self._lose(error)
        return self._pending.popleft() if self._pending else None

    def close(self) -> None:
        """Let other programs hear the device again."""
        self._closed.set()
        self._let_go()

    def _take(self, device: Any) -> None:
        now_s = self._monotonic()
        for event in device.read():
            if event.type == ecodes.EV_KEY:
                self._pending.extend(self._keys.feed(_name(event.code), event.value, now_s))
            elif event.type == ecodes.EV_SYN and event.code == _SYN_DROPPED:
                self._keys.reset()

    def _open(self, timeout_s: float) -> Any:
        left_s = self._backoff.left_s(self._monotonic())
        if left_s > 0:
            self._wait(min(left_s, timeout_s))
            raise KeypadFault(self.state)
        try:
            self._device = self._grabbed()
        except OSError as error:
            self._fail(f"the keypad cannot be opened: {_reason(error)}")
        self._backoff.worked()
        self._keys.reset()
        self.state = ""
        return self._device

    def _grabbed(self) -> Any:
        device = self._find()
        try:
            device.grab()
        except OSError:
            device.close()
            raise
        return device

    def _find(self) -> Any:
        if self._settings.device is not None:
            return self._devices.open(str(self._settings.device))
        for path in self._devices.paths():
            with suppress(OSError):  # gone since it was listed, or not ours to read
                device = self._devices.open(path)
                if self._is_it(device):
                    return device
                device.close()
        wanted = f"whose name has {self._settings.name!r}" if self._settings.name else "with digit keys"
        raise OSError(errno.ENODEV, f"there is no input device {wanted}")

    def _is_it(self, device: Any) -> bool:
        if self._settings.name is not None:
            return re.search(self._settings.name, device.name) is not None
        names = {_name(code) for code in device.capabilities().get(ecodes.EV_KEY, [])}
        return {DIGIT_KEYS[name] for name in names if name in DIGIT_KEYS} == set(DIGIT_KEYS.values())

    def _lose(self, error: Exception) -> None:
        self._let_go()
        self._pending.clear()
        reason = _reason(error) if isinstance(error, OSError) else "it was closed"
        self._fail(f"the keypad cannot be read: {reason}")

    def _fail(self, fault: str) -> None:
        self.state = fault
        self._backoff.failed(self._monotonic())
        raise KeypadFault(fault)

    def _let_go(self) -> None:
        device, self._device = self._device, None
        if device is not None:
            with suppress(OSError):  # an unplugged device cannot be let go, and need not
                device.ungrab()
            device.close()


def _keys(settings: UsbKeypad) -> Keys:
    return Keyboard() if settings.layout == "us" else NumberPad(settings.actions, settings.letter_s)


def _name(code: int) -> str:
    name = ecodes.KEY.get(code, "")
    return name if isinstance(name, str) else str(name[0])


def _reason(error: OSError) -> str:
    if error.errno == errno.ENODEV and error.strerror == "No such device":
        return "it was unplugged"
    if error.errno == errno.EBUSY:
        return "another program holds it; end that program"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"{error.strerror}: add the agent's user to the group input"
    return error.strerror or str(error)
