"""What the commands of `face` share: which models to look with, and by how many processes."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from auth_server.settings import FaceSettings
from provisioning.desk import Desk

if TYPE_CHECKING:
    from auth_server.face.survey import Plan

Command = TypeVar("Command", bound=Callable[..., Any])


def model_options(command: Command) -> Command:
    """Give a command the models to look with: a site's, or those of a folder where there is no site."""
    for option in (
        click.option(
            "--detector", default=None, help="DeepFace's name of it.  [default: as in the settings, else 4auth]"
        ),
        click.option(
            "--recogniser", default=None, help="DeepFace's name of it.  [default: as in the settings, else 4auth]"
        ),
        click.option(
            "--models",
            type=click.Path(path_type=Path, file_okay=False),
            help="Take the models of this folder, and read no settings.  [default: face.models of the settings]",
        ),
    ):
        command = option(command)
    return command


def work_options(command: Command) -> Command:
    """Give a command a folder to go on from after a stop, and a number of processes."""
    for option in (
        click.option("--jobs", type=click.IntRange(1, 256), help="Processes at once.  [default: one for each core]"),
        click.option(
            "--work",
            type=click.Path(path_type=Path, file_okay=False),
            help="Remember here what was found, so that a run that was stopped goes on. It holds embeddings, which are "
            "as private as the pictures.",
        ),
    ):
        command = option(command)
    return command


def report_option(command: Command) -> Command:
    """Give a command an HTML report."""
    return click.option(
        "--report",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Write a report of one page here as well, whole in itself: HTML with charts and pictures.",
    )(command)


def chosen_settings(desk: Desk, models: Path | None, recogniser: str | None, detector: str | None) -> FaceSettings:
    """Return the face settings to measure with. Raises SettingsRefused where they name a settings file in vain."""
    base = FaceSettings(models=models) if models else desk.settings.face
    chosen = {name: value for name, value in (("recogniser", recogniser), ("detector", detector)) if value}
    return base.model_copy(update=chosen)


def plan_of(settings: FaceSettings, jobs: int | None, work: Path | None) -> "Plan":
    """Return how to look at files, with models that were checked first.

    Raises ModelsRefused for a missing file, SettingsRefused for a name that DeepFace does not know.
    """
    from auth_server.face import crew
    from auth_server.face.survey import Plan

    check_models(settings)
    return Plan(settings, jobs or crew.cores(), work)


def check_models(settings: FaceSettings) -> None:
    """Raise ModelsRefused for a missing file, SettingsRefused for a name that DeepFace does not know."""
    from auth_server.face import pipeline, plugins
    from auth_server.face.runtime import refused_at_start
    from auth_vision import models

    with refused_at_start():
        models.check(settings.models)
    plugins.register(settings.models)
    pipeline.check_names(settings)
