"""Which ports of a host answer: each of TCP by a half-open handshake, each of UDP by a question.

Run as root in the network that it is to look from: `scanner.py SOURCE TARGET`, which prints one JSON object. Its
`tcp` and `udp` have the ports that answered, each `open` or `shut`; of a port that a firewall drops there is nothing
to tell.
"""

import json
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator

_LAST = 65535
_ROUNDS = 3
"""A packet may be lost on a busy machine, so each port is asked again."""
_BATCH, _PAUSE_S = 256, 0.004
"""So many packets in a row: more would find the receiver's queue full."""
_WAIT_S = 2.0
_SYN, _RST = 0x02, 0x04
_BUFFER = 8 * 1024 * 1024
_IP_RECVERR, _SO_RCVBUFFORCE = 11, 33  # what Linux calls them; Python has no names for these

# What usually listens answers nothing but a question of its own; all other ports get the last of these.
_NAME = b"\6server\0\0\1\0\1"
_QUESTIONS = {
    53: struct.pack("!6H", 1, 0x0100, 1, 0, 0, 0) + _NAME,
    67: b"\1\1\6\0" + bytes(232) + bytes.fromhex("63825363350101ff"),
    123: b"\x23" + bytes(47),
    161: bytes.fromhex("302602010104067075626c6963a019020412345678020100020100300b300906052b060102010500"),
    323: bytes.fromhex("0601000000210000") + bytes(96),
    5353: struct.pack("!6H", 0, 0, 1, 0, 0, 0) + _NAME,
    5355: struct.pack("!6H", 1, 0, 1, 0, 0, 0) + _NAME,
    0: b"\0" * 8,
}


def scan_tcp(source: str, target: str, rounds: int = _ROUNDS) -> dict[int, str]:
    """Ask every TCP port for a handshake that is never ended; `open` is one that agrees, `shut` one that refuses."""
    found: dict[int, str] = {}
    with _own_port(source) as held, _raw(source) as sender, _raw(source) as receiver:
        port = held.getsockname()[1]
        ends = struct.pack("!4s4sBBH", socket.inet_aton(source), socket.inet_aton(target), 0, socket.IPPROTO_TCP, 20)
        for _ in range(rounds):
            for to in _paced():
                sender.sendto(_syn(ends, port, to), (target, 0))
                if to % _BATCH == 0:
                    found |= _handshakes(receiver, target, port)
            found |= _until_quiet(lambda: _handshakes(receiver, target, port))
    return found


def scan_udp(source: str, target: str) -> dict[int, str]:
    """Ask every UDP port; `open` is one that answers, `shut` one whose host says that nobody is there."""
    found: dict[int, str] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        asking.bind((source, 0))
        asking.setblocking(False)
        for _ in range(_ROUNDS - 1):
            for to in _paced():
                found |= _ask(asking, target, to)
            found |= _until_quiet(lambda: _answers(asking, target))
    return found


def _ask(asking: socket.socket, target: str, to: int) -> dict[int, str]:
    found = _answers(asking, target) if to % _BATCH == 0 else {}
    try:
        asking.sendto(_QUESTIONS.get(to, _QUESTIONS[0]), (target, to))
    except OSError:  # what an earlier port's host said: it waits in the queue, and this question was not sent
        found |= _answers(asking, target)
        asking.sendto(_QUESTIONS.get(to, _QUESTIONS[0]), (target, to))
    return found


def _answers(asking: socket.socket, target: str) -> dict[int, str]:
    found = {}
    for flag, means in ((socket.MSG_ERRQUEUE, "shut"), (0, "open")):
        while True:
            try:
                _, _, _, (host, port) = asking.recvmsg(2048, 512, flag)
            except BlockingIOError:
                break
            except ConnectionRefusedError:
                continue
            if host == target:
                found[port] = means
    return found


def _handshakes(receiver: socket.socket, target: str, port: int) -> dict[int, str]:
    found = {}
    while True:
        try:
            packet, (host, _) = receiver.recvfrom(256)
        except BlockingIOError:
            return found
        begins = (packet[0] & 15) * 4
        of, to, flags = *struct.unpack_from("!HH", packet, begins), packet[begins + 13]
        # On one machine we see what we sent, too: that has no answer's flag.
        if host == target and to == port and flags != _SYN:
            found[of] = "shut" if flags & _RST else "open"


def _until_quiet(look: Callable[[], dict[int, str]]) -> dict[int, str]:
    found: dict[int, str] = {}
    ends = time.monotonic() + _WAIT_S
    while time.monotonic() < ends:
        found |= look()
        time.sleep(0.05)
    return found


def _paced() -> Iterator[int]:
    for port in range(1, _LAST + 1):
        if port % _BATCH == 0:
            time.sleep(_PAUSE_S)
        yield port


def _syn(ends: bytes, port: int, to: int) -> bytes:
    header = struct.pack("!HHIIBBHHH", port, to, 1, 0, 5 << 4, _SYN, 1024, 0, 0)
    total = sum(struct.unpack("!16H", ends + header))
    total = (total & 0xFFFF) + (total >> 16)
    return header[:16] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + header[18:]


def _own_port(source: str) -> socket.socket:
    """A port of our own, to which answers come; nobody listens on it, so the kernel ends each handshake."""
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    held.bind((source, 0))
    return held


def _raw(source: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    made.bind((source, 0))
    made.setblocking(False)
    return made


if __name__ == "__main__":
    print(json.dumps({"tcp": scan_tcp(*sys.argv[1:3]), "udp": scan_udp(*sys.argv[1:3])}))
