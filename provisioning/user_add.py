"""`4auth-provision user add`: what the command line says, and what the administrator reads."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provisioning.act import Act, refusals_recorded
from provisioning.desk import Desk, pass_desk, shared_options
from provisioning.params import KIOSK_ID, USERNAME
from provisioning.user_document import account_document
from provisioning.user_options import check_pictures, checked_handout, handout_options, password_option, picture_options

if TYPE_CHECKING:
    from provisioning.enrolment import Enrolled, Request


@click.command()
@click.argument("username", type=USERNAME, metavar="NAME")
@picture_options
@click.option("--kiosk", "kiosk_ids", type=KIOSK_ID, multiple=True, required=True, help="Where the person may log in.")
@password_option
@handout_options
@shared_options
@pass_desk
def add(desk: Desk, pictures: tuple[Path, ...], camera: int | None, **rest: Any) -> None:
    """Add a person: password, face, the kiosks they may use, and a new TOTP secret.

    The secret is handed out once, as a QR code, and cannot be shown again.

    \b
    Example:
      4auth-provision user add ann --picture 1.jpg --picture 2.jpg --picture 3.jpg --kiosk lobby-1
    """
    check_pictures(pictures, camera)
    handout = checked_handout(desk, *(rest.pop(name) for name in ("qr_file", "show_uri", "confirm_code")))
    # Imported on use: the face libraries take half a second that other commands need not wait for.
    from provisioning.enrolment import Handout, Pictures, Request, enrol

    allowed = (rest.pop("allow_duplicate"), rest.pop("vouched"))
    request = Request(pictures=Pictures(pictures, camera, *allowed), handout=Handout(**handout), **rest)
    detail = {"kiosks": sorted(request.kiosk_ids)}
    act = Act("admin.user.add", desk.now(), username=request.username, detail=detail)
    with desk.site() as opened, refusals_recorded(opened.database, act):
        enrolled = enrol(desk, opened, request, act)
    _tell_added(desk, request, enrolled)


def _tell_added(desk: Desk, request: "Request", enrolled: "Enrolled") -> None:
    from provisioning.enrolment import tell_second_factor

    name, kiosks = enrolled.account.username, ", ".join(sorted(request.kiosk_ids))
    desk.output.say(f"{name} is added, and may log in at {kiosks}.")
    handed_out = tell_second_factor(desk, enrolled.second_factor, request.handout)
    desk.output.result({"user": account_document(enrolled.account), **handed_out})
