"""Settings of a person's session and of the pictures taken in it."""

from pathlib import Path

from pydantic import Field

from auth_contract.limits import ENROL_FRAMES_MIN
from kiosk_agent.settings.section import Section


class SessionSettings(Section):
    """How long a person may take, and how often."""

    idle_s: float = Field(default=25.0, ge=5, le=300, description="Without a key press, while typing")
    step_s: float = Field(default=60.0, ge=10, le=600, description="For one entry, however often a key is pressed")
    face_s: float = Field(default=50.0, ge=5, le=55, description="To open the attempt and take the pictures")
    checking_s: float = Field(default=25.0, ge=5, le=180, description="To wait for the server's decision")
    qr_s: float = Field(default=180.0, ge=30, le=600, description="To scan a QR code and type its first code")
    result_s: float = Field(default=6.0, ge=1, le=60, description="To show a result")
    waiting_s: float = Field(default=20.0, ge=1, le=120, description="To show what a change waits for")
    reveal_s: float = Field(default=1.0, ge=0, le=5, description="To show the last character of a secret; 0: never")
    capture_again_s: float = Field(default=4.0, ge=1, le=30, description="To read the hint before the next pictures")


_PICTURES_MAX = 8
"""Of one submission without movements: as many as there are poses to ask for."""


class CaptureSettings(Section):
    """The pictures of one attempt."""

    models: Path | None = Field(
        default=None, description="Folder of the face models, by which people are guided; left out: no guidance"
    )
    frames: int = Field(default=3, ge=1, le=_PICTURES_MAX, description="Pictures in one submission")
    interval_s: float = Field(default=0.2, ge=0, le=2, description="Between two pictures")
    enrol_frames: int = Field(default=5, ge=ENROL_FRAMES_MIN, le=_PICTURES_MAX, description="Pictures of a new face")
    enrol_interval_s: float = Field(default=1.5, ge=0, le=5, description="Between two of them, to turn the head")
    quality: int = Field(default=90, ge=50, le=100, description="JPEG quality; lowered where a message would be full")
    patience_s: float = Field(default=12.0, ge=1, le=30, description="For pictures that can be judged, when guided")
    movement_s: float = Field(default=6.0, ge=2, le=10, description="For one movement, when guided")
    movement_interval_s: float = Field(default=0.125, ge=0.04, le=0.5, description="Between two pictures of one")
