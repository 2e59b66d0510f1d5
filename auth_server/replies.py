"""The sentences a person reads, one for each reason and hint, and nothing that names a factor."""

from types import MappingProxyType
from typing import Final

from auth_contract.actions import CaptureHint, Reason
from auth_contract.messages import ErrorReply
from auth_server.errors import CaptureAgain, Locked, Malformed, RequestRefused, Unavailable

SENTENCES: Final = MappingProxyType(
    {
        Reason.DENIED: "That did not work.",
        Reason.LOCKED: "Too many tries in a row. Please wait before the next one.",
        Reason.CAPTURE_AGAIN: "The pictures could not be used. Please try again.",
        Reason.START_AGAIN: "This attempt has ended. Please start again.",
        Reason.MALFORMED: "Something you entered has a form that cannot be used.",
        Reason.KIOSK_REFUSED: "This kiosk cannot be used now. Please tell a member of staff.",
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
    }
)


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
