"""Draws what a person sees at each step: `make screens` writes docs/screens/*.png with Chromium.

    python -m demo.screens [FOLDER]

Every picture is of the real page, served by the real backend; only the session behind it is made up.
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pyotp
from playwright.sync_api import Browser, Page, sync_playwright
from skimage import data

from auth_contract.actions import Action, CaptureHint, Movement, Need
from auth_contract.messages import AttemptReply
from kiosk_agent.events import Entries, NewSecret, Outcome, Waits
from kiosk_agent.languages import Speakers
from kiosk_agent.phrases import Language
from kiosk_agent.screen.frame import Frame
from kiosk_agent.screen.page import PageBackend
from kiosk_agent.screen.view import view
from kiosk_agent.session import Session
from kiosk_agent.settings.screens import PageScreen
from kiosk_agent.vocabulary import Cause, Ending, Key, Step

SIZES: Final = {
    "800x480": (800, 480),
    "1024x600": (1024, 600),
    "1920x1080": (1920, 1080),
    "480x800": (480, 800),
    "1080x1920": (1080, 1920),
}
"""What kiosks have: the Pi's own screens, full HD, and both upright."""

NOW: Final = datetime(2026, 11, 27, 13, 5, 12, tzinfo=UTC)
_LABELS: Final = {
    Key.ENTER: "#",
    Key.BACKSPACE: "*",
    Key.CLEAR: "B",
    Key.CANCEL: "D",
    Key.MORE: "C",
    Key.MODE: "A",
}
_ASKED: Final = (Movement.TURN_LEFT, Movement.LOOK_UP, Movement.COME_CLOSER)
_URI: Final = pyotp.TOTP("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").provisioning_uri(
    name="ada", issuer_name="4Auth head-office"
)
_IS_DRAWN: Final = """([step, title]) =>
    document.body.dataset.step === step && document.getElementById("title").textContent === title"""
_CHROMIUM: Final = ("--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-background-networking")


@dataclass(frozen=True)
class Scene:
    """One moment: a session, and the seconds left in it."""

    session: Session
    left_s: float | None = None


def _ended(step: Step, ending: Ending, message: str, **more: Any) -> Session:
    return Session(step, 1, outcome=Outcome(ending, message, **more))


def _recording(part: int, **more: Any) -> Session:
    attempt = AttemptReply(attempt_id="A" * 22, nonce="N" * 22, expires_at=NOW, movements=_ASKED)
    return Session(Step.FACE, 1, attempt=attempt, part=part, entries=Entries(name="ada"), **more)


def scenes() -> dict[str, Scene]:
    """Return every state that a person can see, by the name of its picture."""
    ada = Entries(name="ada", person="grace", permission="0123-4567-89", password="Quiet marmot 42", code="1234")  # noqa: S106 - made up
    secret = NewSecret("C" * 22, _URI, 600)
    later = NOW + timedelta(hours=1)
    waits = Waits((Need.APPROVAL, Need.TIME), later)
    login, denied = Action.LOGIN, "That did not work."
    return {
        "attract": Scene(Session()),
        "language": Scene(Session(Step.LANGUAGE, 1), 25),
        "menu": Scene(Session(Step.MENU, 1), 25),
        "recovery": Scene(Session(Step.RECOVERY, 1, problem="Press 1 to 5"), 25),
        "name": Scene(Session(Step.NAME, 1, entries=ada, mode="abc"), 24),
        "person": Scene(Session(Step.PERSON, 1, Action.APPROVE, ada, mode="abc"), 24),
        "permission": Scene(Session(Step.PERMISSION, 1, Action.REGISTER, ada, mode="123"), 24),
        "password": Scene(Session(Step.PASSWORD, 1, login, ada, mode="abc", is_revealed=True), 23),
        "new_password": Scene(
            Session(Step.NEW_PASSWORD, 1, Action.RECOVER_PASSWORD, ada, problem="Please enter a new password"), 22
        ),
        "repeat": Scene(Session(Step.REPEAT, 1, Action.RECOVER_PASSWORD, ada, mode="ABC"), 22),
        "code": Scene(Session(Step.CODE, 1, login, ada), 21),
        "face": Scene(_recording(0, hint=CaptureHint.TOO_SMALL)),
        "face_good": Scene(_recording(0, is_good=True)),
        "turn_left": Scene(_recording(1, seconds_left=5)),
        "look_up": Scene(_recording(2, seconds_left=4, hint=CaptureHint.TOO_DARK)),
        "come_closer": Scene(_recording(3, seconds_left=3)),
        "look_back": Scene(_recording(4, is_good=True)),
        "enrol": Scene(Session(Step.ENROL, 1, Action.REGISTER, ada, pictures=1)),
        "sending": Scene(Session(Step.SENDING, 1, Action.CANCEL, ada)),
        "checking": Scene(Session(Step.CHECKING, 1, login, ada)),
        "granted": Scene(_ended(Step.GRANTED, Ending.GRANTED, "Access granted.", username="ada")),
        "done": Scene(_ended(Step.DONE, Ending.CHANGED, "You are registered.", action=Action.REGISTER)),
        "waiting": Scene(
            _ended(Step.WAITING, Ending.PENDING, "It waits.", action=Action.RECOVER_FACE, username="ada", waits=waits)
        ),
        "denied": Scene(_ended(Step.DENIED, Ending.DENIED, denied)),
        "locked": Scene(_ended(Step.LOCKED, Ending.LOCKED, "Too many tries in a row.", retry_after_s=90)),
        "capture_again": Scene(
            Session(Step.CAPTURE_AGAIN, 1, captures=1, outcome=Outcome(Ending.CAPTURE_AGAIN, "It is too dark.")), 4
        ),
        "timed_out": Scene(_ended(Step.TIMED_OUT, Ending.TIMED_OUT, "That took too long.")),
        "out_of_service": Scene(
            _ended(Step.OUT_OF_SERVICE, Ending.UNAVAILABLE, "Cannot be reached.", cause=Cause.SERVER)
        ),
        "qr": Scene(Session(Step.QR, 1, Action.RECOVER_TOTP, Entries(name="ada", code="12"), secret=secret), 171),
        "qr_letters": Scene(
            Session(Step.QR, 1, Action.RECOVER_TOTP, Entries(name="ada"), secret=secret, is_spelt=True), 160
        ),
    }


