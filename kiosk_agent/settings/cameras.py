"""Settings of each camera driver."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from auth_contract.actions import Movement
from kiosk_agent.settings.section import Section

Sources = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=4096)], ...], Field(min_length=1, max_length=1000)
]


class CameraSection(Section):
    """What every camera has: when it is given up, and what its pictures must be."""

    open_timeout_s: float = Field(default=10.0, gt=0, le=60, description="For the camera to be ready, seconds")
    read_timeout_s: float = Field(default=5.0, gt=0, le=30, description="For one picture, seconds")
    probe_s: float = Field(default=10.0, ge=1, le=300, description="Between two looks while nobody is there, seconds")
    dark_below: float = Field(default=8.0, ge=0, le=255, description="Mean luminance that is dark; 0 for never")
    slow_above_s: float = Field(default=0.5, gt=0, le=30, description="A picture that takes longer is late, seconds")

    @property
    def finds_frozen(self) -> bool:
        """Whether equal pictures mean that the camera hangs."""
        return True


class ReplayCamera(CameraSection):
    """Pictures or a video file instead of a camera; for development only.

    An entry is a picture, a folder of pictures (in order of name, read anew for every picture
    taken), a video, or `fault:` and a sentence, which fails as a camera would. `acts` are shown once each
    when the movement is asked for: somebody who does what the screen says; of those that are not there, nothing.
    The first word of the file `drill` makes it behave badly while it stands there; see camera/drill.py.
    """

    kind: Literal["replay"]
    sources: Sources
    acts: dict[Movement, Sources] = Field(default_factory=dict, description="Sources for movements, by their names")
    loop: bool = Field(default=True, description="Begin again after the last picture; else it fails there")
    fps: float = Field(default=0.0, ge=0, le=120, description="Pictures a second; 0 gives one when it is asked for")
    drill: Path | None = Field(default=None, description="File whose first word says what is wrong with it")
    detect_frozen: bool = Field(default=False, description="Equal pictures are dropped, and many mean that it hangs")

    @property
    def finds_frozen(self) -> bool:
        """Files repeat themselves, so only where it is asked for."""
        return self.detect_frozen


class OpencvCamera(CameraSection):
    """A camera that OpenCV can open."""

    kind: Literal["opencv"]
    device: int | str = Field(description="V4L2 number or device path; in development also a video file")
    width: int = Field(default=1280, ge=160, le=3840, description="Asked of the camera, pixels")
    height: int = Field(default=960, ge=120, le=2160, description="Asked of the camera, pixels")
    fps: float = Field(default=15.0, gt=0, le=120, description="Asked of the camera, pictures a second")
    fourcc: Literal["", "MJPG", "YUYV"] = Field(default="", description="Pixel format; empty leaves it to the driver")
    discard: int = Field(default=2, ge=0, le=30, description="Stale pictures dropped before the first of an attempt")

    @property
    def is_camera(self) -> bool:
        """Whether `device` names a camera and not a file."""
        return isinstance(self.device, int) or self.device.startswith("/dev/")

    @property
    def node(self) -> str:
        """The path of the device or file."""
        return f"/dev/video{self.device}" if isinstance(self.device, int) else self.device

    @property
    def finds_frozen(self) -> bool:
        """A file may show one picture for long."""
        return self.is_camera


class Picamera2Camera(CameraSection):
    """A camera at the ribbon of a Raspberry Pi, through picamera2."""

    kind: Literal["picamera2"]
    camera_num: int = Field(default=0, ge=0, le=9, description="As `rpicam-hello --list-cameras` counts")
    width: int = Field(default=1280, ge=160, le=3840, multiple_of=2, description="Pixels; even")
    height: int = Field(default=960, ge=120, le=2160, multiple_of=2, description="Pixels; even")
    fps: float = Field(default=15.0, ge=1, le=60, description="Pictures a second")
    autofocus: bool = Field(default=True, description="Focus all the time, where the lens can")
    settle_s: float = Field(default=2.0, ge=0, le=10, description="At most, for exposure and focus to stand, seconds")
    hflip: bool = Field(default=False, description="Mirror left and right")
    vflip: bool = Field(default=False, description="Mirror top and bottom; with hflip, a camera mounted upside down")
    rotation: Literal[0, 90, 180, 270] = Field(default=0, description="Turn each picture clockwise, degrees")


AnyCamera = Annotated[ReplayCamera | OpencvCamera | Picamera2Camera, Field(discriminator="kind")]
"""The settings of one camera, of whatever kind."""
