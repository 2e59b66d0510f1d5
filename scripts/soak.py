"""Hundreds of people at one kiosk, and what the agent takes meanwhile: python -m scripts.soak [--sessions N]

A real server and two real agents, with replay cameras and scripted keys: one with the terminal's screen, one with the
page, which is watched as a browser does. Of ten people five are let in, two are unknown, two cancel and one
walks away. It asks for no movements, so that a session takes a second or two. Writes docs/soak.json and docs/soak.svg,
and ends with 1 where the agent grew, took too much, or wrote to the disk.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any, Final

from bench.soak_figures import Sample, faults, figures, look, processor_s
from bench.soak_picture import draw
from bench.soak_watcher import Watcher
from demo import puppet
from demo.phone import Phone
from demo.pictures import write_person
from demo.site import Site, command

PASSWORD: Final = "Lovelace 1815"  # noqa: S105 - of a made-up account on a throw-away site
MACS: Final = {"terminal": "02:00:5e:10:00:01", "page": "02:00:5e:10:00:02"}
"""By the kiosk's screen, which is also its name."""

_PEOPLE: Final = 36
"""At each kiosk. A code is taken once, so that each person comes back after half a minute at the earliest."""

_KINDS: Final = ("granted", "denied", "granted", "cancelled", "granted", "timed_out", "granted", "denied", "granted")
_ROUND: Final = (*_KINDS, "cancelled")
_LEFT_BY_CANCEL: Final = frozenset({"granted", "denied", "capture_again", "timed_out"})
"""Results whose screens need not be waited for; their steps have the names of the endings."""

_SESSION_WITHIN_S: Final = 60.0


@dataclass
class Person:
    """Somebody enrolled."""

    name: str
    phone: Phone


