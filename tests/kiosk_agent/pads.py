"""Pads and keyboards that behave: a matrix whose contacts conduct, and input devices behind pipes."""

import errno
import os
from collections import deque
from dataclasses import dataclass

from gpiozero.pins.mock import MockFactory, MockPin


def conducted(pressed, rows=4, columns=4):
    """What a scan of a matrix without diodes reads: a row's current takes every way through closed contacts."""
    seen = set()
    for row in range(rows):
        lit_rows, lit_columns = {row}, set()
        for _ in range(rows + columns):
            lit_columns |= {c for r, c in pressed if r in lit_rows}
            lit_rows |= {r for r, c in pressed if c in lit_columns}
        seen |= {(row, column) for column in lit_columns}
    return frozenset(seen)


class WiredPin(MockPin):
    """A pin that tells its pad when it changes."""

    pad = None

    def _set_function(self, value):
        super()._set_function(value)
        if self.pad is not None:
            self.pad.settle()

    def _set_state(self, value):
        super()._set_state(value)
        if self.pad is not None:
            self.pad.settle()


class Pad:
    """A matrix of keys at mock pins: columns settle anew whenever a row changes or a key moves."""

    def __init__(self, factory: MockFactory, rows, columns, keys) -> None:
        self.keys = keys
        self.pressed: set = set()
        self.rows = [factory.pin(number) for number in rows]
        self.columns = [factory.pin(number) for number in columns]
        self.outputs_max = 0
        self.reads = 0
        for pin in self.rows:
            pin.pad = self

    def place(self, key: str):
        return next((row, line.index(key)) for row, line in enumerate(self.keys) if key in line)

    def press(self, *keys: str) -> None:
        self.pressed |= {self.place(key) for key in keys}

    def release(self, *keys: str) -> None:
        self.pressed -= {self.place(key) for key in keys}

    def settle(self) -> None:
        driven = {row for row, pin in enumerate(self.rows) if pin.function == "output"}
        self.outputs_max = max(self.outputs_max, len(driven))
        low_rows, low_columns = {row for row in driven if not self.rows[row].state}, set()
        for _ in range(len(self.rows) + len(self.columns)):
            low_columns |= {c for r, c in self.pressed if r in low_rows}
            low_rows |= {r for r, c in self.pressed if c in low_columns}
        for column, pin in enumerate(self.columns):
            if pin.function == "input":
                (pin.drive_low if column in low_columns else pin.drive_high)()


# --- input devices


@dataclass(frozen=True)
class InputEvent:
    type: int
    code: int
    value: int


class FakeDevice:
    """An input device with evdev's surface; its pipe can be waited for, and may be unplugged at any time."""

    def __init__(self, machine: "Machine", path: str, name: str, codes) -> None:
        self.machine, self.path, self.name = machine, path, name
        self._codes = list(codes)
        self.fd, self._writing = os.pipe()
        self._events: deque = deque()
        self.is_unplugged = False
        self.is_closed = False

    def capabilities(self):
        return {1: self._codes}

    def grab(self) -> None:
        if self.path in self.machine.grabbed:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        self.machine.grabbed.add(self.path)

    def ungrab(self) -> None:
        if self.is_unplugged:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        self.machine.grabbed.discard(self.path)

    def read(self):
        os.read(self.fd, 65536)
        if self.is_unplugged:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        while self._events:
            yield self._events.popleft()

    def send(self, *events: InputEvent) -> None:
        self._events.extend(events)
        os.write(self._writing, b".")

    def unplug(self) -> None:
        self.is_unplugged = True
        os.write(self._writing, b".")  # a device that is gone can be read: it says so

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            os.close(self.fd)
            os.close(self._writing)


class Machine:
    """The input devices of a machine: plug in, unplug, and count what was opened."""

    def __init__(self) -> None:
        self.plugged: dict = {}
        self.grabbed: set = set()
        self.opened: list[FakeDevice] = []
        self.tries = 0

    def plug(self, path: str, name: str, codes) -> None:
        self.plugged[path] = (name, codes)

    def unplug(self, path: str) -> None:
        del self.plugged[path]
        self.grabbed.discard(path)
        for device in self.opened:
            if device.path == path and not device.is_closed:
                device.unplug()

    def paths(self):
        self.tries += 1
        return list(self.plugged)

    def open(self, path: str) -> FakeDevice:
        if path not in self.plugged:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        self.opened.append(FakeDevice(self, path, *self.plugged[path]))
        return self.opened[-1]
