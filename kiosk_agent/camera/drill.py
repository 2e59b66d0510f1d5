"""What is wrong with a replay camera, told by a file while it runs: for drills and tests.

The file's first word is `unplugged`, `busy`, `failed` or `hang` for no picture, `frozen`, `dark` or `slow` for
bad ones. An empty or absent file, or another word, is a camera that works.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from kiosk_agent.camera.driver import Image
from kiosk_agent.errors import CameraFault
from kiosk_agent.vocabulary import CameraState

_SLOW_S: Final = 1.0
_HANG_S: Final = 0.1

FAULTS: Final = {
    "unplugged": ("is not there: No such device", CameraState.UNPLUGGED),
    "busy": ("Device or resource busy", CameraState.BUSY),
    "failed": ("gave no picture", CameraState.FAILED),
}
"""What ends a read or an opening, by its word."""


class Drill:
    """Reads the file before each opening and picture."""

    def __init__(self, path: Path | None, sleep: Callable[[float], None]) -> None:
        self._path = path
        self._sleep = sleep
        self._frozen: Image | None = None

    def check(self) -> str:
        """Return the word in force; raises CameraFault for one of `FAULTS`, and comes back from `hang` when it goes."""
        while (word := self._word()) == "hang":
            self._sleep(_HANG_S)
        if word in FAULTS:
            problem, state = FAULTS[word]
            raise CameraFault(f"replay {self._path}", problem, "its drill asks for this fault", state)
        return word

    def show(self, image: Image, word: str) -> Image:
        """Return what is to be seen of a picture under a word."""
        if word == "slow":
            self._sleep(_SLOW_S)
        if word != "frozen":
            self._frozen = None
        elif self._frozen is None:
            self._frozen = image
        if self._frozen is not None:
            return self._frozen
        return np.asarray(image // 64, dtype=np.uint8) if word == "dark" else image

    def _word(self) -> str:
        if self._path is None:
            return ""
        try:
            words = self._path.read_text(encoding="ascii", errors="replace").split(maxsplit=1)
        except OSError:
            return ""
        return words[0] if words else ""
