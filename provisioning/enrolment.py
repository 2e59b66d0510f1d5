"""Adding one person: what is asked, in which order, and what is stored in one transaction.

Nothing is stored before everything is known to be good. Where somebody sits at the terminal, the
QR code is shown first and the account made only when a code from the app proves that it was read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from auth_server.accounts import Account, Accounts, NewAccount
from auth_server.errors import FaceUnusable
from auth_server.face.observation import EnrolledFace
from auth_server.kiosks import Kiosks
from auth_server.password_policy import check_new_password, hash_password
from provisioning.act import Act, commit
from provisioning.desk import Desk, Site
from provisioning.errors import Refused
from provisioning.passwords import read_password
from provisioning.pictures import read_picture
from provisioning.qr import terminal_lines, write_png
from provisioning.second_factor import SecondFactor, new_second_factor, step_of

_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the command line asked for."""

    username: str
    pictures: tuple[Path, ...]
    camera: int | None
    kiosk_ids: tuple[str, ...]
    password_file: Path | None
    qr_file: Path | None
    show_uri: bool
    confirm_code: bool


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The new account, and its second factor for the one time that it is shown."""

    account: Account
    second_factor: SecondFactor = field(repr=False)


def enrol(desk: Desk, site: Site, request: Request, act: Act) -> Enrolled:
    """Ask for what is missing, check it all, hand out the second factor and store the account.

    Raises Refused, PasswordRefused, StartRefused or StoreError; then no account was made.
    """
    _check_name(site, request.username)
    macs = _macs(site, request.kiosk_ids)
    face = _enrolled_face(desk, site, request)
    password = read_password(request.password_file)
    check_new_password(password, request.username, [site.settings.site])
    password_hash = hash_password(password)
    factor = new_second_factor(request.username, site.settings.site)
    if request.qr_file is not None:
        write_png(factor.uri, request.qr_file)
    try:
        step = _confirmed_step(desk, factor) if request.confirm_code else 0
        account = NewAccount(
            username=request.username,
            password_hash=password_hash,
            totp_secret=factor.secret,
            totp_last_step=step,
            template=face.template,
            face_png=face.picture_png,
            mac_addresses=macs,
        )
        with commit(site.database, act) as database:
            stored = Accounts(database, site.keyring.field, face.template.model).add(account, act.now)
    except BaseException:
        if request.qr_file is not None:
            request.qr_file.unlink(missing_ok=True)
        raise
    return Enrolled(stored, factor)


def show_second_factor(desk: Desk, factor: SecondFactor) -> None:
    """Draw the QR code for the authenticator app; whoever photographs it holds the factor too."""
    out = desk.output
    out.say("Scan this with the person's authenticator app. It is shown this once.")
    out.say("Whoever else sees or photographs it holds the second factor too.")
    for line in terminal_lines(factor.uri):
        out.say(line)


def _check_name(site: Site, username: str) -> None:
    if Accounts(site.database, site.keyring.field, "").find(username) is not None:
        raise Refused(f"there is an account {username} already: choose another name")


def _macs(site: Site, kiosk_ids: Sequence[str]) -> frozenset[str]:
    kiosks = Kiosks(site.database)
    found = {kiosk_id: kiosks.find(kiosk_id) for kiosk_id in kiosk_ids}
    unknown = sorted(kiosk_id for kiosk_id, kiosk in found.items() if kiosk is None)
    if unknown:
        raise Refused(f"there is no kiosk {', '.join(unknown)}: `4auth-provision kiosk list` tells which there are")
    return frozenset(kiosk.mac_address for kiosk in found.values() if kiosk is not None)


def _enrolled_face(desk: Desk, site: Site, request: Request) -> EnrolledFace:
    # The files are read before the models are loaded, which takes longer.
    pictures = [read_picture(path) for path in request.pictures]
    engine = desk.load_face_engine(site.settings.face)
    try:
        if request.camera is not None:
            click.prompt("The person looks at the camera; press Enter", default="", show_default=False, err=True)
            pictures = desk.take_pictures(request.camera)
        desk.output.say(f"Looking for the one face in {len(pictures)} picture{'s' * (len(pictures) != 1)}.")
        return engine.enrol(pictures)
    except FaceUnusable as error:
        raise Refused(_face_refusal(error, request)) from None


def _face_refusal(error: FaceUnusable, request: Request) -> str:
    what = str(request.pictures[error.picture]) if request.pictures else f"picture {error.picture + 1} of the camera"
    return f"{what} cannot be enrolled: {error.problem}. Use a sharp picture of one face, from the front"


def _confirmed_step(desk: Desk, factor: SecondFactor) -> int:
    """Show the QR code and return the time step of a code that the app made of it."""
    show_second_factor(desk, factor)
    for _ in range(_TRIES):
        code = click.prompt("Six-digit code that the app shows now", err=True).replace(" ", "")
        step = step_of(code, factor.secret, desk.now())
        if step is not None:
            return step
        desk.output.warn("That is not the code. The app's clock may be off, or an older entry was read.")
    raise Refused(
        f"no right code in {_TRIES} tries: no account was made; remove the entry from the app and begin again"
    )
