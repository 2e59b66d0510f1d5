"""What was freed goes back to the system."""

from pathlib import Path

import numpy as np

from kiosk_agent import memory


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def test_memory_that_was_freed_goes_back_to_the_system() -> None:
    memory.trim()
    small = [np.ones(64 * 1024, np.uint8) for _ in range(1000)]
    held = resident()
    del small
    memory.trim()
    assert held - resident() > 40e6
