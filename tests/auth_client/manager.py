"""systemd's end of a program's notify socket, as sd_notify(3) describes it."""

import os
import socket
import time


class Manager:
    """Hears what a program tells systemd, at a real datagram socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.kept: dict[str, int] = {}
        """Files that a program gave, by their names."""

    def heard(self, within_s: float = 5.0) -> str:
        """The next message. Raises TimeoutError where none comes in time."""
        self.socket.settimeout(within_s)
        data, files, _, _ = socket.recv_fds(self.socket, 4096, 1)
        text = data.decode()
        if text.startswith("FDSTORE=1\n"):
            name = text.partition("FDNAME=")[2]
            if name in self.kept:
                os.close(self.kept[name])
            (self.kept[name],) = files
        return text

    def heard_in(self, seconds: float) -> list[str]:
        """All messages of so many seconds."""
        found, ends_s = [], time.monotonic() + seconds
        while (left_s := ends_s - time.monotonic()) > 0:
            try:
                found.append(self.heard(left_s))
            except TimeoutError:
                break
        return found

    def is_silent(self) -> bool:
        """Whether no message waits."""
        self.socket.setblocking(False)
        try:
            self.socket.recv(4096)
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        """Listen no more."""
        for file in self.kept.values():
            os.close(file)
        self.socket.close()
