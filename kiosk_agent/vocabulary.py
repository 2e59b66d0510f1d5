"""The words of a session: where it stands, how it ended, why there is none, and what keys do. Pure."""

from enum import StrEnum
from typing import Final


class Step(StrEnum):
    """Where a session stands. The values are also the names by which a keypad's script knows the steps."""

    ATTRACT = "attract"
    LANGUAGE = "language"
    MENU = "menu"
    RECOVERY = "recovery"
    NAME = "name"
    PERSON = "person"
    PERMISSION = "permission"
    PASSWORD = "password"  # noqa: S105 - the step's name
    NEW_PASSWORD = "new_password"  # noqa: S105 - the step's name
    REPEAT = "repeat"
    CODE = "code"
    FACE = "face"
    ENROL = "enrol"
    SENDING = "sending"
    CHECKING = "checking"
    QR = "qr"
    GRANTED = "granted"
    DONE = "done"
    WAITING = "waiting"
    DENIED = "denied"
    LOCKED = "locked"
    CAPTURE_AGAIN = "capture_again"
    TIMED_OUT = "timed_out"
    OUT_OF_SERVICE = "out_of_service"


class Ending(StrEnum):
    """How a session ended: the server's reasons in its own words, and what only a kiosk can know."""

    GRANTED = "granted"
    CHANGED = "changed"
    PENDING = "pending"
    DENIED = "denied"
    LOCKED = "locked"
    CAPTURE_AGAIN = "capture_again"
    START_AGAIN = "start_again"
    MALFORMED = "malformed"
    KIOSK_REFUSED = "kiosk_refused"
    UNAVAILABLE = "unavailable"
    NOT_PROVEN = "not_proven"
    UNCERTAIN = "uncertain"
    CAMERA_FAULT = "camera_fault"
    KEYPAD_FAULT = "keypad_fault"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


class Cause(StrEnum):
    """Why a kiosk is out of service, the gravest first; the values are those of the heartbeat."""

    KEYPAD = "keypad"
    CAMERA = "camera"
    REFUSED = "kiosk_refused"
    UNTRUSTED = "server_untrusted"
    CLOCK = "clock"
    NETWORK = "network"
    SERVER = "server"
    BROKEN = "broken"


class CameraState(StrEnum):
    """How a camera is. The values are those of the heartbeat."""

    OK = "ok"
    BUSY = "busy"
    UNPLUGGED = "unplugged"
    DARK = "dark"
    FROZEN = "frozen"
    SLOW = "slow"
    FAILED = "failed"


GIVES_PICTURES: Final = frozenset({CameraState.OK, CameraState.DARK, CameraState.SLOW})
"""The states in which there are pictures, whatever they are like."""


class Key(StrEnum):
    """What a key does, whatever it is called on a keypad."""

    ENTER = "enter"
    BACKSPACE = "backspace"
    CLEAR = "clear"
    CANCEL = "cancel"
    MORE = "more"
    MODE = "mode"
