"""A crowd at work beside a test, and what it wrote down; and what several commands printed."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deploy.controller import Controller
from tests.deploy.drills import wait_until
from tests.deploy.elsewhere.crowd import Answer


def documents(told: str) -> list[dict[str, Any]]:
    """The JSON documents that commands printed one after another."""
    found, rest = [], told.strip()
    while rest:
        document, end = json.JSONDecoder().raw_decode(rest)
        found.append(document)
        rest = rest[end:].lstrip()
    return found


@dataclass(frozen=True)
class Crowd:
    """People who log in all the time; `told` is what they wrote down."""

    told: Path

    def answers(self, kind: str) -> list[Answer]:
        """How their logins ended, of one kind."""
        lines = [json.loads(line) for line in self.told.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [Answer(**line) for line in lines if line["kind"] == kind]

    def until(self, granted: int) -> None:
        """Wait until as many were let in."""
        wait_until(lambda: len(self.answers("granted")) >= granted, f"{granted} logins", 3600.0)


@contextmanager
def crowd(site: Controller, plan: dict[str, Any]) -> Iterator[Crowd]:
    written, told = site.lab.folder / "plan.json", site.lab.folder / "told.jsonl"
    written.write_text(json.dumps(plan))
    command = [sys.executable, "-m", "tests.deploy.elsewhere.crowd", str(written)]
    around = {**os.environ, "PYTHONPATH": str(site.project)}
    with told.open("wb") as to, subprocess.Popen([*site.lab.in_namespace, *command], stdout=to, env=around) as process:
        try:
            yield Crowd(told)
        finally:
            process.kill()
