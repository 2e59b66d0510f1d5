"""A face that is taken at the desk and is somebody else's already: refused, or let pass and told of."""

from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from auth_server.duplicates import Duplicates, Found, Looked
from auth_server.face.observation import EnrolledFace
from auth_server.face.thresholds import calibration_of
from auth_server.notifications import Event
from auth_server.store.database import Database
from provisioning.act import Act, author
from provisioning.desk import Desk, Site
from provisioning.errors import Refused
from provisioning.user_lookup import notifications_of


@dataclass(frozen=True, slots=True)
class TakenFace:
    """A face of the desk, and how it compares with those of all other accounts."""

    face: EnrolledFace
    duplicates: Duplicates
    looked: Looked
    is_allowed: bool

    def check(self, session: Session, act: Act) -> Found:
        """Return whose face it is like, as this session sees it, noted for the act's row.

        Raises Refused where the site refuses duplicates and the administrator did not allow this one.
        """
        found = self.duplicates.settle(session, self.looked, self.looked.username, self.looked.template)
        is_allowed = found.is_refused and self.is_allowed
        act.notes.update(found.detail(), **({"duplicate_allowed": True} if is_allowed else {}))
        if found.match is not None and found.is_refused and not is_allowed:
            raise Refused(
                f"the face of {self.looked.username} is like that of {found.match.username} (distance "
                f"{found.match.distance:.2f}): one person must not have two names. Where they are two people, twins "
                "perhaps, say --allow-duplicate"
            )
        return replace(found, is_refused=False)

    def check_and_tell(self, site: Site, database: Database, act: Act) -> None:
        """Do what `check` does within the act's own transaction, and leave word of a duplicate that is let pass."""
        with database.transaction() as session:
            match = self.check(session, act).match
            if match is not None:
                name = self.looked.username
                message = f"{author()} enrolled {name} with a face like that of {match.username}."
                body = {"by": author(), "like": match.username, "is_refused": False, "message": message}
                notifications_of(site, database).add(session, Event.DUPLICATE_FACE, name, body, act.now)


def compared(desk: Desk, site: Site, taken: tuple[EnrolledFace, float], act: Act, *, is_allowed: bool) -> TakenFace:
    """Compare a face, taken with an engine of this threshold, before the administrator is asked for more.

    Raises Refused as `TakenFace.check` does.
    """
    face, threshold = taken
    username = act.username or ""
    duplicates = duplicates_of(site, threshold)
    found = TakenFace(face, duplicates, duplicates.look(username, face.template), is_allowed)
    with site.database.read() as session:
        seen = found.check(session, act)
    if seen.match is not None:
        desk.output.warn(
            f"4auth-provision: warning: the face of {username} is like that of {seen.match.username} "
            f"(distance {seen.match.distance:.2f}); it is enrolled all the same"
        )
    if seen.skipped:
        accounts = "1 account" if seen.skipped == 1 else f"{seen.skipped} accounts"
        desk.output.warn(f"4auth-provision: warning: {accounts} had no template of today's model to compare with")
    return found


def duplicates_of(site: Site, threshold: float) -> Duplicates:
    """Return what compares faces by the site's policy."""
    measured = calibration_of(site.settings.face)
    return Duplicates(
        site.database,
        site.keyring.field,
        threshold,
        is_refused=site.settings.face.refuse_duplicates,
        **({} if measured is None else {"false_match_rate": measured.false_match_rate}),
    )