@contextmanager
def page_backend(**settings: Any) -> Iterator[PageBackend]:
    """The page, with an astronaut before its camera."""
    backend = PageBackend(PageScreen(kind="page", port=0, **settings))
    picture = np.ascontiguousarray(cv2.cvtColor(data.astronaut()[0:250, 100:350, :3], cv2.COLOR_RGB2BGR))
    backend.connect(lambda _key: None, picture.copy)
    try:
        yield backend
    finally:
        backend.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium without a window; as root it cannot have its sandbox."""
    found = shutil.which("chromium")
    if found is None:
        raise SystemExit("There is no chromium here; scripts/apt-install.sh installs it.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(_CHROMIUM), chromium_sandbox=False)
        try:
            yield browser
        finally:
            browser.close()


def show(backend: PageBackend, page: Page, scene: Scene, language: Language = Language.ENGLISH) -> None:
    """Put a scene on the page and wait until it is drawn."""
    frame = Frame(
        speaker=Speakers().of(language),
        labels=_LABELS,
        contact="Reception, extension 100",
        now=NOW,
        reveals=True,
    )
    backend.show(view(scene.session, scene.left_s, frame))
    # Twice the same step may follow one another: the words tell them apart.
    title = backend.shown.view.title.partition("  ")[2] or backend.shown.view.title
    page.wait_for_function(_IS_DRAWN, arg=[scene.session.step.value, title])


def main() -> int:
    """Draw all of them in English at 1024x600, and some at other sizes and in other languages."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/screens")
    folder.mkdir(parents=True, exist_ok=True)
    made = scenes()
    wanted = [(name, "1024x600", Language.ENGLISH) for name in made]
    for size in set(SIZES) - {"1024x600"}:
        wanted += [(name, size, Language.ENGLISH) for name in ("menu", "turn_left", "qr")]
    for language in set(Language) - {Language.ENGLISH}:
        wanted += [(name, "1024x600", language) for name in ("attract", "code", "denied")]
    with page_backend() as backend, chromium() as browser:
        page = browser.new_page()
        page.goto(backend.url)
        for name, size, language in wanted:
            width, height = SIZES[size]
            page.set_viewport_size({"width": width, "height": height})
            show(backend, page, made[name], language)
            page.wait_for_timeout(600 if backend.shown.view.oval else 150)
            suffix = "".join(f"-{part}" for part in (size, language.value) if part not in {"1024x600", "en"})
            path = folder / f"{name}{suffix}.png"
            page.screenshot(path=path, animations="disabled")
            _shrink(path)
            print(path)
    return 0


def _shrink(path: Path) -> None:
    """Keep a picture small: 96 colours are enough for a page, 192 with a face."""
    from PIL import Image

    with Image.open(path) as picture:
        picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