class Agent:
    """A running agent whose keys come from here; its log is read through a pipe, for it must write no file."""

    def __init__(self, settings: Path) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            [command("4auth-kiosk"), "--settings", str(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.endings: list[str] = []
        self._listener = Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def press(self, **line: Any) -> None:
        """Type one line of a keypad's script; see `kiosk_agent/keypad/scripted.py`."""
        if self._process.stdin is not None:
            print(json.dumps(line), file=self._process.stdin, flush=True)

    def wait_for(self, sessions: int) -> str:
        """Wait until so many sessions have ended, and return how the last did."""
        ends = time.monotonic() + _SESSION_WITHIN_S
        while len(self.endings) < sessions:
            if time.monotonic() > ends or self._process.poll() is not None:
                raise SystemExit(f"session {sessions} did not end; the agent's exit code is {self._process.poll()}")
            time.sleep(0.02)
        return self.endings[sessions - 1]

    def stop(self) -> None:
        """End it as an operator would."""
        self._process.terminate()
        self._process.wait(30)
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _listen(self) -> None:
        for line in self._process.stderr or ():
            if '"session_ended"' in line:
                self.endings.append(json.loads(line)["ending"])


@dataclass
class Leg:
    """What one screen's run gave."""

    screen: str
    idle_percent: float = 0.0
    written_bytes: int = 0
    seconds: float = 0.0
    endings: dict[str, int] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)


def main() -> int:
    """Run both legs and write what they gave."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=500, help="with each screen")
    parser.add_argument("--idle", type=float, default=60.0, help="seconds to measure at rest")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two samples")
    parser.add_argument("--folder", type=Path, default=Path("docs"), help="for soak.json and soak.svg")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="4auth-soak-") as folder:
        site = Site(Path(folder), Path(".cache/models").absolute(), name="soak", presence="passive")
        people = _made(site)
        site.start_server()
        try:
            with ThreadPoolExecutor() as both:
                legs = list(both.map(lambda screen: _leg(site, screen, people[screen], arguments), MACS))
        finally:
            site.stop_server()
    found = [figures(leg.screen, leg.idle_percent, leg.written_bytes, leg.samples) for leg in legs]
    wrong = [fault for one in found for fault in faults(one)]
    _write(arguments.folder, legs, {one.screen: asdict(one) for one in found}, wrong)
    print("\n".join(wrong) or "no growth")
    return 1 if wrong else 0


def _made(site: Site) -> dict[str, list[Person]]:
    """Make the site with its kiosks and people, who all have one face; return them by kiosk."""
    site.init()
    text = site.settings.read_text()
    site.settings.write_text(text.replace("\npresence = ", "\nrefuse_duplicates = false\npresence = "))
    enrolled, coming = puppet.ada(site.models, seed=5), puppet.ada(site.models, seed=6, day=1)
    puppet.write(site.folder / "poses", enrolled.poses())
    write_person(site.folder / "scene", coming.rest(30), {})
    for picture in (site.folder / "scene" / "rest").iterdir():
        picture.read_bytes()  # who reads a new file first has its time noted on the disk
    poses = sorted((site.folder / "poses").iterdir())
    people: dict[str, list[Person]] = {}
    for screen in MACS:
        site.register(screen, _settings(site, screen))
        names = [f"{screen}-{number}" for number in range(_PEOPLE)]
        people[screen] = [Person(name, Phone(site.add_user(name, PASSWORD, poses, [screen]))) for name in names]
    return people


def _settings(site: Site, screen: str) -> Path:
    return site.kiosk_settings(screen, mac_override=MACS[screen], **_parts(site, screen))


def _parts(site: Site, screen: str) -> dict[str, Any]:
    page = {"kind": "page", "port": 0, "url_file": str(site.folder / "url")}
    return {
        "camera": {"kind": "replay", "sources": [str(site.folder / "scene" / "rest")], "fps": 30},
        "keypad": {"kind": "scripted", "script": "-"},
        "screen": page if screen == "page" else {"kind": screen},
        "session": {"idle_s": 5, "result_s": 5.0},
        "capture": {"interval_s": 0.1},
    }


def _leg(site: Site, screen: str, people: list[Person], arguments: argparse.Namespace) -> Leg:
    leg = Leg(screen)
    agent = Agent(_settings(site, screen))
    watcher = Watcher(site.folder / "url") if screen == "page" else None
    try:
        time.sleep(10)  # to start, and to send the first heartbeat
        leg.idle_percent = _idle_percent(agent.pid, arguments.idle)
        _serve(leg, agent, people, arguments)
    finally:
        agent.stop()
        if watcher is not None:
            watcher.stop()
    return leg


def _idle_percent(pid: int, seconds: float) -> float:
    """Return the share of one core that the agent takes while nobody is there."""
    before = processor_s(pid)
    time.sleep(seconds)
    return round(100 * (processor_s(pid) - before) / seconds, 2)


def _serve(leg: Leg, agent: Agent, people: list[Person], arguments: argparse.Namespace) -> None:
    began, written = time.monotonic(), look(agent.pid, 0, 0.0).written_bytes
    for number in range(1, arguments.sessions + 1):
        kind = _ROUND[number % len(_ROUND)]
        _come(agent, kind, people[number % len(people)], number)
        ending = agent.wait_for(number)
        if ending not in {kind, "capture_again"}:
            raise SystemExit(f"session {number} of the {leg.screen} ended as {ending}, not {kind}")
        leg.endings[ending] = leg.endings.get(ending, 0) + 1
        if ending in _LEFT_BY_CANCEL:
            agent.press(step=ending, keys=["cancel"])
        spent = time.monotonic() - began
        if number == 1 or spent - leg.samples[-1].seconds >= arguments.every or number == arguments.sessions:
            leg.samples.append(look(agent.pid, number, round(spent, 1)))
            print(leg.screen, leg.samples[-1], file=sys.stderr)
    leg.seconds = round(time.monotonic() - began, 1)
    leg.written_bytes = leg.samples[-1].written_bytes - written


def _come(agent: Agent, kind: str, person: Person, number: int) -> None:
    """Type what somebody of this kind does."""
    name = f"stranger {number}" if kind == "denied" else person.name
    code = person.phone.code() if kind == "granted" else "271828"  # before typing: a fresh one may take its time
    agent.press(step="attract", text=name)
    if kind == "timed_out":
        return
    agent.press(step="password", text=PASSWORD)
    if kind == "cancelled":
        agent.press(step="code", keys=["cancel"])
    else:
        agent.press(step="code", text=code)


def _write(folder: Path, legs: list[Leg], found: dict[str, Any], wrong: list[str]) -> None:
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "arch": platform.machine()}
    text = json.dumps({"machine": machine, "figures": found, "faults": wrong, "legs": [asdict(leg) for leg in legs]})
    (folder / "soak.json").write_text(text + "\n", encoding="utf-8")
    (folder / "soak.svg").write_text(draw({leg.screen: leg.samples for leg in legs}), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
