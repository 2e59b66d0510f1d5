"""A person at the kiosk's page, by keys alone: all six actions against a real server, in two languages.

The agent is the real one, with a replay camera and a keypad whose keys come from here; the page is in
Chromium. Each step is looked at on three sizes of screen.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from demo.kiosk import Kiosk
from demo.phone import Phone
from demo.pictures import acts_of, write_person
from demo.puppet import ada
from demo.qr_reader import read_qr
from demo.screens import SIZES, chromium
from demo.site import Site
from kiosk_agent.phrases import Language
from tests.e2e.conftest import MACS, House, house_of
from tests.e2e.pages import AXE, MEASURE

pytestmark = [
    pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium; scripts/apt-install.sh"),
    pytest.mark.slow,
]

LOOKED_AT = ("800x480", "1024x600", "1920x1080")
FIRST, SECOND = "Silent otter 77", "Quiet heron 1906"
PLACES = {language: str(place) for place, language in enumerate(Language, 1)}
STEP_WITHIN_MS = 60_000
_AT_ONE = "(steps) => steps.find((step) => step === document.body.dataset.step)"
_LOOKS = 20
"""Pictures that a phone takes of a code; each takes a tenth of a second."""

_ENDS = ("granted", "done", "denied", "capture_again", "locked", "waiting")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, models_folder: Path, ada_folder: Path) -> Iterator[House]:
    """A site that asks for movements, its server running."""
    made = Site(tmp_path_factory.mktemp("walk"), models_folder.absolute(), name="walk", presence="both")
    for house in house_of(made, ada_folder):
        made.start_server()
        yield house


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory, models_folder: Path) -> list[Path]:
    """The same person on some days: no two recordings are copies of one another."""
    folders = []
    for day in range(2, 5):
        person = ada(models_folder, seed=10 + day, day=day)
        folders.append(tmp_path_factory.mktemp(f"day{day}"))
        write_person(folders[-1], person.rest(60), acts_of(person))
    return folders


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


class Visitor:
    """Somebody at one kiosk: presses keys, and looks at every step that comes."""

    def __init__(self, kiosk: Kiosk, page: Page) -> None:
        self._kiosk = kiosk
        self._page = page
        self.faults: list[str] = []
        self.seen: list[str] = []

    def stand(self, day: Path) -> None:
        """Come as on this day."""
        self._kiosk.show(day)

    def wait(self, *steps: str) -> str:
        """Wait until the page is at one of these steps, and look at it."""
        found = self._page.wait_for_function(_AT_ONE, arg=list(steps), timeout=STEP_WITHIN_MS)
        step = str(found.json_value())
        if step not in self.seen:
            self.seen.append(step)
            self._look(step)
        return step

    def type(self, text: str, at: str) -> None:
        """Type a text and Enter, once the step has come."""
        self.wait(at)
        self._kiosk.press(step=at, text=text)

    def choose(self, language: Language, places: str) -> None:
        """From rest to an action, by the language menu and the menus."""
        self.wait("attract")
        self._kiosk.press(step="attract", keys=["clear"])
        self.wait("language")
        self._kiosk.press(step="language", text=PLACES[language], enter=False)
        for menu, place in zip(("menu", "recovery"), places, strict=False):
            self.wait(menu)
            self._kiosk.press(step=menu, text=place, enter=False)

    def end(self, step: str) -> str:
        """Wait for the end of an action, take pictures again where asked to, and return to rest."""
        while (found := self.wait(*_ENDS, step)) != step:
            assert found == "capture_again", self._page.locator("#words").inner_text()
            self._page.wait_for_function("() => document.body.dataset.step !== 'capture_again'", timeout=STEP_WITHIN_MS)
        title = self._page.locator("h1").inner_text()
        if step != "qr":
            self._kiosk.press(step=step, keys=["enter"])
        return title

    def scan(self) -> str:
        """Hold a phone before the screen, until it has seen the code: a picture may be taken while it is drawn."""
        self.wait("qr")
        for _ in range(_LOOKS):
            seen = np.frombuffer(self._page.locator("#code").screenshot(), np.uint8)
            if text := read_qr(cv2.imdecode(seen, cv2.IMREAD_COLOR)):
                return text
        raise AssertionError(f"no QR code can be read in {_LOOKS} pictures of the page")

    def _look(self, step: str) -> None:
        for size in LOOKED_AT:
            width, height = SIZES[size]
            self._page.set_viewport_size({"width": width, "height": height})
            self.faults += [f"{step} at {size}: {fault}" for fault in self._page.evaluate(MEASURE)]
        result = Axe().run(self._page, options=AXE)
        if result.violations_count and self._page.evaluate("document.body.dataset.step") == step:
            self.faults.append(f"{step}: {result.generate_report()}")


@contextmanager
def visiting(house: House, browser: Browser, kiosk_id: str, tmp_path: Path) -> Iterator[Visitor]:
    """A kiosk with its page in a browser."""
    url_file = tmp_path / f"{kiosk_id}.url"
    settings: dict[str, Any] = {
        "mac_override": MACS[kiosk_id],
        "screen": {"kind": "page", "port": 0, "url_file": str(url_file), "contact": "Reception"},
        "capture": {"models": str(house.site.models), "movement_s": 3.0, "movement_interval_s": 0.08},
        "session": {"result_s": 30.0, "capture_again_s": 1.0},
    }
    kiosk = Kiosk(house.site, kiosk_id, **settings)
    kiosk.show(house.scene)
    kiosk.start()
    page = browser.new_page(reduced_motion="reduce")
    try:
        House.until(url_file.exists, 30, "the page has an address")
        page.goto(url_file.read_text().strip())
        yield Visitor(kiosk, page)
    finally:
        page.close()
        kiosk.stop()


@pytest.mark.parametrize("language", [Language.ENGLISH, Language.ARABIC])
def test_all_six_actions_by_keys_alone(language, site, days, browser, tmp_path) -> None:
    name = f"walker {language.value}"
    ticket = site.site.provision("user", "invite", name, "--kiosk", "kiosk-1")["ticket"]
    with visiting(site, browser, "kiosk-1", tmp_path) as visitor:
        visitor.stand(days[0])
        visitor.choose(language, "2")  # register
        for text, at in ((name, "name"), (ticket, "permission"), (FIRST, "new_password"), (FIRST, "repeat")):
            visitor.type(text, at)
        visitor.end("qr")
        phone = Phone(visitor.scan())
        visitor.type(phone.code(), "qr")
        visitor.end("done")

        visitor.stand(days[1])
        visitor.choose(language, "1")  # log in
        for text, at in ((name, "name"), (FIRST, "password")):
            visitor.type(text, at)
        visitor.type(phone.code(), "code")
        assert name in visitor.end("granted")

        visitor.choose(language, "31")  # recover the authenticator app
        for text, at in ((name, "name"), (FIRST, "password")):
            visitor.type(text, at)
        visitor.end("qr")
        phone = Phone(visitor.scan(), before=phone)
        visitor.type(phone.code(), "qr")
        visitor.end("done")

        visitor.wait("attract")  # where nobody is hurried; the code is as fresh as can be
        code = phone.code()
        visitor.choose(language, "32")  # recover the password
        for text, at in ((name, "name"), (SECOND, "new_password"), (SECOND, "repeat"), (code, "code")):
            visitor.type(text, at)
        visitor.end("done")

        visitor.stand(days[2])
        visitor.wait("attract")
        code = phone.code()
        visitor.choose(language, "33")  # recover the face
        for text, at in ((name, "name"), (SECOND, "password"), (code, "code")):
            visitor.type(text, at)
        visitor.end("done")
        visitor.wait("attract")

    with visiting(site, browser, "kiosk-2", tmp_path) as other:
        other.stand(days[1])
        other.wait("attract")
        code = phone.code()
        other.choose(language, "34")  # move to another kiosk
        for text, at in ((name, "name"), (SECOND, "password"), (code, "code")):
            other.type(text, at)
        other.end("done")

    assert visitor.faults + other.faults == []
    rows = [row.action for row in reversed(site.rows(name)) if row.success and "." not in row.action]
    assert rows == [
        *("register", "confirm", "login", "recover_totp", "confirm"),
        *("recover_password", "recover_face", "update_mac"),
    ]
