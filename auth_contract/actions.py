"""The closed vocabularies of the wire: actions, reasons, hints."""

from enum import StrEnum
from typing import Final


class Action(StrEnum):
    """What a person may ask for at a kiosk."""

    LOGIN = "login"
    REGISTER = "register"
    RECOVER_TOTP = "recover_totp"
    RECOVER_PASSWORD = "recover_password"  # noqa: S105 - the action's name
    RECOVER_FACE = "recover_face"
    UPDATE_MAC = "update_mac"
    CONFIRM = "confirm"
    APPROVE = "approve"
    CANCEL = "cancel"


class Reason(StrEnum):
    """All that a person or a kiosk may learn of a refusal; which factor failed is never among it."""

    DENIED = "denied"
    LOCKED = "locked"
    CAPTURE_AGAIN = "capture_again"
    START_AGAIN = "start_again"
    MALFORMED = "malformed"
    KIOSK_REFUSED = "kiosk_refused"
    USE_KIOSK = "use_kiosk"
    """A gateway sends what this site does at kiosks alone."""

    UNAVAILABLE = "unavailable"


class Need(StrEnum):
    """What a change still waits for before it is in force."""

    CODE = "code"
    """A first code of the new TOTP secret."""

    APPROVAL = "approval"
    """A supervisor's four factors at another kiosk."""

    TIME = "time"
    """The end of the cooling-off time, until which it can be cancelled."""


class CaptureHint(StrEnum):
    """Why the pictures could not be judged, whoever is in them."""

    NO_FACE = "no_face"
    SEVERAL_FACES = "several_faces"
    TOO_SMALL = "too_small"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    BLURRED = "blurred"
    TOO_CLOSE = "too_close"
    CUT_OFF = "cut_off"
    """A part of the face lies beyond the picture's edge."""

    TURNED = "turned"
    EYES_SHUT = "eyes_shut"
    ONE_POSE = "one_pose"
    """A new face needs pictures of two poses."""

    MOVEMENT = "movement"
    """What the person was asked to do was not seen; unlike the others this counts as a failure."""


class Movement(StrEnum):
    """What a person may be asked to do before the camera; left and right are the person's own."""

    TURN_LEFT = "turn_left"
    TURN_RIGHT = "turn_right"
    LOOK_UP = "look_up"
    BLINK = "blink"
    COME_CLOSER = "come_closer"


HEAD_MOVEMENTS: Final = frozenset({Movement.TURN_LEFT, Movement.TURN_RIGHT, Movement.LOOK_UP})
"""Those that show the depth of a head, which a picture that is turned before the camera has not."""
