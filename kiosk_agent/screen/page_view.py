"""A view as the page gets it: names and values for JSON. Pure."""

from typing import Any, Final

from kiosk_agent.screen.frame import View
from kiosk_agent.screen.qr import modules
from kiosk_agent.screen.touch import TouchPad
from kiosk_agent.vocabulary import Step

ICONS: Final = {
    Step.ATTRACT: "attract",
    Step.GRANTED: "granted",
    Step.DONE: "granted",
    Step.DENIED: "denied",
    Step.LOCKED: "locked",
    Step.TIMED_OUT: "waiting",
    Step.WAITING: "waiting",
    Step.CAPTURE_AGAIN: "again",
    Step.OUT_OF_SERVICE: "out_of_service",
}
"""The figure beside the words of a result, by the name of its file; nothing is told by colour alone."""


def members(view: View, pad: TouchPad | None = None, *, has_keyboard: bool = False) -> dict[str, Any]:
    """Return what the page draws; the QR code as a path of unit squares, and no secret but those that are shown."""
    shown: dict[str, Any] = {
        "step": view.step.value,
        "tone": view.tone,
        "lang": view.language.value,
        "dir": "rtl" if view.language.is_rtl else "ltr",
        "title": _without_figure(view),
        "lines": view.lines,
        "subject": view.subject,
        "entry": view.entry,
        "problem": view.problem,
        "seconds_left": view.seconds_left,
        "keys": view.keys,
        "notice": view.notice,
        "aside": view.aside,
        "options": view.options,
        "movement": view.movement.value if view.movement is not None else "",
        "icon": view.movement.value if view.movement is not None else ICONS.get(view.step, ""),
        "oval": view.oval,
        "progress": view.progress,
        "mode": view.mode,
        "contact": view.contact,
        "code_left_s": view.code_left_s,
        "secret": view.secret,
        "qr": _qr(view.uri),
        "words": view.chrome,
        "keyboard": has_keyboard,
    }
    return shown | ({} if pad is None else {"pad": pad.members()})


def _without_figure(view: View) -> str:
    """The page draws a movement's figure; a title begins with it for terminals."""
    return view.title.partition("  ")[2] or view.title if view.movement is not None else view.title


def _qr(uri: str) -> dict[str, Any] | None:
    if not uri:
        return None
    rows = modules(uri)
    path = "".join(f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, is_dark in enumerate(row) if is_dark)
    return {"side": len(rows), "path": path}
