"""What the screen says, as tables: by step, by action, by ending. Pure data.

A refusal is worded by what was asked for: "the door is open" is a login's alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from auth_contract.actions import Action, Movement
from kiosk_agent.events import Cause, Ending, Key, Step
from kiosk_agent.phrases import Counted

Keys = tuple[tuple[Key | str, str], ...]
"""What keys do at a step: a key, or what is written on some, and a word or two."""

MORE_TIME: Final = "more time"
TYPING_KEYS: Final[Keys] = (
    (Key.ENTER, "next"),
    (Key.BACKSPACE, "correct"),
    (Key.MORE, MORE_TIME),
    (Key.CANCEL, "cancel"),
)
MENU: Final = "menu"
LANGUAGE: Final = "language"
LANGUAGES: Final = "{message} ({names})"
DONE_KEYS: Final[Keys] = ((Key.ENTER, "done"),)
AGAIN_KEYS: Final[Keys] = ((Key.ENTER, "start"),)
MORE_KEYS: Final[Keys] = ((Key.MORE, MORE_TIME),)
RETAKE_KEYS: Final[Keys] = ((Key.ENTER, "now"), (Key.CANCEL, "cancel"))
LEAVING_KEYS: Final[Keys] = ((Key.CANCEL, "cancel"),)
QR_KEYS: Final[Keys] = (
    (Key.ENTER, "send"),
    (Key.CLEAR, "secret as text"),
    (Key.MORE, MORE_TIME),
    (Key.CANCEL, "cancel"),
)
CHOOSE: Final = "choose"
CHOICES: Final = "{first} to {last}"
BACK: Final = "back"
EXIT: Final = "exit"
EXIT_KEYS: Final[Keys] = ((Key.CANCEL, EXIT),)
LEAVE: Final = "Exit"
"""The last line of a terminal client's menu, which ends it."""
TYPED: Final = "{typed} of {ticket} or {secret}"
DISK: Final = "Please tell the staff: this kiosk's disk is full or cannot be written"
DEVELOPMENT: Final = "Development mode: not for real doors"
STOP_TYPING: Final = "What you type now is ignored. Press {enter} to start again."
_PERHAPS: Final = "It may have been done all the same"
SHUT: Final = "The door stays shut: log in to open it."


@dataclass(frozen=True, slots=True)
class Words:
    """A title, the lines beneath it, and the keys that do something."""

    title: str
    lines: tuple[str, ...]
    keys: Keys = TYPING_KEYS


SUBJECTS: Final[Mapping[Action, str]] = MappingProxyType(
    {
        Action.REGISTER: "Register",
        Action.RECOVER_TOTP: "Recover the authenticator app",
        Action.RECOVER_PASSWORD: "Recover the password",
        Action.RECOVER_FACE: "Recover the face",
        Action.UPDATE_MAC: "Change to this kiosk",
        Action.APPROVE: "Approve a request",
        Action.CANCEL: "Cancel a request",
    }
)
"""What stands at the top of each page of an action; a login's have nothing there."""

OPTIONS: Final[Mapping[Action | Step, str]] = MappingProxyType(
    {
        Action.LOGIN: "Log in",
        Action.REGISTER: "Register (with a ticket, or an administrator beside you)",
        Step.RECOVERY: "Recover: authenticator app, password, face, this kiosk",
        Action.APPROVE: "Approve a request (supervisors)",
        Action.CANCEL: "Cancel a request of mine",
        Step.ATTRACT: "Back",
        Action.RECOVER_TOTP: "I lost my authenticator app",
        Action.RECOVER_PASSWORD: "I forgot my password",
        Action.RECOVER_FACE: "My face is not recognised any more",
        Action.UPDATE_MAC: "Use this kiosk instead of the one I had",
        Step.MENU: "Back",
    }
)
"""The menus' lines."""

