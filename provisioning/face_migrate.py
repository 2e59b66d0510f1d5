"""`4auth-provision face migrate`: everybody to another recognition model, with nobody locked out."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from auth_server.audit import AuditLog
from provisioning.act import Act, done_entry, refusals_recorded
from provisioning.desk import Desk, Site, shared_options, yes_option
from provisioning.errors import EXIT_REFUSED
from provisioning.face_options import chosen_settings
from provisioning.progress import Progress, progress
from provisioning.user_lookup import accounts_of

if TYPE_CHECKING:
    from auth_server.face_migration import FaceMigration
    from auth_server.settings import FaceSettings

_TURN_S: Final = 0.05
"""As long as a batch keeps others from writing, they have for themselves after it."""

_UNUSED_THRESHOLD: Final = 1.0
"""Nothing is compared here, and the new model may have no calibration yet."""


@click.command()
@click.option("--to", "recogniser", help="DeepFace's name of the new model.")
@click.option("--detector", help="Try this detector with it.  [default: as in the settings]")
@click.option("--finish", is_flag=True, help="Drop the templates of all models but the one in the settings.")
@yes_option
@shared_options
@click.pass_context
def migrate(context: click.Context, recogniser: str | None, detector: str | None, finish: bool, yes: bool) -> None:
    """Make templates of another model for everybody, beside those in use; nobody is locked out.

    Then set face.recogniser, restart every server, and end it with --finish. A run that was stopped goes on
    where it was.

    \b
    Example:
      4auth-provision face migrate --to Buffalo_L
    """
    if bool(recogniser) == finish or (detector and finish):
        raise click.UsageError("give --to and the new model's name, or --finish alone")
    desk: Desk = context.ensure_object(Desk)
    failed = _finish(desk, is_agreed=yes) if finish else _migrate(desk, recogniser, detector)
    if failed:
        context.exit(EXIT_REFUSED)


def _migrate(desk: Desk, recogniser: str | None, detector: str | None) -> list[str]:
    settings = chosen_settings(desk, None, recogniser, detector)
    act = Act("admin.face.migrate", desk.now(), detail={"recogniser": settings.recogniser})
    with desk.site() as opened, refusals_recorded(opened.database, act):
        jobs = _cores()
        loaded = settings.model_copy(
            update={"threshold": _UNUSED_THRESHOLD, "calibration": None, "presence": "off", "queue_max": jobs}
        )
        engine = desk.load_face_engine(loaded)
        migration = _migration(desk, opened, engine.model, jobs)
        count = migration.count()
        _record(desk, opened, act, step="begin", model=engine.model, accounts=count)
        bar: Progress[None] = progress(count, f"Making templates of {engine.model}")
        with bar:
            done = migration.migrate(engine.reembed, bar.advance)
        _record(desk, opened, act, step="end", model=engine.model, stored=done.stored, unreadable=len(done.failed))
    desk.output.say(f"{done.stored:,} templates of {engine.model} are made; those in use stay as they are.")
    for name in done.failed:
        desk.output.warn(f"The enrolled picture of {name} cannot be read: {name} has to be enrolled anew.")
    _tell_next(desk, settings)
    desk.output.result({"model": engine.model, "stored": done.stored, "unreadable": done.failed})
    return done.failed


def _finish(desk: Desk, *, is_agreed: bool) -> list[str]:
    from auth_server.face.pipeline import model_name

    settings = desk.settings.face
    model = model_name(settings.recogniser)
    act = Act("admin.face.migrate", desk.now(), detail={"recogniser": settings.recogniser, "finish": True})
    with desk.site() as opened, refusals_recorded(opened.database, act):
        migration = _migration(desk, opened, model)
        count = len(migration.accounts.with_other_models(model))
        if count:
            question = f"Of {count:,} accounts the templates of all models but {model} go. Does every server run it?"
            desk.confirm(question, is_agreed=is_agreed)
        _record(desk, opened, act, step="begin", model=model, accounts=count)
        bar: Progress[None] = progress(count, "Dropping old templates")
        with bar:
            changed = migration.finish(bar.advance, lambda: desk.pause(_TURN_S))
        left = migration.accounts.without_template(model)
        _record(desk, opened, act, step="end", model=model, changed=changed, left=len(left))
    desk.output.say(f"{changed:,} accounts have templates of {model} alone.")
    if left:
        desk.output.warn(
            f"{len(left):,} have none of it yet and keep what they have: `4auth-provision face migrate --to "
            f"{settings.recogniser}`, or their next login, makes one; then finish again."
        )
    desk.output.result({"model": model, "changed": changed, "left": left})
    return left


def _migration(desk: Desk, site: Site, model: str, jobs: int = 1) -> "FaceMigration":
    from auth_server.face_migration import FaceMigration

    return FaceMigration(database=site.database, accounts=accounts_of(site), model=model, now=desk.now, jobs=jobs)


def _record(desk: Desk, site: Site, act: Act, **more: object) -> None:
    AuditLog(site.database).record(done_entry(replace(act, detail={**act.detail, **more})), desk.now())


def _cores() -> int:
    from auth_server.face.crew import cores

    return cores()


def _tell_next(desk: Desk, settings: "FaceSettings") -> None:
    from auth_server.errors import SettingsRefused
    from auth_server.face.thresholds import thresholds_of

    try:
        thresholds_of(settings)
    except SettingsRefused as error:
        desk.output.warn(f"Before you take it into use: {error}")
    desk.output.say(
        f'Next: set face.recogniser = "{settings.recogniser}", restart every server, then: '
        "4auth-provision face migrate --finish"
    )
