"""Reading and writing the bytes of a checkpoint file."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from auth_server.audit_chain import Checkpoint, DamagedLine
from auth_server.checkpoint_line import LINE_MAX_BYTES, parse_line

_BLOCK_BYTES: Final = 8 * LINE_MAX_BYTES


def lines_to(path: Path, size: int) -> Iterator[Checkpoint | DamagedLine]:
    """Give the lines of the file's first `size` bytes, numbered from 1. Raises OSError."""
    for number, line in _raw_lines(path, size):
        yield parse_line(line, number)


def marks_to(path: Path, size: int) -> Iterator[Checkpoint]:
    """Give those of the lines that accept a restore or hand over to another key. Raises OSError."""
    for number, line in _raw_lines(path, size):
        # Of a long file next to no line names a kind, and the others need not be parsed.
        made = parse_line(line, number) if b'"kind"' in line else None
        if isinstance(made, Checkpoint) and (made.restore is not None or made.hand_over is not None):
            yield made


def _raw_lines(path: Path, size: int) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        number, start = 0, 0
        while start < size and (line := file.readline(LINE_MAX_BYTES)):
            number += 1
            # One that was still being written when reading began is judged as it stood.
            yield number, line[: size - start]
            start += len(line)


def lines_backwards(descriptor: int, size: int) -> Iterator[Checkpoint | DamagedLine]:
    """Give the lines from the last to the first, all numbered 0. Raises OSError."""
    rest, start = b"", size
    while start > 0:
        start, block_bytes = max(0, start - _BLOCK_BYTES), min(start, _BLOCK_BYTES)
        lines = (os.pread(descriptor, block_bytes, start) + rest).splitlines(keepends=True)
        # The first may have begun in the block before; what is longer than any line is none.
        rest = lines.pop(0)[: LINE_MAX_BYTES + 1] if start > 0 else b""
        yield from (parse_line(line, 0) for line in reversed(lines))


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte. Raises OSError."""
    while data:
        data = data[os.write(descriptor, data) :]