STEPS: Final[Mapping[Step, Words]] = MappingProxyType(
    {
        Step.ATTRACT: Words("Welcome", ("Type your name to log in, or press {enter} for other services.",), ()),
        Step.LANGUAGE: Words("Your language", (), ()),
        Step.MENU: Words("What would you like to do?", (), ()),
        Step.RECOVERY: Words("What did you lose?", (), ()),
        Step.NAME: Words("Your name", ("Type your name, then press {enter}.",)),
        Step.PERSON: Words(
            "Whose request?", ("Type the name of the person whose request you approve, then press {enter}.",)
        ),
        Step.PERMISSION: Words(
            "Permission",
            (
                "Type the enrolment ticket that you were given, or let an administrator type their secret. "
                "Then press {enter}. Hyphens and capitals do not matter.",
            ),
        ),
        Step.PASSWORD: Words("Your password", ("Hello {name}. Type your password, then press {enter}.",)),
        Step.NEW_PASSWORD: Words(
            "New password",
            ("At least 8 characters, with a capital letter, a digit or a sign. Then press {enter}.",),
        ),
        Step.REPEAT: Words("New password, again", ("Type the same new password once more, then press {enter}.",)),
        Step.CODE: Words("Your code", ("Type the six digits that your authenticator app shows now.",)),
        Step.FACE: Words("Look at the camera", ("Stand alone, face the camera and hold still.",), LEAVING_KEYS),
        Step.ENROL: Words("Look at the camera", ("Stand alone before the camera.", "{pose}"), LEAVING_KEYS),
        Step.SENDING: Words("One moment", ("Your request is being sent.",), LEAVING_KEYS),
        Step.CHECKING: Words("One moment", ("Your request is being checked.",), LEAVING_KEYS),
        Step.QR: Words(
            "Scan this code",
            ("Scan it with your authenticator app, type the six digits that the app then shows, and press {enter}.",),
            QR_KEYS,
        ),
        Step.OUT_OF_SERVICE: Words("Out of service", ("This kiosk cannot be used right now.",), ()),
    }
)
"""What each step says, unless `STEPS_OF` knows better."""

STEPS_OF: Final[Mapping[tuple[Step, Action], Words]] = MappingProxyType(
    {
        (Step.CHECKING, Action.LOGIN): Words("One moment", ("Your login is being checked.",), LEAVING_KEYS),
        (Step.NAME, Action.REGISTER): Words(
            "New name", ("Type the name that is to be registered, then press {enter}.",)
        ),
        (Step.NAME, Action.APPROVE): Words("Your own name", ("Type your own name, supervisor, then press {enter}.",)),
    }
)

MOVEMENTS: Final[Mapping[Movement, Words]] = MappingProxyType(
    {
        Movement.TURN_LEFT: Words("<---  Turn your head to the left", ("To your own left.",)),
        Movement.TURN_RIGHT: Words("--->  Turn your head to the right", ("To your own right.",)),
        Movement.LOOK_UP: Words("/|\\  Look up", ("Raise your chin.",)),
        Movement.BLINK: Words(">-<  Shut your eyes for a moment", ("Then open them again.",)),
        Movement.COME_CLOSER: Words(">o<  Come closer to the camera", ("By a hand's width.",)),
    }
)
"""What is shown for each movement: an arrow or a figure and the same in words."""

MOVEMENT_COUNT: Final = "Movement {number} of {count}."


MOVEMENTS_FOLLOW: Final = Counted(
    "Then {count} movement is asked for.", "Then {count} movements are asked for, one after the other."
)
MORE_PICTURES: Final = Counted(
    "New pictures follow; {count} try is left.", "New pictures follow; {count} tries are left."
)
WAIT_SECONDS: Final = Counted("Try again in {count} second.", "Try again in {count} seconds.")
WAIT_MINUTES: Final = Counted("Try again in {count} minute.", "Try again in {count} minutes.")

LOOK_BACK: Final = Words("Look at the camera again", ("Hold still: these are the last pictures.",))

POSES: Final = (
    "Look straight into it.",
    "Now turn your head a little to the left.",
    "Now a little to the right.",
    "Now raise your chin a little.",
    "Now lower your chin a little.",
    "Look straight into it again.",
    "Now tilt your head a little to the left.",
    "Now a little to the right.",
)
"""One for each picture of an enrolment, of which there are at most eight."""

DONE: Final[Mapping[Action, Words]] = MappingProxyType(
    {
        Action.REGISTER: Words("Registered", (SHUT,), DONE_KEYS),
        Action.RECOVER_TOTP: Words("New authenticator in force", (SHUT,), DONE_KEYS),
        Action.RECOVER_PASSWORD: Words("New password in force", ("The old one no longer counts.", SHUT), DONE_KEYS),
        Action.RECOVER_FACE: Words("New face in force", ("The old pictures no longer count.", SHUT), DONE_KEYS),
        Action.UPDATE_MAC: Words("This kiosk is yours now", ("The one before no longer is.", SHUT), DONE_KEYS),
        Action.APPROVE: Words("Approved", (SHUT,), DONE_KEYS),
        Action.CANCEL: Words("Request cancelled", (SHUT,), DONE_KEYS),
    }
)
"""What is told when an action other than a login is done, beneath the server's own sentence."""

