"""Looks at every picture of a folder once, by all cores, and remembers what it saw."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import auth_vision
from auth_server.errors import EvaluationRefused
from auth_server.face import crew, frames, ledger, pipeline, plugins, runtime, sighting
from auth_server.face.lfw import Portrait
from auth_server.face.pipeline import identity_of
from auth_server.face.sighting import Sighting, look_at, sighting_of
from auth_server.settings import FaceSettings
from auth_vision import models

KIND: Final = "pictures"

Advance = Callable[[int], None]
"""Is told of so many more pictures."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to look: with which models, by how many processes, and the folder that remembers, or None."""

    settings: FaceSettings
    jobs: int
    work: Path | None
    by_deepface: bool = False


@dataclass(frozen=True, slots=True)
class _Task:
    key: str
    path: Path
    by_deepface: bool


def sightings_of(portraits: Mapping[Portrait, Path], plan: Plan, advance: Advance) -> dict[Portrait, Sighting]:
    """Return what is seen of every picture; what the folder remembers is not looked at again.

    Raises EvaluationRefused for a file that cannot be read and a folder that cannot be used, ModelsRefused
    and SettingsRefused as Pipeline does.
    """
    paths_of: dict[str, list[Portrait]] = {}
    for portrait, path in portraits.items():
        paths_of.setdefault(_key(path), []).append(portrait)
    with ledger.opened(plan.work, KIND, *names_of(plan.settings), str(plan.by_deepface)) as found:
        known = [key for key in paths_of if key in found]
        advance(sum(len(paths_of[key]) for key in known))
        new = [(key, portraits[paths_of[key][0]]) for key in paths_of if key not in found]
        tasks = [_Task(key, path, plan.by_deepface) for key, path in new]
        for task, document in crew.share_out(_look, plan.settings, tasks, plan.jobs):
            found.put(task.key, document)
            advance(len(paths_of[task.key]))
        seen = {portrait: _recalled(found[key]) for key, all_of in paths_of.items() for portrait in all_of}
    return {portrait: seen[portrait] for portrait in portraits}


def names_of(settings: FaceSettings, *modules: ModuleType) -> tuple[str, ...]:
    """Return the names of all that what is seen depends on: models, and the code that looks, of `modules` as well."""
    weights = (models.POSE.sha256, models.EYE.sha256, models.LIVENESS.sha256)
    return (
        *astuple(identity_of(settings)),
        *weights,
        *_checksums(auth_vision, frames, pipeline, plugins, runtime, sighting, *modules),
    )


def _checksums(*modules: ModuleType) -> Iterator[str]:
    """Those of the modules' files, of a package all: what other code found is not to be gone on from."""
    for module in modules:
        file = Path(str(module.__file__))
        for path in sorted(file.parent.glob("*.py")) if file.name == "__init__.py" else [file]:
            yield hashlib.sha256(path.read_bytes()).hexdigest()


def _key(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise EvaluationRefused(f"{path} cannot be read: {error.strerror}") from error


def _look(settings: FaceSettings, task: _Task) -> dict[str, Any]:
    return look_at(crew.pipeline_of(settings), task.path.read_bytes(), by_deepface=task.by_deepface).document()


def _recalled(document: Mapping[str, Any]) -> Sighting:
    try:
        return sighting_of(document)
    except (ValueError, KeyError, TypeError) as error:
        raise EvaluationRefused(f"the folder of what was found holds something else: {error}; empty it") from error
