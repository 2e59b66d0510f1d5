"""`4auth-provision user reset`: factors replaced at the desk, where the person stands before the administrator."""

import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provisioning.act import Act, author, commit, refusals_recorded
from provisioning.desk import Desk, Site, pass_desk, shared_options, yes_option
from provisioning.params import USERNAME
from provisioning.user_document import account_document
from provisioning.user_lookup import accounts_of, end_change, find_account, no_account, notifications_of
from provisioning.user_options import check_pictures, checked_handout, handout_options, password_option, picture_options

if TYPE_CHECKING:
    from auth_server.changes import Change, NewFactors
    from auth_server.second_factor import SecondFactor
    from provisioning.enrolment import Handout, Pictures
    from provisioning.face_duplicates import TakenFace

_UNUSABLE_BYTES = 32
"""Of a password that nobody is told. Its hash costs what others cost, so that its owner is not told apart by time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """What the command line asked for. `pictures` and `handout` are set where the face and the secret are replaced."""

    username: str
    password: bool
    password_file: Path | None
    forget_password: bool
    pictures: "Pictures | None"
    handout: "Handout | None"

    @property
    def factors(self) -> list[str]:
        """What is replaced, in words."""
        asked = {
            "password": self.password or self.forget_password,
            "authenticator secret": self.handout is not None,
            "face": self.pictures is not None,
        }
        return [factor for factor, is_asked in asked.items() if is_asked]


@click.command()
@click.argument("username", type=USERNAME, metavar="NAME")
@click.option("--password", is_flag=True, help="A new password, which the person types twice.")
@password_option
@click.option(
    "--forget-password", is_flag=True, help="No password fits any more: the person recovers it at a kiosk, alone."
)
@click.option("--totp", is_flag=True, help="A new authenticator secret, shown once as a QR code.")
@handout_options
@click.option("--face", is_flag=True, help="A new face, of pictures or of a camera.")
@picture_options
@yes_option
@shared_options
@pass_desk
def reset(desk: Desk, yes: bool, **options: Any) -> None:
    """Replace a person's factors at the desk; be sure that it is the person. The old ones end at once.

    The person chooses the password and nobody else: where the person is not here, --forget-password
    lets them set one at a kiosk by the other factors. Changes under way and open attempts end.

    \b
    Example:
      4auth-provision user reset ann --totp
      4auth-provision user reset ann --password --face --camera 0
    """
    asked = _checked(desk, options)
    act = Act("admin.user.reset", desk.now(), username=asked.username, detail={"factors": asked.factors})
    with desk.site() as opened, refusals_recorded(opened.database, act):
        found = find_account(accounts_of(opened), asked.username)
        what = " and ".join(asked.factors)
        desk.confirm(f"The present {what} of {asked.username} will be worth nothing. Go on?", is_agreed=yes)
        factor, ended = _replace(desk, opened, asked, act)
    desk.output.say(f"Replaced of {asked.username}: {', '.join(asked.factors)}.")
    if ended is not None:
        desk.output.say(f"The change that was under way has ended: {ended.action.value}.")
    if asked.forget_password:
        desk.output.say(f"No password lets {asked.username} in until one is set by `recover password` at a kiosk.")
    _tell(desk, asked, {"user": account_document(found), "factors": asked.factors}, factor)


def _checked(desk: Desk, options: dict[str, Any]) -> Reset:
    """Return what was asked for. Raises UsageError for options that do not go together."""
    from provisioning.enrolment import Handout, Pictures

    names = ("qr_file", "show_uri", "confirm_code")
    totp, face = options.pop("totp"), options.pop("face")
    handout = [options.pop(name) for name in names]
    pictures = (options.pop("pictures"), options.pop("camera"))
    allowed = (options.pop("allow_duplicate"), options.pop("vouched"))
    if not (totp or face or options["password"] or options["forget_password"]):
        raise click.UsageError("say what to replace: --password, --forget-password, --totp, --face, or several")
    if options["password"] and options["forget_password"]:
        raise click.UsageError("give either --password or --forget-password")
    for is_given, name, needed, is_there in (
        (options["password_file"] is not None, "--password-file", "--password", options["password"]),
        (handout != [None, False, None], "--qr-file, --show-uri and --confirm-code", "--totp", totp),
        (pictures != ((), None), "--picture and --camera", "--face", face),
        (any(allowed), "--allow-duplicate and --vouched", "--face", face),
    ):
        if is_given and not is_there:
            raise click.UsageError(f"{name}: only with {needed}")
    if face:
        check_pictures(*pictures)
    return Reset(
        pictures=Pictures(*pictures, *allowed) if face else None,
        handout=Handout(**checked_handout(desk, *handout)) if totp else None,
        **options,
    )


def _replace(desk: Desk, site: Site, asked: Reset, act: Act) -> "tuple[SecondFactor | None, Change | None]":
    """Take the new factors, then put them in force together; returns the secret to show and the change that ended."""
    from auth_server.changes import NewFactors
    from auth_server.second_factor import new_second_factor
    from provisioning.enrolment import enrolled_face, handed_out

    taken = None if asked.pictures is None else enrolled_face(desk, site, asked.pictures, act)
    new = NewFactors(
        password_hash=_password_hash(site, asked),
        template=None if taken is None else taken.face.template,
        face_png=None if taken is None else taken.face.picture_png,
    )
    if asked.handout is None:
        return None, _store(site, asked, new, taken, act)
    factor = new_second_factor(asked.username, site.settings.site)
    with handed_out(desk, factor, asked.handout) as step:
        return factor, _store(site, asked, replace(new, totp_secret=factor.secret, totp_step=step), taken, act)


def _password_hash(site: Site, asked: Reset) -> bytes | None:
    from auth_server.password_policy import hash_password
    from provisioning.enrolment import new_password_hash

    if asked.forget_password:
        return hash_password(secrets.token_urlsafe(_UNUSABLE_BYTES))
    return new_password_hash(site, asked.username, asked.password_file) if asked.password else None


def _store(site: Site, asked: Reset, new: "NewFactors", taken: "TakenFace | None", act: Act) -> "Change | None":
    """Replace the factors, end the pending change and leave word of it, all in the transaction of the act."""
    name, now = asked.username, act.now
    with commit(site.database, act) as database, database.transaction() as session:
        if taken is not None:
            taken.check_and_tell(site, database, act)
        accounts = accounts_of(site, database)
        done = []
        if new.password_hash is not None:
            done.append(accounts.replace_password(session, name, new.password_hash, now))
        if new.totp_secret is not None and new.totp_step is not None:
            done.append(accounts.replace_totp(session, name, new.totp_secret, new.totp_step, now))
        if new.template is not None and new.face_png is not None:
            done.append(accounts.replace_face(session, name, new.template, new.face_png, now))
        if not all(done):
            raise no_account(name)  # deleted while the factors were taken
        ended = end_change(site, database, name, now)
        body = {"by": author(), "message": _message(asked)}
        notifications_of(site, database).add(session, "factor_reset", name, body, now)
        return ended


def _message(asked: Reset) -> str:
    what, who = ", ".join(asked.factors), asked.username
    return f"Replaced of {who} by {author()}: {what}. If {who} does not know of this, call an administrator now."


def _tell(desk: Desk, asked: Reset, document: dict[str, object], factor: "SecondFactor | None") -> None:
    from provisioning.enrolment import tell_second_factor

    if factor is not None and asked.handout is not None:
        document |= tell_second_factor(desk, factor, asked.handout)
    desk.output.result(document)
