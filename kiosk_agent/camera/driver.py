"""What a camera's driver is: plain calls into one device, made by one thread; `keeper` does all else."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from auth_contract.actions import Movement

Image = npt.NDArray[np.uint8]
"""One picture, BGR, rows first."""


@dataclass(frozen=True, slots=True)
class CameraNeeds:
    """What every camera is given beside its own settings."""

    monotonic: Callable[[], float]
    sleep: Callable[[float], None]


class Bounds(Protocol):
    """The settings that every camera has, for its keeper; see `settings.cameras.CameraSection`."""

    @property
    def open_timeout_s(self) -> float:
        """For the device to be ready."""

    @property
    def read_timeout_s(self) -> float:
        """For one picture."""

    @property
    def probe_s(self) -> float:
        """Between two looks at a camera that nobody uses."""

    @property
    def dark_below(self) -> float:
        """Luminance, 0 to 255."""

    @property
    def slow_above_s(self) -> float:
        """For one picture; longer is slow."""

    @property
    def finds_frozen(self) -> bool:
        """Whether equal pictures mean that the camera hangs."""


class Driver(Protocol):
    """One device. Each call may take long or never return; each raises CameraFault, which leaves it closed or not."""

    @property
    def is_live(self) -> bool:
        """Whether pictures come by themselves, and not one for each read, so that it may be streamed."""

    @property
    def form(self) -> str:
        """What the device said that it gives, such as `1280x960 MJPG`; empty before it was opened."""

    def open(self) -> None:
        """Get ready for pictures of one person; where it is open already, drop what is stale."""

    def read(self) -> Image:
        """Return the next picture, waiting for it."""

    def follow(self, movement: Movement | None) -> None:
        """Take note of what the person is asked to do; from another thread, and at once."""

    def close(self) -> None:
        """Let go of the device; nothing where it is not open."""
