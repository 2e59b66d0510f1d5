"""`4auth-provision face compare`: one comparison, explained."""

from pathlib import Path
from typing import Any

import click

from provisioning.desk import Desk, pass_desk, shared_options
from provisioning.face_options import check_models, chosen_settings, model_options
from provisioning.output import Output
from provisioning.pictures import read_picture

_PICTURE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("first", type=_PICTURE)
@click.argument("second", type=_PICTURE)
@model_options
@shared_options
@pass_desk
def compare(
    desk: Desk, first: Path, second: Path, models: Path | None, recogniser: str | None, detector: str | None
) -> None:
    """Say what login sees in two pictures, how far apart they are, and what that means.

    \b
    Example:
      4auth-provision face compare enrolled.jpg refused.jpg
    """
    from auth_server.face.explaining import explain

    settings = chosen_settings(desk, models, recogniser, detector)
    check_models(settings)
    found = explain(settings.model_copy(update={"presence": "off"}), read_picture(first), read_picture(second))
    show(desk.output, (first, second), found.document())
    desk.output.result(found.document())


def show(output: Output, paths: tuple[Path, Path], found: dict[str, Any]) -> None:
    """Print a comparison."""
    looks = found["pictures"]
    output.table(
        ("", *(path.name for path in paths)), [(name, *(tell(look) for look in looks)) for name, tell in _ROWS]
    )
    output.say()
    if found["distance"] is not None:
        limit = f"threshold {found['threshold']:.4f}" if found["threshold"] is not None else "no threshold is known"
        output.say(f"Distance {found['distance']:.4f}, {limit}.")
    output.say(found["verdict"])
    if found["rarity"]:
        output.say(found["rarity"])


def _measure(name: str, unit: str = "") -> Any:
    return lambda look: f"{look[name]}{unit}" if name in look else "-"


_ROWS = (
    ("picture", lambda look: f"{look['width']} x {look['height']}"),
    ("faces", lambda look: str(look["faces"])),
    ("face height", _measure("face_height_px", " px")),
    ("yaw (to their left)", _measure("yaw", " deg")),
    ("pitch (up)", _measure("pitch", " deg")),
    ("roll", _measure("roll", " deg")),
    ("eyes open", lambda look: " ".join(str(eye) for eye in look.get("eyes_open", ())) or "-"),
    ("light (0 to 255)", _measure("light")),
    ("detail", _measure("detail")),
    ("login would say", lambda look: look["code"] or "good"),
)