STAYS: Final[Mapping[Action, str]] = MappingProxyType(
    {
        Action.REGISTER: "Until then nobody can log in with this name.",
        Action.RECOVER_TOTP: "Until then your old authenticator app counts.",
        Action.RECOVER_PASSWORD: "Until then your old password counts.",
        Action.RECOVER_FACE: "Until then your old face pictures count.",
        Action.UPDATE_MAC: "Until then your account stays bound as it was.",
    }
)
"""What holds while a change waits."""

WAITS_FOR_CODE: Final = (
    "A first code of the new authenticator entry is to be typed where it was asked for, before {until}."
)
WAITS_FOR_APPROVAL: Final = "A supervisor has to approve it at another kiosk before {until}, or it lapses."
WAITS_FOR_TIME: Final = "It is in force from {since} on, unless it is cancelled before."
THEN_WAITS: Final = "After that a waiting time begins, in which it can still be cancelled."

HOW_TO_CANCEL: Final = "To cancel it: {enter}, then 5, at any kiosk, or ask an administrator."
HOW_TO_CANCEL_A_REGISTRATION: Final = "To cancel it, ask an administrator."

CAUSES: Final[Mapping[Cause, str]] = MappingProxyType(
    {
        Cause.KEYPAD: "Its keypad does not answer.",
        Cause.CAMERA: "Its camera does not answer.",
        Cause.REFUSED: "The login service does not accept this kiosk.",
        Cause.UNTRUSTED: "The login service could not prove that it is the right one.",
        Cause.CLOCK: "Its clock is wrong.",
        Cause.NETWORK: "It has no network.",
        Cause.SERVER: "The login service cannot be reached.",
        Cause.BROKEN: "Something went wrong at this kiosk.",
    }
)
"""What is wrong with a kiosk that is out of service."""

PAGE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "seconds": "{count} s",
        "code_left": "The code holds for {count} s.",
        "preview": "What the camera sees",
        "ask": "Please ask:",
        "lost": "Out of service",
        "lost_line": "This kiosk comes back by itself.",
        "mode": "Letters",
        "backspace": "Correct",
        "clear": "Clear",
        "more": "More time",
        "cancel": "Cancel",
        "enter": "Enter",
    }
)
"""What a page says beside a view, by what it is for; the page counts seconds itself."""

NEXT_STEP: Final[Mapping[Ending, str]] = MappingProxyType(
    {
        Ending.DENIED: "Check all that you type, and wait for a fresh code before you try again.",
        Ending.CAPTURE_AGAIN: "Stand alone before the camera, in good light, and start again.",
        Ending.START_AGAIN: "Nothing was decided. Please start again.",
        Ending.MALFORMED: "Please start again and check what you type.",
        Ending.UNAVAILABLE: "Nothing was decided. Please try again in a moment.",
        Ending.UNCERTAIN: f"{_PERHAPS}: check before you start again.",
        Ending.NOT_PROVEN: "The door stays shut. Please tell the staff.",
        Ending.CAMERA_FAULT: "Use another kiosk, or ask the staff.",
        Ending.KEYPAD_FAULT: "Use another kiosk, or ask the staff.",
        Ending.TIMED_OUT: "Nothing was changed.",
    }
)
"""What a person can do after each ending that is shown as a refusal."""

NEXT_STEP_OF: Final[Mapping[Action, Mapping[Ending, str]]] = MappingProxyType(
    {
        Action.LOGIN: {
            Ending.DENIED: "Check your name, password and code, and wait for a fresh code before you try again.",
            Ending.UNCERTAIN: "Nobody was let in. Please start again.",
            Ending.TIMED_OUT: "Nobody was let in.",
        },
        Action.REGISTER: {
            Ending.DENIED: "Check the name and the ticket with the administrator who gave it to you.",
            Ending.UNCERTAIN: f"{_PERHAPS}: try to log in before you start again.",
        },
        Action.RECOVER_TOTP: {
            Ending.DENIED: "Check your name and password before you try again.",
            Ending.UNCERTAIN: f"{_PERHAPS}: try a code of the new entry before you start again.",
        },
        Action.RECOVER_PASSWORD: {
            Ending.DENIED: "Check your name and code, and wait for a fresh code before you try again.",
            Ending.UNCERTAIN: f"{_PERHAPS}: try your new password before you start again.",
        },
    }
)
"""The same, where an action has words of its own."""
