"""The server's error tree. Leaves carry data, and one handler turns them into replies.

AuthServerError
├── StartRefused                 the process must not serve; exit 78
│   ├── SettingsRefused          a field, its value and the rule it breaks
│   ├── KeyringRefused           a key is missing, unreadable, too open, or cannot open the canary
│   └── ModelsRefused            a model file is missing or has another checksum
├── RequestRefused               an answer is owed; carries its Reason and audit detail
│   ├── Denied                   judged, and not all factors passed
│   ├── CaptureAgain             the pictures cannot be judged; carries the hint
│   ├── Locked                   too many failures in a row; carries retry_after_s
│   ├── UseKiosk                 the site does it at kiosks alone, and a gateway asked
│   ├── KioskRefused             unknown, disabled, unsigned, badly signed, replayed, clock too far off
│   ├── AttemptRefused           unknown, foreign, expired or used attempt
│   ├── Malformed                a body, field or picture breaks a rule of form
│   │   └── TooLarge             by its declared size
│   └── Unavailable              a part cannot answer now; carries retry_after_s
├── PasswordRefused              a new password breaks a rule of the policy; carries the rule
├── FaceUnusable                a picture cannot be enrolled; carries its index, the hint and the problem
├── EvaluationRefused            pictures cannot be measured, or show too little
├── DeliveryFailed              a notification was not taken; it waits and is tried again
├── RotationRefused              a key cannot be added, taken into use or retired now
└── StoreError                   the store cannot be opened, read or written
    ├── StoreAway                it is another machine's, which does not answer now
    └── LogRolledBack            the audit log is not the one that was signed
"""

from collections.abc import Mapping

from auth_contract.actions import CaptureHint, Reason


class AuthServerError(Exception):
    """Base of all errors that this program raises on purpose."""


class StartRefused(AuthServerError):
    """The process must not serve; the message says what to do."""


class SettingsRefused(StartRefused):
    """A settings field breaks a rule."""


class KeyringRefused(StartRefused):
    """A key file is missing, unreadable, too open, or does not fit the database."""


class ModelsRefused(StartRefused):
    """A model file is missing or is not the one that its checksum names."""


class PasswordRefused(AuthServerError):
    """A new password breaks a rule of the policy; `rule` says which, and nothing of the password."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class EvaluationRefused(AuthServerError):
    """Pictures for an evaluation cannot be used, or are too few for what is asked of them; the message says why."""


class DeliveryFailed(AuthServerError):
    """The receiver of a notification did not say that it has it."""


class RotationRefused(AuthServerError):
    """A key cannot be added, taken into use or retired now; the message says why and what to do."""


class StoreError(AuthServerError):
    """The store cannot be opened, read or written."""


class StoreAway(StoreError):
    """The store is another machine's, which does not answer now and may later: nothing need be mended here."""


class LogRolledBack(StoreError):
    """The audit log lacks a signed row or has another in its place; the message says what to do."""


class RequestRefused(AuthServerError):
    """A request is refused with a coarse reason for the person and a detail for the audit."""

    status = 403
    reason = Reason.DENIED

    def __init__(self, why: str, **detail: object) -> None:
        super().__init__(why)
        self.why = why
        self.detail: Mapping[str, object] = detail


class KioskRefused(RequestRefused):
    """The request does not come from a kiosk in good standing; nothing of its body was read."""

    status = 401
    reason = Reason.KIOSK_REFUSED


class UseKiosk(RequestRefused):
    """A gateway asks for what the site does at kiosks alone."""

    reason = Reason.USE_KIOSK


class AttemptRefused(RequestRefused):
    """The submission names no attempt that may still be used by this kiosk."""

    status = 409
    reason = Reason.START_AGAIN


class Malformed(RequestRefused):
    """The body breaks a rule of form. `field` and `rule` go to the kiosk, values never."""

    status = 422
    reason = Reason.MALFORMED

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}", field=field, rule=rule)
        self.field = field
        self.rule = rule


class TooLarge(Malformed):
    """The declared size is above the limit."""

    status = 413


class Unavailable(RequestRefused):
    """A part of the server cannot answer now."""

    status = 503
    reason = Reason.UNAVAILABLE

    def __init__(self, why: str, *, retry_after_s: int) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class Denied(RequestRefused):
    """The factors were judged and not all of them passed."""


class CaptureAgain(RequestRefused):
    """The pictures could not be judged; nothing else was decided."""

    reason = Reason.CAPTURE_AGAIN

    def __init__(self, hint: CaptureHint) -> None:
        super().__init__(f"pictures cannot be judged: {hint}")
        self.hint = hint


class Locked(RequestRefused):
    """Too many failures in a row; the next try is open after `retry_after_s`."""

    status = 423
    reason = Reason.LOCKED

    def __init__(self, *, retry_after_s: int) -> None:
        super().__init__(f"locked for {retry_after_s} s")
        self.retry_after_s = retry_after_s


class FaceUnusable(AuthServerError):
    """A picture cannot be enrolled: its index in what was given, the hint, and the problem in words."""

    def __init__(self, picture: int, hint: CaptureHint, problem: str | None = None) -> None:
        self.picture = picture
        self.hint = hint
        self.problem = problem or hint.value.replace("_", " ")
        super().__init__(f"picture {picture + 1} cannot be enrolled: {self.problem}")
