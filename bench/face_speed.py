"""What a face costs, stage by stage, and whether looking at many of them leaves anything behind.

    python -m bench.face_speed [--models DIR] [--passes N]

Stages are told in the time that their one core worked, which others on the machine hardly change;
what several cores do together, in the time that passed.
"""

import argparse
import io
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import skimage.data
from PIL import Image

from auth_server.face.engine import FaceEngine
from auth_server.face.frames import decode_frame
from auth_server.face.pipeline import Pipeline
from auth_server.settings import FaceSettings
from auth_vision.geometry import Picture
from bench.measures import Times, resident_mb, timed

PASS_MAX_S: Final = 0.060
FIVE_FRAMES_MAX_S: Final = 0.200
GROWTH_MAX_MB: Final = 5.0
PASSES: Final = 2000
_COUNT = 60


@dataclass(frozen=True)
class FaceSpeed:
    """Seconds of one core by stage for a frame of 640 x 480, and for a small face in one of 1280 x 720; seconds for
    five frames by the engine; MB that many passes left behind.
    """

    stages: dict[str, Times]
    whole: Times
    small_face: Times
    five_frames: Times
    passes: int
    growth_mb: float


def frame(width: int, height: int, face_height: float) -> Picture:
    """Return a frame of a photographed table with one portrait before it, BGR."""
    scale = face_height / 111
    portrait = np.asarray(skimage.data.astronaut(), np.uint8)[:, :, ::-1]
    bust = cv2.resize(portrait[:310, 90:360], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    table = cv2.resize(np.asarray(skimage.data.coffee(), np.uint8)[:, :, ::-1], (width, height))
    out = np.array(table, np.uint8)
    x, y = (width - bust.shape[1]) // 2, (height - bust.shape[0]) // 2
    out[y : y + bust.shape[0], x : x + bust.shape[1]] = bust
    return out


def jpeg(picture: Picture) -> bytes:
    """Return a picture as a camera sends it."""
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture[:, :, ::-1])).save(out, "JPEG", quality=90)
    return out.getvalue()


def measure(models: Path, *, passes: int = PASSES) -> FaceSpeed:
    """Time every stage, then look many times at one frame."""
    settings = FaceSettings(models=models)
    pipeline = Pipeline(settings)
    stages, whole = _stages(pipeline, jpeg(frame(640, 480, 150)))
    large = frame(1280, 720, 48)
    engine = FaceEngine(settings)
    frames = [jpeg(frame(640, 480, 146 + number)) for number in range(5)]
    return FaceSpeed(
        stages=stages,
        whole=whole,
        small_face=_core_time(lambda: pipeline.faces(large)),
        five_frames=timed(lambda: engine.observe(frames), _COUNT // 2),
        passes=passes,
        growth_mb=growth_mb(lambda: engine.observe(frames[:1]), passes),
    )


def _stages(pipeline: Pipeline, data: bytes) -> tuple[dict[str, Times], Times]:
    picture = decode_frame(data, "frame")
    (face,) = pipeline.faces(picture)
    stages: dict[str, Callable[[], object]] = {
        "decode": lambda: decode_frame(data, "frame"),
        "detect, landmarks": lambda: pipeline.faces(picture),
        "measure (pose, eyes, light)": lambda: pipeline.look(picture, [face]),
        "align, embed (two views)": lambda: pipeline.embed(picture, face),
        "presence": lambda: pipeline.presence(picture, face),
    }
    whole = _core_time(lambda: [stage() for stage in stages.values()])
    return {name: _core_time(stage) for name, stage in stages.items()}, whole


def _core_time(work: Callable[[], object]) -> Times:
    """Do the work many times; the seconds that this thread's core worked at it."""
    for _ in range(5):
        work()
    samples = []
    for _ in range(_COUNT):
        started = time.thread_time()
        work()
        samples.append(time.thread_time() - started)
    return Times(tuple(samples))


def growth_mb(work: Callable[[], object], passes: int) -> float:
    """Return by how much the process grew over so many passes, after a tenth of them."""
    for _ in range(passes // 10):
        work()
    before = resident_mb(os.getpid())
    for _ in range(passes):
        work()
    return resident_mb(os.getpid()) - before


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.face_speed", description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=Path(".cache/models"), help="folder of model files")
    parser.add_argument("--passes", type=int, default=PASSES, help="how often to look, for the memory")
    options = parser.parse_args()
    found = measure(options.models, passes=options.passes)
    for name, times in {
        **found.stages, "whole pass, 640 x 480": found.whole,
        "faces, one of 48 px in 1280 x 720": found.small_face, "five frames, by the engine": found.five_frames,
    }.items():  # fmt: skip
        print(
            f"{name:36} {1000 * times.median:6.1f} ms "
            f"({1000 * times.p10:.1f} to {1000 * times.p90:.1f}, least {1000 * min(times.samples):.1f})"
        )
    print(f"growth over {found.passes} passes: {found.growth_mb:.1f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
