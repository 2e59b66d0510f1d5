"""The sentences that come from elsewhere: the server's, and the contract's rules on what was typed. Pure.

They arrive as English text. What is listed here is in the catalogues and is said in the person's
language; anything else is shown as it came. `{...}` stands for what differs from one to the next.
"""

import re
from typing import Final

HEARD: Final = (
    # Replies: one for each reason.
    "That did not work.",
    "Too many tries in a row. Please wait before the next one.",
    "The pictures could not be used. Please try again.",
    "This attempt has ended. Please start again.",
    "Something you entered has a form that cannot be used.",
    "This kiosk cannot be used now. Please tell a member of staff.",
    "The service is not available right now. Please try again shortly.",
    # Replies: one for each hint.
    "No face was seen. Please look at the camera.",
    "More than one face was seen. Please step up alone.",
    "You are too far away. Please come closer.",
    "The picture is too dark. Please face the light.",
    "The picture is too bright. Please turn away from the light.",
    "The picture is blurred. Please hold still.",
    "You are too close. Please step back a little.",
    "A part of your face is outside the picture. Please come to the middle.",
    "You looked away. Please look straight at the camera.",
    "Your eyes were shut. Please look at the camera.",
    "Your head was always held alike. Please turn it a little between the pictures.",
    "Not all that you were asked to do was seen. Please follow the arrows.",
    # Replies: granted.
    "Access granted.",
    "Access granted. At kiosk {kiosk} a new authenticator entry was asked for in your name: "
    "if that was not you, cancel it now.",
    "Access granted. At kiosk {kiosk} a new password was asked for in your name: if that was not you, cancel it now.",
    "Access granted. At kiosk {kiosk} a new face was asked for in your name: if that was not you, cancel it now.",
    "Access granted. At kiosk {kiosk} another kiosk was asked for in your name: if that was not you, cancel it now.",
    "You are registered. You can log in now.",
    "Your new authenticator entry is in force. The old one is dead: delete it.",
    "Your new password is in force.",
    "Your new face pictures are in force.",
    "Your account is bound to this kiosk now, and to no other.",
    "Approved.",
    "The change is cancelled. Nothing of yours was changed.",
    "Scan the picture with your authenticator app, then type the six digits that it shows.",
    "A supervisor has to approve this at another kiosk before {time}.",
    "This is in force from {time} on. Until then it can be cancelled at any kiosk.",
    # What a new password must be, and other rules that the server alone can judge.
    "A password has at least 8 characters",
    "A password has at least one upper-case letter, digit or special character",
    "A password has at least 4 different characters",
    "This is a common password, or one with a few digits or signs added",
    "A password does not contain the person's own name, forwards or backwards",
    "A password does not contain the name of this system or site",
    "{name} is the name of an account already: choose another",
    "{name} has no request of another kiosk that waits for your approval",
    "{name} has no change that could be cancelled",
    # The form of what is typed.
    "A name has 1 to 64 characters",
    "A name has letters, digits, space and . ' _ @ - only",
    "A name has no letters that nobody can see",
    "A name starts with a letter or digit and has single spaces inside only",
    "A password has at most 72 bytes of UTF-8, this one has {size}",
    "A password has no control characters and no unassigned ones",
    "An enrolment ticket has 16 letters and digits, an administrator's secret 25",
    "Somebody else must approve what you asked for",
    "Please enter your password",
    "Please enter a new password",
    "Please enter the new password once more",
    "The code has 6 digits",
)


def recognise(text: str) -> tuple[str, dict[str, str]] | None:
    """Return the template among those of `HEARD` that a text was made of, and its values; None where there is none."""
    for template, pattern in _PATTERNS.items():
        if found := pattern.fullmatch(text):
            return template, found.groupdict()
    return None


def _pattern(template: str) -> re.Pattern[str]:
    literal, *rest = re.split(r"\{([a-z]+)\}", template)
    pairs = zip(rest[::2], rest[1::2], strict=True)
    return re.compile(re.escape(literal) + "".join(f"(?P<{name}>.+){re.escape(text)}" for name, text in pairs))


_PATTERNS: Final = {template: _pattern(template) for template in HEARD if "{" in template}
