"""Holds every file before the camera, by all cores, and remembers what became of it."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import auth_server.face
from auth_server.errors import EvaluationRefused
from auth_server.face import crew, ledger, trials
from auth_server.face.footage import read_clip
from auth_server.face.liveness import Shown, kind_of
from auth_server.face.showing import FRAMES, Showing, show, showing_of
from auth_server.face.survey import Advance, Plan, names_of

KIND: Final = "recordings"


@dataclass(frozen=True, slots=True)
class Stage:
    """How files are shown: from how many places of each, and the rule for a species, as in `kind_of`."""

    starts: int
    rule: str


@dataclass(frozen=True, slots=True)
class _Task:
    key: str
    path: Path
    starts: int


def screened(live: Iterable[Path], attacks: Iterable[Path], plan: Plan, stage: Stage, advance: Advance) -> list[Shown]:
    """Return what became of every file; what the folder remembers is not shown again.

    Raises EvaluationRefused for a file that cannot be read and a folder that cannot be used, ModelsRefused
    and SettingsRefused as FaceEngine does.
    """
    sides = [(path, True) for path in live] + [(path, False) for path in attacks]
    keys = {path: _key(path) for path, _ in sides}
    with ledger.opened(plan.work, KIND, *names_of(plan.settings, auth_server.face), *_how(plan, stage)) as found:
        advance(sum(key in found for key in keys.values()))
        tasks = {key: _Task(key, path, stage.starts) for path, key in keys.items() if key not in found}
        for task, document in crew.share_out(_show, plan.settings, list(tasks.values()), plan.jobs):
            found.put(task.key, document)
            advance(sum(key == task.key for key in keys.values()))
        return [
            Shown(path.name, is_live, kind_of(path.name, stage.rule), _recalled(found[keys[path]]))
            for path, is_live in sides
        ]


def _how(plan: Plan, stage: Stage) -> tuple[str, ...]:
    settings = plan.settings
    threshold = "calibrated" if settings.threshold is None else str(settings.threshold)
    return (settings.presence, threshold, *map(str, (settings.movements, stage.starts, FRAMES, trials.STEP_MS)))


def _key(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise EvaluationRefused(f"{path} cannot be read: {error.strerror}") from error


def _show(settings: Any, task: _Task) -> dict[str, Any]:
    return show(settings, read_clip(task.path), task.starts).document()


def _recalled(document: Any) -> Showing:
    try:
        return showing_of(document)
    except (KeyError, TypeError) as error:
        raise EvaluationRefused(f"the folder of what was found holds something else: {error}; empty it") from error
