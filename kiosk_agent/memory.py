"""Keeps the agent small: what was freed goes back to the system, on a machine that has little.

The C library keeps freed memory for later, and a heap for each thread. Pictures are large, live shortly and come
from several threads, so that it would keep half as much again as the agent needs. Only glibc has these switches;
with another library nothing is done.
"""

import ctypes
from typing import Final

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""glibc's malloc.h."""

_LARGE_BYTES: Final = 1024 * 1024
"""From here on memory is of its own and goes back when it is freed; lower made measuring a picture slower."""

_KEPT_BYTES: Final = 4 * 1024 * 1024


def limit() -> None:
    """Let the C library keep little of what is freed; before threads are started."""
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


def trim() -> None:
    """Give back what is free now; some milliseconds."""
    if (malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        malloc_trim(0)
