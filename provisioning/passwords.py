"""A new person's password: typed twice unseen, or from a file that nobody else can read."""

import stat
import sys
from pathlib import Path

import click

from provisioning.errors import Refused

STANDARD_INPUT = Path("-")
_FILE_MAX_BYTES = 1024


def read_password(file: Path | None) -> str:
    """Return the first line of `file` (`-` is standard input), or what is typed twice.

    The rules for passwords are not checked here. Raises Refused for a file that others can read.
    """
    if file is None:
        return str(click.prompt("Password", hide_input=True, confirmation_prompt="The same again", err=True))
    data = sys.stdin.buffer.read(_FILE_MAX_BYTES + 1) if file == STANDARD_INPUT else read_closed(file, "the password")
    if len(data) > _FILE_MAX_BYTES:
        raise Refused(f"the password file is above {_FILE_MAX_BYTES} bytes: it holds one line, the password")
    try:
        first, *more = data.decode("utf-8").splitlines() or [""]
    except UnicodeDecodeError:
        raise Refused("the password file is not UTF-8") from None
    if any(line.strip() for line in more):
        raise Refused("the password file holds more than one line: it holds the password alone")
    return first


def read_closed(file: Path, what: str) -> bytes:
    """Return a file's first bytes. Raises Refused when it cannot be read, or others can read `what` in it."""
    try:
        with file.open("rb") as opened:
            mode = stat.S_IMODE(file.stat().st_mode)
            if mode & 0o077:
                raise Refused(f"{file} has mode {mode:04o}, so others can read {what}: chmod 0600 it")
            return opened.read(_FILE_MAX_BYTES + 1)
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}") from None
