"""Settings of each camera backend."""

from typing import Annotated, Literal

from pydantic import Field

from auth_contract.actions import Movement
from kiosk_agent.settings.section import Section

Sources = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=4096)], ...], Field(min_length=1, max_length=1000)
]


class ReplayCamera(Section):
    """Pictures or a video file instead of a camera; for development only.

    An entry is a picture, a folder of pictures (in order of name, read anew for every picture
    taken), a video, or `fault:` and a sentence, which fails as a camera would. `acts` are shown once each
    when the movement is asked for: somebody who does what the screen says; of those that are not there, nothing.
    """

    kind: Literal["replay"]
    sources: Sources
    acts: dict[Movement, Sources] = Field(default_factory=dict, description="Sources for movements, by their names")
    loop: bool = Field(default=True, description="Begin again after the last picture; else it fails there")
    fps: float = Field(default=0.0, ge=0, le=120, description="Pace as a camera would; 0 gives pictures at once")


class OpencvCamera(Section):
    """A camera that OpenCV can open."""

    kind: Literal["opencv"]
    device: int | str = Field(description="V4L2 number or device path; in development also a video file")
    width: int = Field(default=1280, ge=160, le=3840, description="Asked of the camera, pixels")
    height: int = Field(default=960, ge=120, le=2160, description="Asked of the camera, pixels")
    read_timeout_s: float = Field(default=5.0, gt=0, le=30, description="To open the camera, or for one picture")
    discard: int = Field(default=2, ge=0, le=30, description="Stale pictures dropped before the first of an attempt")

    @property
    def is_camera(self) -> bool:
        """Whether `device` names a camera and not a file."""
        return isinstance(self.device, int) or self.device.startswith("/dev/")


AnyCamera = Annotated[ReplayCamera | OpencvCamera, Field(discriminator="kind")]
"""The settings of one camera, of whatever kind."""
