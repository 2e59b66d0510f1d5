"""Why a real kiosk is out of service, as its page says it, and that it comes back when the cause is gone."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.conftest import House

BACK_WITHIN_S = 10.0
"""From the end of a fault to the kiosk at rest."""


class Watch:
    """Sees every view of a kiosk's page, with the moment in which it came."""

    def __init__(self, url_file: Path) -> None:
        House.until(url_file.exists, 30, "the page has an address")
        url = url_file.read_text().strip()
        self._http = requests.Session()
        self._http.get(url, timeout=10)
        self._stream = self._http.get(url.split("/enter")[0] + "/events", stream=True, timeout=60)
        self.views: list[tuple[float, dict[str, Any]]] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    @property
    def now(self) -> dict[str, Any]:
        """What is shown."""
        return self.views[-1][1] if self.views else {}

    def until(self, is_it: Callable[[dict[str, Any]], bool], within_s: float, what: str) -> float:
        """Wait for a view that is so; return the seconds that it took."""
        began = time.monotonic()
        House.until(lambda: bool(self.views) and is_it(self.now), within_s, what)
        return time.monotonic() - began

    def step(self, *steps: str, within_s: float = 40) -> float:
        """Wait for one of these steps."""
        return self.until(lambda view: view["step"] in steps, within_s, f"the page is at {steps}")

    def close(self) -> None:
        self._stream.close()
        self._http.close()
        self._thread.join(10)

    def _listen(self) -> None:
        try:
            for line in self._stream.iter_lines(chunk_size=1):
                if line.startswith(b"data: "):
                    self.views.append((time.monotonic(), json.loads(line[6:])))
        except (requests.RequestException, AttributeError, ValueError):
            return  # closed


@contextmanager
def watching(house: House, tmp_path: Path, **settings: Any) -> Iterator[Watch]:
    """A kiosk of this site, and who watches its page."""
    url_file = tmp_path / "url"
    screen = {"kind": "page", "port": 0, "url_file": str(url_file), "contact": "Reception"}
    with house.kiosk_process(screen=screen, **settings):
        watch = Watch(url_file)
        try:
            yield watch
        finally:
            watch.close()


def test_a_server_whose_key_is_another(house, tmp_path) -> None:
    server = {"url": f"https://127.0.0.1:{house.site.port}", "pins": ["0" * 64]}
    with watching(house, tmp_path, server=server) as watch:
        watch.step("out_of_service")
        assert "prove" in " ".join(watch.now["lines"])
        assert watch.now["contact"] == "Reception"


@pytest.mark.parametrize("offset_s", [-180.0, 180.0])
def test_a_clock_that_is_off_is_said_to_be_that(offset_s, house, tmp_path) -> None:
    with watching(house, tmp_path, clock_offset_s=offset_s) as watch:
        watch.step("out_of_service")
        assert "clock" in " ".join(watch.now["lines"])


def test_a_kiosk_that_is_shut_out_and_let_in_again(house, tmp_path) -> None:
    server = {"url": f"https://127.0.0.1:{house.site.port}", "pins": [house.site.pin], "heartbeat_s": 1.0}
    with watching(house, tmp_path, server=server) as watch:
        watch.step("attract")
        house.site.provision("kiosk", "disable", "kiosk-1", "--yes")
        try:
            watch.step("out_of_service")
            assert "does not accept this kiosk" in " ".join(watch.now["lines"])
        finally:
            house.site.provision("kiosk", "enable", "kiosk-1")
        assert watch.step("attract", within_s=30) <= BACK_WITHIN_S
