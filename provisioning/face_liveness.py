"""`4auth-provision face liveness`: how often attacks pass as people, and people do not pass."""

import glob
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provisioning.desk import Desk, pass_desk, shared_options
from provisioning.errors import Refused
from provisioning.face_options import chosen_settings, model_options, plan_of, report_option, work_options
from provisioning.face_tables import show_liveness
from provisioning.params import Checked
from provisioning.progress import Progress, progress

if TYPE_CHECKING:
    from auth_server.face.liveness import Shown
    from auth_server.face.survey import Plan


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"it is no regular expression: {error}") from None
    return text


live_option = click.option(
    "--live", multiple=True, metavar="GLOB", help="Pictures and videos of live people, as 'live-*'; may be given often."
)
attack_option = click.option(
    "--attack", multiple=True, metavar="GLOB", help="Those of attacks: prints, screens, masks; may be given often."
)
species_option = click.option(
    "--species",
    type=Checked("regex", _pattern),
    help="What an attack's species, or a live source, is called by: the first group of this, from the beginning of a "
    "file's name.  [default: the words before a number, as replay-phone of replay-phone-1.mp4]",
)


@click.command()
@live_option
@attack_option
@species_option
@click.option("--movements", type=click.IntRange(2, 4), help="Of one attempt.  [default: as in the settings, else 3]")
@click.option(
    "--starts", type=click.IntRange(1, 50), default=1, help="Begin each sequence at so many places.  [default: 1]"
)
@report_option
@work_options
@model_options
@shared_options
@pass_desk
def liveness(
    desk: Desk,
    live: tuple[str, ...],
    attack: tuple[str, ...],
    species: str | None,
    movements: int | None,
    starts: int,
    report: Path | None,
    work: Path | None,
    jobs: int | None,
    models: Path | None,
    recogniser: str | None,
    detector: str | None,
) -> None:
    """Hold recordings before the camera: by their look alone, and with every sequence of movements.

    \b
    Example:
      4auth-provision face liveness --live 'live-*' --attack 'replay-*' --attack 'attack-*'
    """
    settings = chosen_settings(desk, models, recogniser, detector)
    if movements is not None:
        settings = settings.model_copy(update={"movements": movements})
    plan = plan_of(settings, jobs, work)
    shown = measure(live, attack, species, plan, starts=starts)
    document = document_of(shown, plan, desk.now().date(), starts=starts)
    show_liveness(desk.output, document)
    if report is not None:
        from provisioning.face_liveness_report import write_liveness

        write_liveness(report, document, shown)
        desk.output.say()
        desk.output.say(f"The report is in {report}.")
    desk.output.result(document)


def measure(
    live: Sequence[str], attack: Sequence[str], species: str | None, plan: "Plan", *, starts: int
) -> "list[Shown]":
    """Show all files, and return what became of them. Raises Refused where a pattern names none."""
    from auth_server.face.liveness import SPECIES
    from auth_server.face.screening import Stage, screened

    lives, attacks = _files(live), _files(attack)
    if not lives and not attacks:
        raise Refused("name recordings by --live GLOB or --attack GLOB")
    bar: Progress[None]
    with progress(len(lives) + len(attacks), "Holding recordings before the camera") as bar:
        return screened(lives, attacks, plan, Stage(starts, species or SPECIES), bar.advance)


def document_of(shown: "Sequence[Shown]", plan: "Plan", today: date, *, starts: int) -> dict[str, Any]:
    """Return what became of recordings as JSON has it."""
    from dataclasses import asdict

    from auth_server.face.calibration import load
    from auth_server.face.liveness import figures
    from auth_server.face.pipeline import identity_of, presence_name
    from auth_server.face.showing import sequences

    settings = plan.settings
    threshold = load(settings.calibration).presence_threshold
    return {
        "date": today.isoformat(),
        "measured_with": {**asdict(identity_of(settings)), "presence": presence_name()},
        "presence_threshold": threshold,
        "movements": settings.movements,
        "sequences": len(sequences(settings.movements)),
        "starts": starts,
        "layers": figures(shown, threshold),
    }


def _files(patterns: Sequence[str]) -> list[Path]:
    found: dict[Path, None] = {}
    for pattern in patterns:
        names = glob.glob(pattern, recursive=True)  # noqa: PTH207 - a pattern may begin at the root
        matches = [path for name in sorted(names) if (path := Path(name)).is_file()]
        if not matches:
            raise Refused(f"{pattern} names no file")
        found.update(dict.fromkeys(matches))
    return list(found)
