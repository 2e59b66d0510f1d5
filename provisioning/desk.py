"""What every command shares: the options that all have, the opened site, and the clock."""

import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from auth_server.audit import AuditLog
from auth_server.checkpoints import Checkpoints
from auth_server.errors import StoreAway, StoreError
from auth_server.keyring import Keyring
from auth_server.settings import FaceSettings, ServerSettings
from auth_server.settings_file import load_settings
from auth_server.store.database import Database, open_database
from provisioning.camera import take_pictures
from provisioning.errors import NotOpened
from provisioning.output import Output
from provisioning.params import ADMIN_NAME

if TYPE_CHECKING:
    from auth_server.face.engine import FaceEngine

DEFAULT_SETTINGS = Path("/etc/4auth/server.toml")
Command = TypeVar("Command", bound=Callable[..., Any])


def utc_now() -> datetime:
    """Return the operating system's time."""
    return datetime.now(UTC)


def load_face_engine(settings: FaceSettings) -> "FaceEngine":
    """Load the face models. Raises ModelsRefused when one is missing or another."""
    # Imported on use: the face libraries take half a second that most commands need not wait for.
    from auth_server.face.engine import FaceEngine

    return FaceEngine(settings)


@contextmanager
def opening() -> Iterator[None]:
    """Raise NotOpened for a store that fails inside: unlike a later failure, it must be mended first."""
    try:
        yield
    except StoreAway:
        raise
    except StoreError as error:
        raise NotOpened(str(error)) from error


@dataclass(frozen=True, slots=True)
class Site:
    """An opened site: its settings, its keys and its store."""

    settings: ServerSettings
    keyring: Keyring
    database: Database


@dataclass(slots=True)
class Desk:
    """One run of the command. Tests pass their own, with another clock, engine or camera."""

    settings_path: Path = field(default_factory=lambda: Path(os.environ.get("FOURAUTH_SETTINGS", DEFAULT_SETTINGS)))
    output: Output = field(default_factory=Output)
    now: Callable[[], datetime] = utc_now
    load_face_engine: Callable[[FaceSettings], "FaceEngine"] = load_face_engine
    take_pictures: Callable[[int], list[bytes]] = take_pictures
    pause: Callable[[float], None] = time.sleep
    acting_name: str | None = None
    secret_file: Path | None = None

    @property
    def settings(self) -> ServerSettings:
        """The server's settings. Raises SettingsRefused naming field, value and rule."""
        return load_settings(self.settings_path)

    @contextmanager
    def site(self) -> Iterator[Site]:
        """Open the site that the settings name, and close it on leaving.

        Raises StartRefused or NotOpened when it cannot be opened; nothing is created.
        """
        settings = self.settings
        keyring = Keyring.load(settings.store.keys)
        with opening():
            database = open_database(settings.store.database, keyring, is_patient=True)
        log = AuditLog(database)
        try:
            head = log.head()
            try:
                yield Site(settings, keyring, database)
            finally:
                if log.head() != head:
                    self._sign(Checkpoints.of(settings.store, keyring.audit), log)
        finally:
            database.close()

    def _sign(self, checkpoints: Checkpoints, log: AuditLog) -> None:
        """Sign what this run added. The act itself stands, so a fault is told and changes nothing."""
        try:
            checkpoints.write(log, self.now())
        except StoreError as error:
            self.output.warn(f"4auth-provision: warning: {error}")

    def confirm(self, question: str, *, is_agreed: bool) -> None:
        """Ask before something is taken from somebody; `--yes` has agreed already.

        Raises click.Abort (exit 1) when the answer is no or nobody can answer.
        """
        if not is_agreed:
            click.confirm(question, abort=True, err=True)


def _set_json(context: click.Context, _option: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Desk).output.is_json = True


def _set_settings(context: click.Context, _option: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.ensure_object(Desk).settings_path = value


def _set_name(context: click.Context, _option: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Desk).acting_name = value


def _set_secret_file(context: click.Context, _option: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.ensure_object(Desk).secret_file = value


def shared_options(command: Command) -> Command:
    """Give a command the options that all have, which may stand before or after its name."""
    command = click.option(
        "--secret-file",
        type=click.Path(path_type=Path, dir_okay=False),
        expose_value=False,
        is_eager=True,
        callback=_set_secret_file,
        help="With --as: holds the secret alone, mode 0600.  [default: ask for it]",
    )(command)
    command = click.option(
        "--as",
        type=ADMIN_NAME,
        metavar="NAME",
        expose_value=False,
        is_eager=True,
        callback=_set_name,
        help="Act as this administrator, whose secret is asked for; the audit log then names them.",
    )(command)
    command = click.option(
        "--settings",
        type=click.Path(path_type=Path, dir_okay=False),
        expose_value=False,
        is_eager=True,
        callback=_set_settings,
        help="The server's settings file.  [default: $FOURAUTH_SETTINGS, else /etc/4auth/server.toml]",
    )(command)
    return click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_set_json,
        help="One JSON document on standard output; sentences go to standard error.",
    )(command)


def yes_option(command: Command) -> Command:
    """Give a command `--yes`, for scripts that have made up their mind."""
    return click.option("--yes", is_flag=True, help="Do not ask.")(command)


def pass_desk(function: Callable[..., Any]) -> Callable[..., Any]:
    """Pass the run's desk as first argument."""

    @functools.wraps(function)
    def with_desk(*args: Any, **kwargs: Any) -> Any:
        return function(click.get_current_context().ensure_object(Desk), *args, **kwargs)

    return with_desk
