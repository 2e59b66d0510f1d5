"""How soon a key and an answer are on the screen: a real agent with its page in Chromium, a real server.

    python -m bench.screen_speed

A key is timed from when it is written to the scripted keypad to the browser's change of the page; an answer from
when the page says that it is being checked, just after the last picture was taken, to the answer on it, less the
time that the server took to decide.
"""

import argparse
import json
import re
import tempfile
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from playwright.sync_api import Page

from bench.measures import Times
from bench.people import PASSWORD, Crowd, Person, enrol
from demo.kiosk import Kiosk
from demo.pictures import prepare
from demo.screens import chromium
from demo.site import Site

KEYS: Final = 40
LOGINS: Final = 10
KEY_MAX_S: Final = 0.05
ANSWER_MAX_S: Final = 0.5
_CACHE: Final = Path(".cache")
_MAC: Final = "02:00:5e:20:00:00"

_WATCH: Final = """() => {
    window.seen = {};
    const note = () => {
        const now = performance.timeOrigin + performance.now();
        const mark = document.body.dataset.step + " " + document.getElementById("entry").textContent;
        if (!(mark in window.seen)) window.seen[mark] = now;
    };
    const all = {attributes: true, childList: true, characterData: true, subtree: true};
    new MutationObserver(note).observe(document.body, all);
}"""


@dataclass(frozen=True)
class ScreenSpeed:
    """Seconds from a key to the screen, and from the last picture to the answer beyond the server's own time."""

    key: Times
    answer: Times
    server: Times


def measure() -> ScreenSpeed:
    """Make a site and a kiosk, and type."""
    pictures = prepare(_CACHE / "people", _CACHE / "models")
    with tempfile.TemporaryDirectory(prefix="4auth-screen-") as folder, chromium() as browser:
        site = Site(Path(folder), (_CACHE / "models").absolute(), name="screen", presence="passive")
        site.init()
        # Enrolled on another day than they stand there, or what the camera sees would be copies.
        enrolled = Path(folder) / "enrolled"
        enrolled.mkdir()
        (enrolled / "rest").symlink_to(pictures.ada_poses.absolute())
        crowd = enrol(site, people=LOGINS, kiosks=1, scene=enrolled, frames=3)
        url_file = Path(folder) / "url"
        kiosk = Kiosk(
            site,
            "kiosk-1",
            mac_override=_MAC[:-1] + "9",
            screen={"kind": "page", "port": 0, "url_file": str(url_file)},
            session={"result_s": 1.0},
            capture={"interval_s": 0.0},
        )
        site.register("kiosk-1", kiosk.settings)
        _bind(site, crowd)
        site.start_server()
        kiosk.show(pictures.ada)
        kiosk.start()
        try:
            while not url_file.exists():
                time.sleep(0.05)
            page = browser.new_page()
            page.goto(url_file.read_text().strip())
            return _measure(site, kiosk, page, crowd)
        finally:
            kiosk.stop()
            site.stop_server()


def _bind(site: Site, crowd: Crowd) -> None:
    for person in crowd.people:
        site.provision("user", "bind", person.name, "kiosk-1")


def _measure(site: Site, kiosk: Kiosk, page: Page, crowd: Crowd) -> ScreenSpeed:
    page.evaluate(_WATCH)
    keys = _keys(kiosk, page)
    answers, decided = zip(*(_login(site, kiosk, page, person) for person in crowd.people), strict=True)
    return ScreenSpeed(Times(keys), Times(answers), Times(decided))


def _keys(kiosk: Kiosk, page: Page) -> tuple[float, ...]:
    samples, typed = [], ""
    _at(page, "attract")
    for place in range(KEYS):
        typed += "abcdefghij"[place % 10]
        began = time.time()
        kiosk.press(text=typed[-1], enter=False)
        samples.append(_seen(page, f"name {typed}") - began)
        time.sleep(0.02)
    kiosk.press(keys=["cancel"])
    return tuple(samples)


def _login(site: Site, kiosk: Kiosk, page: Page, person: Person) -> tuple[float, float]:
    _at(page, "attract")
    page.evaluate("() => { window.seen = {}; }")
    before = _server_s(site)
    for step, text in (("attract", person.name), ("password", PASSWORD), ("code", person.code())):
        kiosk.press(step=step, text=text)
    checking, granted = _seen(page, "checking "), _seen(page, "granted ")
    decided = _server_s(site) - before
    return granted - checking - decided, decided


def _at(page: Page, step: str) -> None:
    page.wait_for_function("(step) => document.body.dataset.step === step", arg=step)


def _seen(page: Page, mark: str) -> float:
    """When the page first was so, in seconds since the epoch."""
    found = page.wait_for_function(
        "(mark) => Object.entries(window.seen).find(([key]) => key.startsWith(mark))?.[1]", arg=mark
    )
    return float(str(found.json_value())) / 1000


def _server_s(site: Site) -> float:
    """All the time that the server has spent on logins, by its own metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{site.health_port}/metrics", timeout=5) as reply:
        text = reply.read().decode()
    return sum(map(float, re.findall(r'^fourauth_request_seconds_sum\{.*path="/v1/login".*\} (\S+)$', text, re.M)))


def main() -> int:
    """Print the figures and write them to .cache/screen.json; 0 even where a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.screen_speed", description=__doc__.splitlines()[0])
    target = _CACHE / "screen.json"
    parser.parse_args()
    found = measure()
    for what, times, most in (
        ("key to screen", found.key, KEY_MAX_S),
        ("last picture to answer, beyond the server's time", found.answer, ANSWER_MAX_S),
        ("the server's time", found.server, None),
    ):
        bar = "" if most is None else f"   ≤ {most * 1000:.0f} ms {'met' if times.median <= most else 'MISSED'}"
        print(f"{what:50} {times.median * 1000:.1f} ms ({times.p10 * 1000:.1f} to {times.p90 * 1000:.1f}){bar}")
    target.write_text(json.dumps(asdict(found), indent=2) + "\n")
    print(f"Written to {target}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
