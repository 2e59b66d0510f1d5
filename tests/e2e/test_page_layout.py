"""The page in a real browser: every state fits, is read from a distance, and keeps nobody out."""

import shutil
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from demo.screens import SIZES, chromium, page_backend, scenes, show
from kiosk_agent.events import Typed
from kiosk_agent.phrases import Language
from kiosk_agent.screen.page import PageBackend
from tests.e2e.pages import AXE, MEASURE

pytestmark = pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium; scripts/apt-install.sh")

SCENES = scenes()


@pytest.fixture(scope="module")
def backend() -> Iterator[PageBackend]:
    with page_backend() as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def page(backend: PageBackend, browser: Browser) -> Iterator[Page]:
    made = browser.new_page(reduced_motion="reduce")
    errors: list[str] = []
    made.on("pageerror", lambda error: errors.append(str(error)))
    made.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    made.goto(backend.url)
    yield made
    # The last picture of a preview is cut short when a person leaves the camera.
    assert [error for error in errors if "/preview" not in error and "404" not in error] == []


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", Language)
def test_every_state_fits_every_screen_in_every_language(backend, page, size, language) -> None:
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    faults = []
    for name, scene in SCENES.items():
        show(backend, page, scene, language)
        faults += [f"{name}: {fault}" for fault in page.evaluate(MEASURE)]
    assert faults == []


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", [Language.GERMAN, Language.ARABIC])
def test_keys_on_the_screen_fit_beside_all_else_and_are_large_enough_for_a_thumb(browser, size, language) -> None:
    width, height = SIZES[size]
    faults = []
    with page_backend(touch="scrambled") as backend:
        page = browser.new_page(reduced_motion="reduce", viewport={"width": width, "height": height})
        page.goto(backend.url)
        for name in ("attract", "language", "menu", "recovery", "name", "permission", "password", "code", "denied"):
            show(backend, page, SCENES[name], language)
            faults += [f"{name}: {fault}" for fault in page.evaluate(MEASURE)]
            assert page.locator("button").count() >= 2, name
            for box in [button.bounding_box() for button in page.locator("button").all()]:
                assert min(box["width"], box["height"]) >= 60, (name, box)
            result = Axe().run(page, options=AXE)
            faults += [f"{name}: {result.generate_report()}"] if result.violations_count else []
        page.close()
    assert faults == []


def test_a_line_of_a_menu_is_chosen_by_touching_it(browser) -> None:
    with page_backend(touch="scrambled") as backend:
        pressed: list[object] = []
        backend.connect(pressed.append, lambda: None)
        page = browser.new_page()
        page.goto(backend.url)
        show(backend, page, SCENES["menu"])
        with page.expect_response("**/press"):
            page.locator("#options button").nth(2).dispatch_event("pointerdown")
        assert Typed("3") in pressed
        page.close()


@pytest.mark.parametrize("language", [Language.ENGLISH, Language.ARABIC])
def test_axe_finds_nothing_in_any_state(backend, page, language) -> None:
    """With the enhanced contrast of 7:1, WCAG 2.2 success criterion 1.4.6."""
    page.set_viewport_size({"width": 1024, "height": 600})
    found = {}
    for name, scene in SCENES.items():
        show(backend, page, scene, language)
        result = Axe().run(page, options=AXE)
        if result.violations_count:
            found[name] = result.generate_report()
    assert found == {}


def test_axe_would_find_a_fault(backend, page) -> None:
    show(backend, page, SCENES["denied"])
    page.evaluate("document.getElementById('title').style.color = '#555555'")
    assert Axe().run(page, options=AXE).violations_count > 0
    page.reload()


@pytest.mark.parametrize("name", SCENES)
def test_a_page_speaks_the_language_that_it_shows(backend, page, name) -> None:
    show(backend, page, SCENES[name], Language.ARABIC)
    assert page.evaluate("[document.documentElement.lang, document.documentElement.dir]") == ["ar", "rtl"]
    assert page.locator("h1").count() == 1


def test_when_the_agent_is_gone_the_page_says_so_and_nothing_of_a_session_stays(browser) -> None:
    page = browser.new_page()
    with page_backend() as backend:
        page.goto(backend.url)
        show(backend, page, SCENES["qr"])
        assert page.locator("#code path").count() == 1
    page.wait_for_function("() => document.body.dataset.step === 'lost'", timeout=6000)
    assert page.locator("#code path").count() == 0
    assert page.locator("h1").inner_text() == "Out of service"
    page.close()


def test_who_wants_no_motion_sees_none(backend, page) -> None:
    show(backend, page, SCENES["turn_left"])
    running = "document.getAnimations().filter((one) => one.playState === 'running').length"
    assert page.evaluate(running) == 0
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(running) > 0
    page.emulate_media(reduced_motion="reduce")
