"""Watches the kiosk's page over HTTP as its browser does: the events all the time, the preview while there is one."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import requests

_AGAIN_S = 0.2
_SILENCE_MAX_S = 15


class Watcher:
    """Begins at once, and comes back whenever the page is gone for a moment."""

    def __init__(self, url_file: Path) -> None:
        self._url_file = url_file
        self._over = Event()
        self._sees = Event()
        for job in (self._follow, self._see):
            Thread(target=self._until_over, args=(job,), daemon=True).start()

    def stop(self) -> None:
        """Look no more; what waits ends with the page."""
        self._over.set()

    def _until_over(self, job: Callable[[requests.Session, str], None]) -> None:
        while not self._over.wait(_AGAIN_S):
            with suppress(OSError, requests.RequestException):
                with requests.Session() as http:
                    url = self._url_file.read_text().strip()
                    http.get(url, timeout=_SILENCE_MAX_S).raise_for_status()
                    job(http, url.split("/enter")[0])

    def _follow(self, http: requests.Session, root: str) -> None:
        with http.get(f"{root}/events", stream=True, timeout=_SILENCE_MAX_S) as events:
            for line in events.iter_lines(chunk_size=1):
                if line.startswith(b"data: "):
                    has_preview = bool(json.loads(line[6:]).get("oval"))
                    (self._sees.set if has_preview else self._sees.clear)()

    def _see(self, http: requests.Session, root: str) -> None:
        if not self._sees.wait(1):
            return
        with http.get(f"{root}/preview", stream=True, timeout=_SILENCE_MAX_S) as preview:
            for _ in preview.iter_content(4096):
                if not self._sees.is_set():
                    return
