"""The one place where the server's parts are chosen and wired."""

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from auth_server.accounts import Accounts
from auth_server.admins import Admins
from auth_server.asking import Asking
from auth_server.assertions import Assertions
from auth_server.attempts import Attempts
from auth_server.audit import AuditLog
from auth_server.authenticator import Authenticator
from auth_server.changes import Changes
from auth_server.checkpoints import Checkpoints
from auth_server.due_changes import DueChanges
from auth_server.duplicates import Duplicates
from auth_server.effects import Effects
from auth_server.errors import SettingsRefused
from auth_server.exemptions import Exemptions
from auth_server.face.engine import FaceEngine
from auth_server.face.thresholds import calibration_of
from auth_server.gateways import Gateways
from auth_server.housekeeping import Chore, Housekeeping
from auth_server.judging import Judge
from auth_server.keyring import Keyring
from auth_server.kiosks import Kiosks
from auth_server.lockouts import Lockouts
from auth_server.notifications import Notifications
from auth_server.notifier import Notifier, backend_of
from auth_server.password_policy import hash_password
from auth_server.retention import Retention
from auth_server.row_budget import RowBudget
from auth_server.servers import Servers
from auth_server.services import Services
from auth_server.settings import ServerSettings
from auth_server.settings_file import load_settings as load_settings
from auth_server.shared_keys import refuse_other_assertion_key
from auth_server.signature import SignatureCheck
from auth_server.snapshots import Snapshots
from auth_server.store.clock import clock_of
from auth_server.store.database import Database, open_database
from auth_server.tickets import Tickets
from auth_server.timesource import TimeSource


def new_token() -> str:
    """128 random bits as 22 characters of base64url."""
    return secrets.token_urlsafe(16)


def refuse_loose_threshold(settings: ServerSettings) -> None:
    """Raise SettingsRefused for a production threshold that lets in more strangers than was measured for 1e-4."""
    measured = calibration_of(settings.face)
    threshold = settings.face.threshold
    if settings.environment == "production" and measured and threshold is not None and threshold > measured.threshold:
        raise SettingsRefused(
            f"face.threshold = {threshold}: above {measured.threshold}, the distance measured for one false match in "
            f"10,000 with face.recogniser = {settings.face.recogniser!r}: lower it, or leave it out"
        )


def build(settings: ServerSettings) -> Services:
    """Open the store, load the models and wire one worker's services.

    Raises StartRefused or StoreError; nothing is created that was missing.
    """
    refuse_loose_threshold(settings)
    keyring = Keyring.load(settings.store.keys)
    database = open_database(settings.store.database, keyring)
    refuse_other_assertion_key(database, keyring)
    face_engine = FaceEngine(settings.face)
    time = TimeSource(settings.time, shared=None if database.is_file else lambda: clock_of(database))
    time.start()
    return wire(settings, Opened(keyring, database, face_engine, time))


@dataclass(frozen=True, slots=True)
class Opened:
    """What is opened before the parts are wired: the only things that tests put others in the place of."""

    keyring: Keyring
    database: Database
    face_engine: FaceEngine
    time: TimeSource
    hash_password: Callable[[str], bytes] = hash_password


def _retention(settings: ServerSettings, database: Database, audit: AuditLog) -> dict[str, Chore]:
    days = settings.audit.keep_details_days
    return {} if days is None else {"details": Retention(database, audit, days).run}


def _duplicates(settings: ServerSettings, opened: Opened) -> Duplicates:
    measured = calibration_of(settings.face)
    return Duplicates(
        opened.database,
        opened.keyring.field,
        opened.face_engine.threshold,
        is_refused=settings.face.refuse_duplicates,
        **({} if measured is None else {"false_match_rate": measured.false_match_rate}),
    )


def wire(settings: ServerSettings, opened: Opened) -> Services:
    """Return one worker's services over what is open."""
    keyring, database, face_engine, time = opened.keyring, opened.database, opened.face_engine, opened.time
    accounts = Accounts(
        database,
        keyring.field,
        face_engine.model,
        embedding_size=face_engine.embedding_size,
        is_following=settings.face.follow,
        make_hash=opened.hash_password,
    )
    accounts.prepare_decoy()  # now, or the first unknown name would take longer than a known one
    lockouts, audit = Lockouts(database), AuditLog(database)
    kiosks, attempts = Kiosks(database), Attempts(database, new_token)
    gateways = Gateways(database, settings.gateway)
    admins, tickets, exemptions = Admins(database), Tickets(database), Exemptions(database)
    changes = Changes(database, keyring.field, new_token)
    assertions = Assertions(keyring.assertion, settings.site)
    executor = ThreadPoolExecutor(max_workers=settings.listen.threads, thread_name_prefix="password")
    row_budget, every_s = RowBudget(), settings.store.checkpoint_every_s
    notifications = Notifications(database, is_kept=settings.notify.kind != "none")
    snapshots = Snapshots(database, keyring.field, settings.face.keep_refused_days)
    policies = settings.actions.policies()
    effects = Effects(
        site=settings.site,
        accounts=accounts,
        admins=admins,
        tickets=tickets,
        changes=changes,
        duplicates=_duplicates(settings, opened),
        lockouts=lockouts,
        notifications=notifications,
        assertions=assertions,
        policies=policies,
        kiosks=kiosks,
        hash_password=opened.hash_password,
        follow_within=face_engine.threshold if settings.face.follow else None,
    )
    return Services(
        site=settings.site,
        database=database,
        accounts=accounts,
        kiosks=kiosks,
        attempts=attempts,
        asking=Asking(
            policies=policies,
            count=settings.face.movements if settings.face.is_active else 0,
            exemptions=exemptions.of,
            rng=secrets.SystemRandom(),
        ),
        audit=audit,
        assertions=assertions,
        face_engine=face_engine,
        signatures=SignatureCheck(kiosks.find, lets_gateways_in=settings.gateway.enabled),
        gateways=gateways,
        authenticator=Authenticator(
            database=database,
            accounts=accounts,
            changes=changes,
            lockouts=lockouts,
            audit=audit,
            judge=Judge(
                database=database,
                accounts=accounts,
                admins=admins,
                tickets=tickets,
                exemptions=exemptions,
                gateways=gateways,
                face_engine=face_engine,
                executor=executor,
            ),
            effects=effects,
            snapshots=snapshots,
            policies=policies,
        ),
        time=time,
        row_budget=row_budget,
        executor=executor,
        notifier=Notifier(
            notifications=notifications, backend=backend_of(settings.notify), site=settings.site, time=time
        ),
        housekeeping=Housekeeping(
            audit=audit,
            checkpoints=Checkpoints.of(settings.store, keyring.audit),
            chores={
                "attempts": attempts.prune,
                "lockouts": lockouts.prune,
                "changes": changes.prune,
                "snapshots": snapshots.prune,
                "tickets": tickets.prune,
                **({} if database.is_file else {"servers": Servers(database, keyring, every_s=every_s).note}),
            },
            whole_log_chores={
                "due_changes": DueChanges(database, changes, effects, audit).put_in_force,
                **_retention(settings, database, audit),
            },
            row_budget=row_budget,
            time=time,
            every_s=every_s,
        ),
    )
