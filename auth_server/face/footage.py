"""Pictures and videos from files, in the form of what a kiosk sends."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, overload

import cv2
import numpy as np

from auth_server.errors import EvaluationRefused
from auth_server.face.looker import Looking
from auth_server.face.trials import Footage
from auth_vision.geometry import Picture

PICTURES_MAX: Final = 3000
"""Of one video: 100 seconds at 30 a second, of which each picture is held as JPEG."""

JPEG_QUALITY: Final = 90
_STILL: Final = frozenset({".jpg", ".jpeg"})
_USUAL_FPS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Clip:
    """The JPEG pictures of a file, so many a second; one picture is a still."""

    jpegs: tuple[bytes, ...]
    fps: float

    @property
    def is_still(self) -> bool:
        """Whether it is one picture."""
        return len(self.jpegs) == 1

    def shown_by(self, looker: Looking) -> Footage:
        """Return the clip as something to be held before a kiosk."""
        return Footage(_Held(len(self.jpegs)), self.fps, looker, dict(enumerate(self.jpegs)))


class _Held(Sequence[Picture]):
    """Stands for pictures that are there as JPEG already: decoded, those of a minute take a gigabyte."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> Picture: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Picture]: ...
    def __getitem__(self, place: int | slice) -> Any:
        raise LookupError("the pictures of a clip are held as JPEG alone")


def read_clip(path: Path) -> Clip:
    """Return the pictures of a JPEG or a video. Raises EvaluationRefused for what is neither, or is too long."""
    if path.suffix.lower() in _STILL:
        try:
            return Clip((path.read_bytes(),), _USUAL_FPS)
        except OSError as error:
            raise EvaluationRefused(f"{path} cannot be read: {error.strerror}") from error
    video = cv2.VideoCapture(str(path))
    try:
        jpegs = tuple(_jpegs(path, video))
        fps = float(video.get(cv2.CAP_PROP_FPS))
    finally:
        video.release()
    if not jpegs:
        raise EvaluationRefused(f"{path} is neither a JPEG nor a video that OpenCV can read")
    return Clip(jpegs, fps if fps > 0 and np.isfinite(fps) else _USUAL_FPS)


def _jpegs(path: Path, video: Any) -> list[bytes]:
    found: list[bytes] = []
    while True:
        is_there, picture = video.read()
        if not is_there:
            return found
        if len(found) == PICTURES_MAX:
            raise EvaluationRefused(f"{path} has more than {PICTURES_MAX:,} pictures: cut it into parts")
        found.append(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes())
