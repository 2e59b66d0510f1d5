"""Options that several commands about people share: where pictures come from, how a secret is handed out."""

import sys
from pathlib import Path
from typing import Any

import click

from provisioning.desk import Command, Desk

_FILE = click.Path(path_type=Path, dir_okay=False)


def picture_options(command: Command) -> Command:
    """Give a command `--picture`, `--camera`, `--allow-duplicate` and `--vouched`."""
    command = click.option(
        "--vouched",
        is_flag=True,
        help="Take fewer than three pictures, or pictures of one pose: the match is then less sure.",
    )(command)
    command = click.option(
        "--allow-duplicate",
        is_flag=True,
        help="Enrol the face although it is like somebody else's: of twins, who can then pass for each other.",
    )(command)
    command = click.option(
        "--camera", type=click.IntRange(0), help="Take the pictures now, with this camera: 0 is the first."
    )(command)
    return click.option(
        "--picture",
        "pictures",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        multiple=True,
        help="A picture of the person alone: three to five, of two poses or more.",
    )(command)


def check_pictures(pictures: tuple[Path, ...], camera: int | None) -> None:
    """Raise UsageError unless there is one source of pictures."""
    if bool(pictures) == (camera is not None):
        raise click.UsageError("give either --picture, once or more, or --camera")


def password_option(command: Command) -> Command:
    """Give a command `--password-file`."""
    return click.option(
        "--password-file",
        type=click.Path(path_type=Path, allow_dash=True, dir_okay=False),
        help="Holds the password alone, mode 0600; - is standard input.  [default: ask twice]",
    )(command)


def handout_options(command: Command) -> Command:
    """Give a command the options by which a new TOTP secret is handed out and proved."""
    for option in (
        click.option(
            "--confirm-code/--no-confirm-code",
            default=None,
            help="Store it only when a code from the app is typed.  [default: where there is a terminal]",
        ),
        click.option("--show-uri", is_flag=True, help="Print the provisioning URI, which holds the secret in clear."),
        click.option("--qr-file", type=_FILE, help="Write the QR code to this new PNG file as well."),
    ):
        command = option(command)
    return command


def checked_handout(desk: Desk, qr_file: Path | None, show_uri: bool, confirm_code: bool | None) -> dict[str, Any]:
    """Return the members of a handout, the default filled in. Raises UsageError where nobody would learn the secret."""
    if desk.output.is_json and not (show_uri or qr_file):
        raise click.UsageError("with --json, give --qr-file or --show-uri: else nobody would learn the secret")
    is_asked = sys.stdin.isatty() and not desk.output.is_json if confirm_code is None else confirm_code
    return {"qr_file": qr_file, "show_uri": show_uri, "confirm_code": is_asked}
