"""The sentences a person reads, one for each reason and hint, and nothing that names a factor."""

from datetime import datetime
from types import MappingProxyType
from typing import Final

from auth_contract.actions import Action, CaptureHint, Need, Reason
from auth_contract.messages import ErrorReply, PendingChange
from auth_server.changes import Glance
from auth_server.errors import CaptureAgain, Locked, Malformed, RequestRefused, Unavailable

SENTENCES: Final = MappingProxyType(
    {
        Reason.DENIED: "That did not work.",
        Reason.LOCKED: "Too many tries in a row. Please wait before the next one.",
        Reason.CAPTURE_AGAIN: "The pictures could not be used. Please try again.",
        Reason.START_AGAIN: "This attempt has ended. Please start again.",
        Reason.MALFORMED: "Something you entered has a form that cannot be used.",
        Reason.KIOSK_REFUSED: "This kiosk cannot be used now. Please tell a member of staff.",
        Reason.USE_KIOSK: "This cannot be done from here. Please go to a kiosk.",
        Reason.UNAVAILABLE: "The service is not available right now. Please try again shortly.",
    }
)

HINTS: Final = MappingProxyType(
    {
        CaptureHint.NO_FACE: "No face was seen. Please look at the camera.",
        CaptureHint.SEVERAL_FACES: "More than one face was seen. Please step up alone.",
        CaptureHint.TOO_SMALL: "You are too far away. Please come closer.",
        CaptureHint.TOO_DARK: "The picture is too dark. Please face the light.",
        CaptureHint.TOO_BRIGHT: "The picture is too bright. Please turn away from the light.",
        CaptureHint.BLURRED: "The picture is blurred. Please hold still.",
        CaptureHint.TOO_CLOSE: "You are too close. Please step back a little.",
        CaptureHint.CUT_OFF: "A part of your face is outside the picture. Please come to the middle.",
        CaptureHint.TURNED: "You looked away. Please look straight at the camera.",
        CaptureHint.EYES_SHUT: "Your eyes were shut. Please look at the camera.",
        CaptureHint.ONE_POSE: "Your head was always held alike. Please turn it a little between the pictures.",
        CaptureHint.MOVEMENT: "Not all that you were asked to do was seen. Please follow the arrows.",
    }
)


IN_FORCE: Final = MappingProxyType(
    {
        Action.REGISTER: "You are registered. You can log in now.",
        Action.RECOVER_TOTP: "Your new authenticator entry is in force. The old one is dead: delete it.",
        Action.RECOVER_PASSWORD: "Your new password is in force.",
        Action.RECOVER_FACE: "Your new face pictures are in force.",
        Action.UPDATE_MAC: "Your account is bound to this kiosk now, and to no other.",
        Action.APPROVE: "Approved.",
        Action.CANCEL: "The change is cancelled. Nothing of yours was changed.",
    }
)
"""What a person reads when it is done."""

_SCAN: Final = "Scan the picture with your authenticator app now: it is shown once."

ELSEWHERE: Final = MappingProxyType(
    {
        Action.REGISTER: f"You are registered. {_SCAN}",
        Action.RECOVER_TOTP: f"Your new authenticator entry is in force, the old one is dead. {_SCAN}",
        Action.UPDATE_MAC: "Your account is bound to the new device now. Kiosks that it was bound to stay.",
    }
)
"""The same through a gateway, where it is another: no first code was asked for, and no kiosk stands there."""

_NOUNS: Final = MappingProxyType(
    {
        Action.RECOVER_TOTP: "a new authenticator entry",
        Action.RECOVER_PASSWORD: "a new password",
        Action.RECOVER_FACE: "a new face",
        Action.UPDATE_MAC: "another kiosk",
    }
)


def change_sentence(action: Action, pending: PendingChange | None, *, is_gateway: bool = False) -> str:
    """What a person reads after a granted action, at a kiosk or elsewhere: that it is done, or what comes next."""
    if pending is None:
        return (IN_FORCE | ELSEWHERE)[action] if is_gateway else IN_FORCE[action]
    if Need.CODE in pending.needs:
        return "Scan the picture with your authenticator app, then type the six digits that it shows."
    if Need.APPROVAL in pending.needs:
        return f"A supervisor has to approve this at another kiosk before {_clock(pending.expires_at)}."
    return f"This is in force from {_clock(pending.expires_at)} on. Until then it can be cancelled at any kiosk."


def login_sentence(pending: Glance | None) -> str:
    """What a person who got in reads; somebody else's recovery in their name must not go unseen."""
    if pending is None or pending.is_code_needed or pending.action not in _NOUNS:
        return "Access granted."
    return (
        f"Access granted. At kiosk {pending.kiosk_id} {_NOUNS[pending.action]} was asked for in your name: "
        "if that was not you, cancel it now."
    )


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def refusal(error: RequestRefused) -> ErrorReply:
    """The reply to a refusal: its coarse reason, a sentence, and only what helps the person or the kiosk."""
    hint = error.hint if isinstance(error, CaptureAgain) else None
    return ErrorReply(
        reason=error.reason,
        message=SENTENCES[error.reason] if hint is None else HINTS[hint],
        retry_after_s=error.retry_after_s if isinstance(error, Locked | Unavailable) else None,
        capture_hint=hint,
        field=error.field if isinstance(error, Malformed) else None,
        rule=error.rule if isinstance(error, Malformed) else None,
    )


def incident_reply(incident: str, *, retry_after_s: int | None = None) -> ErrorReply:
    """The reply to an unforeseen error: a number to quote, and nothing about itself."""
    return ErrorReply(
        reason=Reason.UNAVAILABLE,
        message=SENTENCES[Reason.UNAVAILABLE],
        incident=incident,
        retry_after_s=retry_after_s,
    )
