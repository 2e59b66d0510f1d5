"""A QR code of a text, for the terminal and as a PNG file."""

import io
import os
from pathlib import Path

from auth_server.qr import code_of, png_of
from provisioning.errors import Refused


def terminal_lines(text: str) -> list[str]:
    """Return the code as lines of half blocks, light on dark, for a terminal with a dark ground."""
    drawn = io.StringIO()
    code_of(text).print_ascii(out=drawn, invert=True)
    return drawn.getvalue().splitlines()


def write_png(text: str, path: Path) -> None:
    """Write the code to a new PNG file, mode 0600.

    Raises Refused when the file is there already or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise Refused(f"{path} is there already: name a new file for the QR code") from None
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}: name a file in a folder of yours") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(png_of(text))
