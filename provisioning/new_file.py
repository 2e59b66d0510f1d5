"""Writing a file that is not there yet, so that it is on the disk when that returns."""

import os
from pathlib import Path


def write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a new file of this mode and flush it and its folder. Raises OSError, also where it is there already."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Have a folder's names on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
