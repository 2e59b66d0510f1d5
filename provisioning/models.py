"""`4auth-provision models`: the face models, fetched by name and known by their checksums."""

from pathlib import Path

import click

from provisioning.desk import Desk, pass_desk, shared_options

folder_option = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the models lie.  [default: face.models of the settings]",
)


@click.group()
def models() -> None:
    """Fetch the face models, and check that they are the ones that were measured.

    \b
    Example:
      4auth-provision models fetch
    """


@models.command()
@folder_option
@click.option(
    "--archive",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Take them from this file, for a host without a registry: what `npm pack` brought elsewhere.",
)
@shared_options
@pass_desk
def fetch(desk: Desk, folder: Path | None, archive: Path | None) -> None:
    """Bring the models, unless they are there already.

    \b
    Example:
      4auth-provision models fetch --folder /etc/4auth/models
    """
    # Imported on use: other commands need not wait for the face libraries.
    from auth_server.face.runtime import refused_at_start
    from auth_vision import models as face_models

    target = folder or desk.settings.face.models
    with refused_at_start():
        face_models.fetch(target, archive=archive, progress=desk.output.say)
    desk.output.say(f"The models are in {target}, and each has its checksum.")
    desk.output.result({"models": str(target), "ok": True})


@models.command()
@folder_option
@shared_options
@pass_desk
def check(desk: Desk, folder: Path | None) -> None:
    """Compare every model with its checksum; exit 78 when one is missing or another.

    \b
    Example:
      4auth-provision models check
    """
    from auth_server.face.runtime import refused_at_start
    from auth_vision import models as face_models

    target = folder or desk.settings.face.models
    with refused_at_start():
        face_models.check(target)
    desk.output.say(f"The models in {target} are the right ones.")
    desk.output.result({"models": str(target), "ok": True})
