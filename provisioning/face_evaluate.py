"""`4auth-provision face evaluate`: how often strangers match, and people do not match themselves."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provisioning.desk import Desk, pass_desk, shared_options
from provisioning.face_options import chosen_settings, model_options, plan_of, report_option, work_options
from provisioning.face_tables import show_evaluation
from provisioning.progress import Progress, progress

if TYPE_CHECKING:
    from auth_server.face.evaluation import Evaluation
    from auth_server.face.lfw import Portrait
    from auth_server.face.sighting import Sighting
    from auth_server.face.survey import Plan


@click.command()
@click.option(
    "--pairs",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="LFW's file of pairs: `NAME 1 4` of one person, `NAME 3 OTHER 2` of two.",
)
@click.option(
    "--images",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of pictures, as NAME/NAME_0001.jpg; all of them are compared across people.",
)
@click.option(
    "--by-deepface", is_flag=True, help="Embed by DeepFace's own call, to compare: login calls its model directly."
)
@report_option
@work_options
@model_options
@shared_options
@pass_desk
def evaluate(
    desk: Desk,
    pairs: Path,
    images: Path,
    by_deepface: bool,
    report: Path | None,
    work: Path | None,
    jobs: int | None,
    models: Path | None,
    recogniser: str | None,
    detector: str | None,
) -> None:
    """Measure the match of faces on pictures in the form of Labeled Faces in the Wild.

    \b
    Example:
      4auth-provision face evaluate --pairs pairs.txt --images lfw --work .face --report report.html
    """
    plan = replace(plan_of(chosen_settings(desk, models, recogniser, detector), jobs, work), by_deepface=by_deepface)
    measured = measure(pairs, images, plan)
    document = document_of(measured.found, plan, today=desk.now().date(), pairs=pairs, images=images)
    show_evaluation(desk.output, document)
    if report is not None:
        from provisioning.face_report import write_evaluation

        write_evaluation(report, measured, document)
        desk.output.say()
        desk.output.say(f"The report is in {report}.")
    desk.output.result(document)


@dataclass(frozen=True, slots=True)
class Measured:
    """What pictures tell, and where each picture and its face is."""

    found: "Evaluation"
    paths: "Mapping[Portrait, Path]"
    sightings: "Mapping[Portrait, Sighting]"

    def chip(self, portrait: "Portrait") -> bytes:
        """Return the aligned face of a picture in which one was found, as JPEG."""
        from auth_server.face.chips import chip_jpeg

        points = self.sightings[portrait].points
        if points is None:
            raise ValueError(f"{portrait} has no face")
        return chip_jpeg(self.paths[portrait], points)


def measure(pairs: Path, images: Path, plan: "Plan") -> Measured:
    """Look at all pictures, and return what they tell. Raises EvaluationRefused."""
    from auth_server.face.evaluation import evaluate as evaluate_sightings
    from auth_server.face.lfw import find_portraits, read_pairs
    from auth_server.face.survey import sightings_of

    listed, portraits = read_pairs(pairs), find_portraits(images)
    bar: Progress[None]
    with progress(len(portraits), "Looking at pictures") as bar:
        sightings = sightings_of(portraits, plan, bar.advance)
    return Measured(evaluate_sightings(sightings, listed), portraits, sightings)


def document_of(found: "Evaluation", plan: "Plan", *, today: date, pairs: Path, images: Path) -> dict[str, Any]:
    """Return an evaluation as JSON has it."""
    from auth_server.face.accuracy import accuracy
    from auth_server.face.evaluation import RATES
    from auth_server.face.pipeline import identity_of
    from auth_server.face.thresholds import calibration_of

    told = accuracy(found.pairs)
    return {
        "date": today.isoformat(),
        "pairs": str(pairs),
        "images": str(images),
        "by_deepface": plan.by_deepface,
        "measured_with": asdict(identity_of(plan.settings)),
        "pictures": found.pictures,
        "people": found.people,
        "failure_to_enrol": found.failures.document(),
        "refused_by_quality": dict(found.codes),
        "genuine_comparisons": len(found.genuine()),
        "stranger_comparisons": {"one_each": found.one_each.total, "every": found.every.total},
        "in_use": _in_use(found, calibration_of(plan.settings)),
        "operating_points": {name: _point(found, name, rate) for name, rate in RATES.items()},
        "lfw_accuracy": told.document() if told else None,
    }


def _in_use(found: "Evaluation", calibration: Any) -> Mapping[str, Any] | None:
    return found.document(calibration.threshold) if calibration else None


def _point(found: "Evaluation", name: str, rate: float) -> dict[str, Any]:
    """What one rate asks for: the threshold as seen, and the one that the data can claim it for."""
    seen, claim = found.seen_threshold(rate), found.claims[name]
    return {
        "seen": found.document(seen) if seen is not None else None,
        "claimed": found.document(claim.threshold) | {"fmr_upper_95": float(f"{claim.bound:.3g}")} if claim else None,
    }
