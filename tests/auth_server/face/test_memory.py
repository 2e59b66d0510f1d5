"""Looking at faces leaves nothing behind: a worker looks at some thousands a day. `make bench` looks 2,000 times."""

from pathlib import Path

import pytest

from auth_server.face.engine import FaceEngine

PASSES = 300
TOGETHER = 10


def resident_mb() -> float:
    """The resident memory of this process."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


@pytest.mark.slow
def test_many_passes_leave_nothing_behind(engine: FaceEngine, portrait: bytes) -> None:
    """By the engine's looker as it works: several frames at a time, in its threads, each looked at and embedded."""
    frames = [portrait] * TOGETHER

    def look() -> None:
        glimpses = engine.looker.glimpses(frames, "frames")
        assert len(engine.looker.portraits(frames, glimpses)) == TOGETHER

    for _ in range(5):
        look()
    before = resident_mb()
    for _ in range(PASSES // TOGETHER):
        look()
    assert resident_mb() - before < 2
