"""How a camera does, from its pictures alone: dark, frozen, slow. Pure, and told the time."""

from hashlib import blake2b
from typing import Final

from kiosk_agent.camera.driver import Bounds, Image
from kiosk_agent.vocabulary import CameraState

LASTS_S: Final = 2.0
"""So long a finding must hold before it is believed: a hand before the lens or one late picture is none."""

_SAME_MIN: Final = 5
"""Equal pictures that make a frozen camera: the noise of a sensor lets no two be equal."""

_SLOW_MIN: Final = 3
_STEP: Final = 8
"""Every 8th pixel each way tells pictures apart, and how bright they are."""


class Condition:
    """Looks at one picture after another, across openings of the camera."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._last = b""
        self._same, self._same_since = 0, 0.0
        self._dark_since: float | None = None
        self._slow = 0

    def see(self, picture: Image, now: float, took_s: float) -> bool:
        """Take note of a picture that took so long; return whether it differs from the one before."""
        mark = mark_of(picture)
        is_same = mark == self._last
        if not is_same:
            self._same, self._same_since = 0, now
        self._same += 1
        self._last = mark
        if luminance(picture) >= self._bounds.dark_below:
            self._dark_since = None
        elif self._dark_since is None:
            self._dark_since = now
        self._slow = self._slow + 1 if took_s > self._bounds.slow_above_s else 0
        return not is_same

    def state(self, now: float) -> CameraState:
        """Return OK, DARK, FROZEN or SLOW; dark before frozen, since a covered lens can give equal pictures."""
        if self._dark_since is not None and now - self._dark_since >= LASTS_S:
            return CameraState.DARK
        is_long = self._same >= _SAME_MIN and now - self._same_since > LASTS_S
        if self._bounds.finds_frozen and is_long:
            return CameraState.FROZEN
        return CameraState.SLOW if self._slow >= _SLOW_MIN else CameraState.OK

    @property
    def is_dark(self) -> bool:
        """Whether the last picture was dark."""
        return self._dark_since is not None

    @property
    def is_doubtful(self) -> bool:
        """Whether one more picture would tell more: the last was dark, late, or equal to the one before."""
        is_same = self._bounds.finds_frozen and self._same > 1
        return is_same or self.is_dark or self._slow > 0


def luminance(picture: Image) -> float:
    """Return how bright a BGR picture is, 0 to 255, by the weights of ITU-R BT.601."""
    blue, green, red = picture[::_STEP, ::_STEP].reshape(-1, 3).mean(axis=0)
    return float(0.114 * blue + 0.587 * green + 0.299 * red)


def mark_of(picture: Image) -> bytes:
    """Return what tells a picture from the next by their sensor's noise, and from which nobody can be seen."""
    return blake2b(picture[::_STEP, ::_STEP].tobytes(), digest_size=16).digest()
