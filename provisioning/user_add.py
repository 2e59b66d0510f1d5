"""`4auth-provision user add`: what the command line says, and what the administrator reads."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provisioning.act import Act, refusals_recorded
from provisioning.desk import Desk, pass_desk, shared_options
from provisioning.params import KIOSK_ID, USERNAME
from provisioning.user_document import account_document

if TYPE_CHECKING:
    from provisioning.enrolment import Enrolled, Request


@click.command()
@click.argument("username", type=USERNAME, metavar="NAME")
@click.option(
    "--picture",
    "pictures",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="A picture of the person alone; several make the match surer.",
)
@click.option("--camera", type=click.IntRange(0), help="Take the pictures now, with this camera: 0 is the first.")
@click.option("--kiosk", "kiosk_ids", type=KIOSK_ID, multiple=True, required=True, help="Where the person may log in.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path, allow_dash=True, dir_okay=False),
    help="Holds the password alone, mode 0600; - is standard input.  [default: ask twice]",
)
@click.option(
    "--qr-file", type=click.Path(path_type=Path, dir_okay=False), help="Write the QR code to this new PNG file as well."
)
@click.option("--show-uri", is_flag=True, help="Print the provisioning URI, which holds the secret in clear.")
@click.option(
    "--confirm-code/--no-confirm-code",
    default=None,
    help="Make the account only when a code from the app is typed.  [default: where there is a terminal]",
)
@shared_options
@pass_desk
def add(desk: Desk, show_uri: bool, confirm_code: bool | None, **rest: Any) -> None:
    """Add a person: password, face, the kiosks they may use, and a new TOTP secret.

    The secret is handed out once, as a QR code, and cannot be shown again.

    \b
    Example:
      4auth-provision user add ann --picture ann-1.jpg --picture ann-2.jpg --kiosk lobby-1
    """
    if bool(rest["pictures"]) == (rest["camera"] is not None):
        raise click.UsageError("give either --picture, once or more, or --camera")
    if desk.output.is_json and not (show_uri or rest["qr_file"]):
        raise click.UsageError("with --json, give --qr-file or --show-uri: else nobody would learn the secret")
    # Imported on use: the face libraries take half a second that other commands need not wait for.
    from provisioning.enrolment import Request, enrol

    if confirm_code is None:
        confirm_code = sys.stdin.isatty() and not desk.output.is_json
    request = Request(show_uri=show_uri, confirm_code=confirm_code, **rest)
    detail = {"kiosks": sorted(request.kiosk_ids)}
    act = Act("admin.user.add", desk.now(), username=request.username, detail=detail)
    with desk.site() as opened, refusals_recorded(opened.database, act):
        enrolled = enrol(desk, opened, request, act)
    _tell_added(desk, request, enrolled)


def _tell_added(desk: Desk, request: "Request", enrolled: "Enrolled") -> None:
    from provisioning.enrolment import show_second_factor

    out = desk.output
    document: dict[str, object] = {"user": account_document(enrolled.account)}
    out.say(f"{enrolled.account.username} is added, and may log in at {', '.join(sorted(request.kiosk_ids))}.")
    if not request.confirm_code and not out.is_json:
        show_second_factor(desk, enrolled.second_factor)
    if request.qr_file is not None:
        out.say(f"The QR code is in {request.qr_file}: hand it over and delete it, for it is the second factor.")
        document["qr_file"] = str(request.qr_file)
    if request.show_uri:
        out.say(enrolled.second_factor.uri)
        document["provisioning_uri"] = enrolled.second_factor.uri
    out.result(document)
