"""What a person reads when a picture cannot be judged, in one sentence each. Pure data."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from auth_contract.actions import CaptureHint

HINTS: Final[Mapping[CaptureHint, str]] = MappingProxyType(
    {
        CaptureHint.NO_FACE: "No face is seen. Look into the camera",
        CaptureHint.SEVERAL_FACES: "More than one face is seen. Stand alone before the camera",
        CaptureHint.TOO_SMALL: "You are too far away. Come closer",
        CaptureHint.TOO_CLOSE: "You are too close. Step back a little",
        CaptureHint.CUT_OFF: "A part of your face is not in the picture. Move to its middle",
        CaptureHint.TOO_DARK: "It is too dark. Face the light",
        CaptureHint.TOO_BRIGHT: "It is too bright. Turn away from the light",
        CaptureHint.BLURRED: "The picture is blurred. Hold still",
        CaptureHint.TURNED: "Your head is turned. Look straight into the camera",
        CaptureHint.EYES_SHUT: "Your eyes are shut. Open them",
        CaptureHint.ONE_POSE: "All pictures look alike. Turn your head a little between them",
        CaptureHint.MOVEMENT: "Not all of the movements were seen. Do each as soon as the screen shows it",
    }
)
"""One for each hint of the contract; the server words its own."""
