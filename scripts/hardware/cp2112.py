"""A CP2112, a bridge from USB to 8 GPIO lines, whose other side is this model instead of a chip.

The kernel's own driver hid-cp2112 talks to it through /dev/uhid and makes a gpiochip of it, of which no other
program can tell that there is no chip. What an input reads is reckoned at each look from the outputs and from
the contacts that are closed, as on wires: so a matrix of keys has its ghosts too.
Reports: Silicon Labs AN495. Events: linux/uhid.h.
"""

import os
import select
import struct
from collections.abc import Iterable
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection

LINES = 8
_GET_REPORT, _GET_REPLY, _CREATE, _SET_REPORT, _SET_REPLY = 9, 10, 11, 13, 14
_BUS_USB, _CYGNAL, _CP2112 = 3, 0x10C4, 0xEA90
_CONFIG, _GET, _SET, _VERSION, _SMBUS, _LOCK = 0x02, 0x03, 0x04, 0x05, 0x06, 0x20
_BYTES = {_CONFIG: 5, _GET: 2, _SET: 3, _VERSION: 3, _SMBUS: 14, _LOCK: 2}
"""Each report with its number."""

_EVENT_BYTES = 4380
_EIO = 5
Contact = tuple[int, int]


class Wires:
    """Eight lines, pulled up where `pulls` has a bit and down elsewhere, and contacts between them."""

    def __init__(self, pulls: int) -> None:
        self._pulls = pulls
        self.outputs = 0
        self.latches = 0
        self.closed: frozenset[Contact] = frozenset()
        self.heights: list[tuple[int, int]] = []
        """Each (outputs, levels) since it was last asked for, where it differs from the one before."""

    def note(self) -> None:
        """Remember how the lines stand, where that is new."""
        now = (self.outputs, self.levels())
        if not self.heights or self.heights[-1] != now:
            self.heights.append(now)

    def levels(self) -> int:
        """The level of each line, one bit each: outputs drive what they are in contact with, low the stronger."""
        found = 0
        for line in range(LINES):
            joined = self._joined(line)
            driven = [self.latches >> other & 1 for other in joined if self.outputs >> other & 1]
            found |= (min(driven) if driven else max(self._pulls >> other & 1 for other in joined)) << line
        return found

    def _joined(self, line: int) -> set[int]:
        joined, fresh = {line}, {line}
        while fresh:
            fresh = {b for pair in self.closed for a, b in (pair, pair[::-1]) if a in fresh} - joined
            joined |= fresh
        return joined


class Bridge:
    """The model in a process of its own, since who asks the kernel for a level waits for the model's answer."""

    def __init__(self, pulls: int = 0xFF) -> None:
        self._pipe, inner = Pipe()
        self._process = Process(target=_serve, args=(inner, pulls), daemon=True)
        self._process.start()

    def close_contacts(self, contacts: Iterable[Contact]) -> None:
        """Close these contacts and open all others."""
        self._ask(frozenset(contacts))

    def heights(self) -> list[tuple[int, int]]:
        """Each (outputs, levels) since the last call, in order; the last is how the lines stand now."""
        return self._ask(None)

    def pull_out(self) -> None:
        """End it, as if its cable were pulled."""
        self._process.terminate()
        self._process.join()

    def _ask(self, what: frozenset[Contact] | None) -> list[tuple[int, int]]:
        self._pipe.send(what)
        answer: list[tuple[int, int]] = self._pipe.recv()
        return answer


def _serve(pipe: Connection, pulls: int) -> None:
    wires = Wires(pulls)
    device = os.open("/dev/uhid", os.O_RDWR)
    os.write(device, _created())
    while True:
        ready = select.select([device, pipe.fileno()], [], [])[0]
        if device in ready:
            _answer(device, wires)
            wires.note()
        if pipe.fileno() in ready:
            contacts = pipe.recv()
            if contacts is not None:
                wires.closed = contacts
            wires.note()
            pipe.send(wires.heights if contacts is None else [])
            if contacts is None:
                wires.heights = wires.heights[-1:]


def _created() -> bytes:
    description = bytes((0x06, 0x00, 0xFF, 0x09, 0x01, 0xA1, 0x01, 0x15, 0x00, 0x26, 0xFF, 0x00, 0x75, 0x08))
    for number, size in _BYTES.items():
        description += bytes((0x85, number, 0x95, size - 1, 0x09, 0x01, 0xB1, 0x02))
    description += b"\xc0"
    head = struct.pack("<I128s64s64sHHIIII", _CREATE, b"pretended CP2112", b"", b"", len(description), _BUS_USB,
                       _CYGNAL, _CP2112, 0, 0)  # fmt: skip
    return (head + description).ljust(_EVENT_BYTES, b"\0")


def _answer(device: int, wires: Wires) -> None:
    event = os.read(device, _EVENT_BYTES)
    kind, request, number = struct.unpack_from("<IIB", event)
    if kind == _GET_REPORT:
        report = _report(number, wires)
        error = 0 if report else _EIO
        os.write(device, struct.pack("<IIHH", _GET_REPLY, request, error, len(report)) + report)
    elif kind == _SET_REPORT:
        _take(event[12:15], wires)
        os.write(device, struct.pack("<IIH", _SET_REPLY, request, 0))


def _report(number: int, wires: Wires) -> bytes:
    if number == _CONFIG:
        return bytes((number, wires.outputs, 0xFF, 0, 0))
    if number == _GET:
        return bytes((number, wires.levels()))
    return bytes((number,)).ljust(_BYTES[number], b"\0") if number in _BYTES else b""


def _take(report: bytes, wires: Wires) -> None:
    number, first, second = report
    if number == _CONFIG:
        wires.outputs = first
    elif number == _SET:
        wires.latches = (wires.latches & ~second) | (first & second)
