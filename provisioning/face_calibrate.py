"""`4auth-provision face calibrate`: writes the thresholds that the server uses, and what was measured for them."""

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provisioning import face_evaluate, face_liveness
from provisioning.desk import Desk, pass_desk, shared_options
from provisioning.errors import Refused
from provisioning.face_liveness import attack_option, live_option, species_option
from provisioning.face_options import chosen_settings, model_options, plan_of, work_options

if TYPE_CHECKING:
    from auth_server.face.survey import Plan
    from auth_server.settings import FaceSettings


@click.command()
@click.option(
    "--pairs",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="With --images: LFW's file of pairs, to measure the match.",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of pictures, as NAME/NAME_0001.jpg.",
)
@live_option
@attack_option
@species_option
@click.option("--data", metavar="TEXT", help="What the pictures or recordings are.  [default: their folders]")
@click.option(
    "--to",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; face.calibration of the settings names it. What is not measured now stays as it stands "
    "there, or in the calibration in use.",
)
@work_options
@model_options
@shared_options
@pass_desk
def calibrate(
    desk: Desk,
    pairs: Path | None,
    images: Path | None,
    live: tuple[str, ...],
    attack: tuple[str, ...],
    species: str | None,
    data: str | None,
    to: Path,
    work: Path | None,
    jobs: int | None,
    models: Path | None,
    recogniser: str | None,
    detector: str | None,
) -> None:
    """Measure the match, presence, or both, and write the thresholds.

    The distance is the largest whose false-match rate is below 1 in 10,000 with 95 % confidence; the presence
    threshold the least at which no species of attack passes more than 7 times in 100.

    \b
    Example:
      4auth-provision face calibrate --pairs pairs.txt --images lfw --to /etc/4auth/calibration.json
    """
    if (pairs is None) != (images is None) or bool(live) != bool(attack) or not (pairs or live):
        raise click.UsageError("measure the match by --pairs and --images, presence by --live and --attack, or both")
    plan = plan_of(chosen_settings(desk, models, recogniser, detector), jobs, work)
    sections = _standing(to, plan.settings)
    today = desk.now().date()
    if pairs is not None and images is not None:
        from auth_server.face.calibrating import match_section
        from auth_server.face.pipeline import identity_of

        found = face_evaluate.measure(pairs, images, plan).found
        sections["match"] = match_section(found, identity_of(plan.settings), data or f"{pairs} of {images}", today)
    if live:
        from auth_server.face.calibrating import presence_section
        from auth_server.face.pipeline import presence_name

        shown = face_liveness.measure(live, attack, species, _passively(plan), starts=1)
        sections["presence"] = presence_section(shown, presence_name(), data or " ".join((*live, *attack)), today)
    _finish(desk, to, plan.settings, sections)


def _standing(to: Path, settings: "FaceSettings") -> dict[str, Any]:
    """The sections of the calibration that stands: the file's, where it is there, else the one in use."""
    from auth_server.face.calibration import load

    standing = load(to if to.exists() else settings.calibration).document
    return {name: standing[name] for name in ("match", "presence")}


def _passively(plan: "Plan") -> "Plan":
    from dataclasses import replace

    return replace(plan, settings=plan.settings.model_copy(update={"presence": "passive", "calibration": None}))


def _finish(desk: Desk, to: Path, settings: "FaceSettings", sections: dict[str, Any]) -> None:
    from auth_server.face.calibrating import document
    from auth_server.face.calibration import Identity, load
    from auth_server.face.pipeline import identity_of

    whole = document(sections)
    identity = Identity(**{name: sections["match"][name] for name in Identity.__dataclass_fields__})
    if differences := identity.differences(identity_of(settings)):
        raise Refused(
            f"the match that stands was measured with {'; '.join(differences)}, which is in use: measure it as well, "
            "by --pairs and --images"
        )
    _write(to, json.dumps(whole, indent=2) + "\n")
    written = load(to)
    desk.output.say(
        f"Wrote {to}: distance {written.threshold:.4f}, presence {written.presence_threshold:g}. The server uses it "
        f'once its settings say so, and it is started anew: [face] calibration = "{to.absolute()}"'
    )
    desk.output.result({"calibration": str(to), **whole})


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all. Raises Refused."""
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as stream:
            temporary = Path(stream.name)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}") from error
