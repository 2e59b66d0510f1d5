"""Tells this machine's time by NTP at addresses: `python -m tests.deploy.elsewhere.time_server ADDRESS ...`."""

import selectors
import socket
import struct
import sys
import time

_SINCE_1900_S = 2_208_988_800
# Version 4, mode of a server; stratum 2, polls of 64 s, 2**-20 s precise, a millisecond from its own source.
_HEAD = struct.pack("!BBbb3I", 0x24, 2, 6, -20, 66, 66, 0x7F7F0101)


def _stamp(at: float) -> bytes:
    return struct.pack("!II", int(at) + _SINCE_1900_S, int(at % 1 * 2**32))


def main() -> None:
    """Answer for ever."""
    waiting = selectors.DefaultSelector()
    for address in sys.argv[1:]:
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind((address, 123))
        waiting.register(listener, selectors.EVENT_READ, listener)
    while True:
        for key, _ in waiting.select():
            asked, whom = key.data.recvfrom(512)
            now = time.time()
            if len(asked) >= 48:
                # It repeats the asker's own stamp, by which the asker knows the answer.
                key.data.sendto(_HEAD + _stamp(now - 16) + asked[40:48] + _stamp(now) + _stamp(time.time()), whom)


if __name__ == "__main__":
    main()
