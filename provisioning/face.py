"""`4auth-provision face`: measures the face check, on the site's own pictures where there are some."""

import click

from provisioning.face_calibrate import calibrate
from provisioning.face_compare import compare
from provisioning.face_evaluate import evaluate
from provisioning.face_liveness import liveness
from provisioning.face_migrate import migrate
from provisioning.face_snapshots import snapshots


@click.group()
def face() -> None:
    """Measure the face check by the code that logs people in, and explain what it says.

    \b
    Example:
      4auth-provision face evaluate --pairs pairs.txt --images lfw
    """


for verb in (calibrate, compare, evaluate, liveness, migrate, snapshots):
    face.add_command(verb)
