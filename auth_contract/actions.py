"""The closed vocabularies of the wire: actions, reasons, hints."""

from enum import StrEnum


class Action(StrEnum):
    """What a person may ask for at a kiosk."""

    LOGIN = "login"


class Reason(StrEnum):
    """All that a person or a kiosk may learn of a refusal; which factor failed is never among it."""

    DENIED = "denied"
    LOCKED = "locked"
    CAPTURE_AGAIN = "capture_again"
    START_AGAIN = "start_again"
    MALFORMED = "malformed"
    KIOSK_REFUSED = "kiosk_refused"
    UNAVAILABLE = "unavailable"


class CaptureHint(StrEnum):
    """Why the pictures could not be judged, whoever is in them."""

    NO_FACE = "no_face"
    SEVERAL_FACES = "several_faces"
    TOO_SMALL = "too_small"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    BLURRED = "blurred"
