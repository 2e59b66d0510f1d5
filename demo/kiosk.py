"""The kiosk of the demo: the real agent as a process, keys typed from here, pictures laid before its camera."""

import json
import queue
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from auth_contract.actions import Movement
from demo.site import CommandFailed, Site, command

RESULT_WITHIN_S = 60.0
_RESULTS = ("Welcome, ", "Access denied:", "Please wait:", "Not logged in:", "Out of service:", "Once more, please:")


@dataclass(frozen=True, slots=True)
class Entry:
    """What a person types."""

    name: str
    password: str = field(repr=False)
    code: str = field(repr=False)

    def lines(self) -> list[dict[str, Any]]:
        """The keypad's script of one session."""
        return [
            {"step": "attract", "text": self.name},
            {"step": "password", "text": self.password},
            {"step": "code", "text": self.code},
            {"step": "capture_again", "keys": ["cancel"]},
        ]


class Kiosk:
    """One running `4auth-kiosk`. `show` puts a person before the camera, `enter` types a session.

    `screen` holds every line that the agent has shown, `asked` the movements among them.
    """

    def __init__(self, site: Site, kiosk_id: str, **settings: Any) -> None:
        self._folder = site.folder / kiosk_id
        self._folder.mkdir(exist_ok=True)
        self.scene = self._folder / "scene"
        self.settings = site.kiosk_settings(kiosk_id, **{**backends(self.scene, site.models), **settings})
        self.screen: list[str] = []
        self.asked: list[str] = []
        self._said: queue.Queue[str | None] = queue.Queue()
        self._process: subprocess.Popen[str] | None = None
        self._listener: Thread | None = None

    def start(self) -> None:
        """Start the agent and listen to its screen."""
        with (self._folder / "kiosk.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [command("4auth-kiosk"), "--settings", str(self.settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._listener = Thread(target=self._listen, args=(self._process,), name="screen", daemon=True)
        self._listener.start()

    def show(self, person: Path) -> None:
        """Put a person, a folder as `demo.pictures` makes them, before the camera."""
        coming = self._folder / "coming"
        coming.unlink(missing_ok=True)
        coming.symlink_to(person.absolute())
        coming.replace(self.scene)

    def enter(self, entry: Entry) -> str:
        """Type one session and return the line with which the screen answered."""
        for line in entry.lines()[:3]:
            self.press(**line)
        said = self.answer()
        if said.startswith("Once more, please:"):
            self.press(**entry.lines()[3])
        return said

    def press(self, **line: Any) -> None:
        """Type one line of a keypad's script; see `kiosk_agent/keypad/scripted.py`."""
        process = self._running()
        if process.stdin is None:
            raise CommandFailed("4auth-kiosk has no keypad")
        process.stdin.write(json.dumps(line) + "\n")
        process.stdin.flush()

    def answer(self) -> str:
        """The next line on the screen that tells a result."""
        while True:
            try:
                line = self._said.get(timeout=RESULT_WITHIN_S)
            except queue.Empty:
                raise CommandFailed(f"4auth-kiosk showed no result in {RESULT_WITHIN_S:.0f} s") from None
            if line is None:
                log = (self._folder / "kiosk.log").read_text(errors="replace")
                raise CommandFailed(f"4auth-kiosk ended: {log[-600:]}")
            said = line.strip()[4:]
            if said.startswith(_RESULTS):
                return said

    @property
    def pid(self) -> int:
        """The agent's process id."""
        return self._running().pid

    def stop(self) -> None:
        """End the agent as an operator would."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        process.wait(timeout=30)
        if self._listener is not None:
            self._listener.join()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def _running(self) -> "subprocess.Popen[str]":
        if self._process is None:
            self.start()
        if self._process is None:
            raise CommandFailed("4auth-kiosk did not start")
        return self._process

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        for line in process.stdout or ():
            self.screen.append(line)
            self._said.put(line)
            if "Movement " in line:
                self.asked.append(line[4:].partition(":")[0].strip())
        self._said.put(None)


def backends(scene: Path, models: Path | None = None) -> dict[str, Any]:
    """Parts that need no hardware: a person from a folder, keys from standard input, quick screens.

    With models the kiosk guides, and is in more of a hurry than one for people.
    """
    acts = {movement.value: [str(scene / movement.value)] for movement in Movement}
    guidance = {"models": str(models), "patience_s": 2.0, "movement_s": 2.0, "movement_interval_s": 0.08}
    return {
        "camera": {"kind": "replay", "sources": [str(scene / "rest")], "acts": acts},
        "keypad": {"kind": "scripted", "script": "-"},
        "session": {"result_s": 1.0, "capture_again_s": 5.0},
        "capture": {} if models is None else guidance,
    }
