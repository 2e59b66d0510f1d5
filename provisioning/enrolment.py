"""Taking a person's factors at the desk: what is asked, in which order, and what is stored in one transaction.

Nothing is stored before everything is known to be good. Where somebody sits at the terminal, the
QR code is shown first and the secret stored only when a code from the app proves that it was read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

from auth_contract.actions import CaptureHint
from auth_server.accounts import Account, NewAccount
from auth_server.errors import FaceUnusable
from auth_server.face.observation import EnrolledFace
from auth_server.password_policy import check_new_password, hash_password
from auth_server.second_factor import SecondFactor, new_second_factor, step_of
from provisioning.act import Act, commit
from provisioning.desk import Desk, Site
from provisioning.errors import Refused
from provisioning.face_duplicates import TakenFace, compared
from provisioning.passwords import read_password
from provisioning.pictures import read_picture
from provisioning.qr import terminal_lines, write_png
from provisioning.user_lookup import accounts_of, macs_of

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Pictures:
    """Where a person's pictures come from: files, or a camera by its number.

    `is_duplicate_allowed` lets the face be like somebody else's, `is_vouched` lets the pictures be fewer than
    three, or of one pose.
    """

    files: tuple[Path, ...]
    camera: int | None = None
    is_duplicate_allowed: bool = False
    is_vouched: bool = False


@dataclass(frozen=True, slots=True)
class Handout:
    """How a new second factor is handed out besides the QR code on the terminal, and whether a code proves it."""

    qr_file: Path | None = None
    show_uri: bool = False
    confirm_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the command line asked for."""

    username: str
    pictures: Pictures
    kiosk_ids: tuple[str, ...]
    password_file: Path | None
    handout: Handout


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
    macs = macs_of(site.database, request.kiosk_ids)
    taken = enrolled_face(desk, site, request.pictures, act)
    password_hash = new_password_hash(site, request.username, request.password_file)
    factor = new_second_factor(request.username, site.settings.site)
    with handed_out(desk, factor, request.handout) as step:
        account = NewAccount(
            username=request.username,
            password_hash=password_hash,
            totp_secret=factor.secret,
            totp_last_step=step,
            template=taken.face.template,
            face_png=taken.face.picture_png,
            mac_addresses=frozenset(macs.values()),
        )
        with commit(site.database, act) as database:
            taken.check_and_tell(site, database, act)
            stored = accounts_of(site, database).add(account, act.now)
    return Enrolled(stored, factor)


def new_password_hash(site: Site, username: str, file: Path | None) -> bytes:
    """Return the hash of what the person types twice, or of a file's line. Raises Refused or PasswordRefused."""
    password = read_password(file)
    check_new_password(password, username, [site.settings.site])
    return hash_password(password)


@contextmanager
def handed_out(desk: Desk, factor: SecondFactor, handout: Handout) -> Iterator[int]:
    """Hand a second factor out and give the time step of its first code, 0 where none is asked for.

    What fails inside, or before, takes the QR file away again. Raises Refused when no code was right.
    """
    if handout.qr_file is not None:
        write_png(factor.uri, handout.qr_file)
    try:
        yield _confirmed_step(desk, factor) if handout.confirm_code else 0
    except BaseException:
        if handout.qr_file is not None:
            handout.qr_file.unlink(missing_ok=True)
        raise


def tell_second_factor(desk: Desk, factor: SecondFactor, handout: Handout) -> dict[str, object]:
    """Show what was handed out, once it counts; returns its members of the JSON document."""
    out, document = desk.output, dict[str, object]()
    if not handout.confirm_code and not out.is_json:
        show_second_factor(desk, factor)
    if handout.qr_file is not None:
        out.say(f"The QR code is in {handout.qr_file}: hand it over and delete it, for it is the second factor.")
        document["qr_file"] = str(handout.qr_file)
    if handout.show_uri:
        out.say(factor.uri)
        document["provisioning_uri"] = factor.uri
    return document


def show_second_factor(desk: Desk, factor: SecondFactor) -> None:
    """Draw the QR code for the authenticator app; whoever photographs it holds the factor too."""
    out = desk.output
    out.say("Scan this with the person's authenticator app. It is shown this once.")
    out.say("Whoever else sees or photographs it holds the second factor too.")
    for line in terminal_lines(factor.uri):
        out.say(line)


def enrolled_face(desk: Desk, site: Site, pictures: Pictures, act: Act) -> TakenFace:
    """Return the face in a person's pictures, compared with all others'.

    Raises Refused naming the picture that does not do, or whose face it is already.
    """
    taken = _taken(desk, site, pictures)
    return compared(desk, site, taken, act, is_allowed=pictures.is_duplicate_allowed)


def _taken(desk: Desk, site: Site, pictures: Pictures) -> tuple[EnrolledFace, float]:
    """The face in a person's pictures, and the threshold of the engine that took it."""
    # The files are read before the models are loaded, which takes longer.
    taken = [read_picture(path) for path in pictures.files]
    engine = desk.load_face_engine(site.settings.face)
    try:
        if pictures.camera is not None:
            click.prompt("The person looks at the camera; press Enter", default="", show_default=False, err=True)
            taken = desk.take_pictures(pictures.camera)
        desk.output.say(f"Looking for the one face in {len(taken)} picture{'s' * (len(taken) != 1)}.")
        return engine.enrol(taken, is_vouched=pictures.is_vouched), engine.threshold
    except FaceUnusable as error:
        raise Refused(_face_refusal(error, pictures)) from None


def _check_name(site: Site, username: str) -> None:
    if accounts_of(site).find(username) is not None:
        raise Refused(f"there is an account {username} already: choose another name")


def _face_refusal(error: FaceUnusable, pictures: Pictures) -> str:
    what = str(pictures.files[error.picture]) if pictures.files else f"picture {error.picture + 1} of the camera"
    advice = "Use a sharp picture of one face, from the front"
    if error.hint is CaptureHint.ONE_POSE:
        what, advice = "the pictures", "Give three to five, with the head turned a little in one, or --vouched"
    return f"{what} cannot be enrolled: {error.problem}. {advice}"


def _confirmed_step(desk: Desk, factor: SecondFactor) -> int:
    """Show the QR code and return the time step of a code that the app made of it."""
    show_second_factor(desk, factor)
    for _ in range(_TRIES):
        code = click.prompt("Six-digit code that the app shows now", err=True).replace(" ", "")
        step = step_of(code, factor.secret, desk.now())
        if step is not None:
            return step
        desk.output.warn("That is not the code. The app's clock may be off, or an older entry was read.")
    raise Refused(f"no right code in {_TRIES} tries: nothing was stored; remove the entry from the app and begin again")
