"""The schema's version: alembic's migrations, run by this program and never by hand."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from auth_server.errors import StoreError
from auth_server.keyring import FieldCipher
from auth_server.store.location import Location

_MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(connection: Connection, cipher: FieldCipher) -> None:
    """Run every migration that is missing, in the caller's transaction; `cipher` opens what one has to seal anew."""
    config = _config()
    config.attributes.update(cipher=cipher, connection=connection)
    command.upgrade(config, "head")


def check_current(connection: Connection, location: Location) -> None:
    """Raise StoreError unless the database has exactly this program's schema."""
    found = MigrationContext.configure(connection).get_current_revision()
    wanted = head()
    if found == wanted:
        return
    refuse_newer(connection, location)
    raise StoreError(
        f"{location} has schema {found or 'none'}, this program needs {wanted}: back it up, stop the server and run "
        "`4auth-provision site upgrade`"
    )


def refuse_newer(connection: Connection, location: Location) -> None:
    """Raise StoreError for a schema that this program does not know: a later one made it."""
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and not is_known(found):
        raise StoreError(
            f"{location} has schema {found}, which is newer than this program's {head()}: install the newer program"
        )


def head() -> str:
    """Return the revision that this program's databases have."""
    found = ScriptDirectory.from_config(_config()).get_current_head()
    if found is None:
        raise StoreError("this program has no migrations: install it again")
    return found


def is_known(revision: str) -> bool:
    """Whether a revision is this program's or an earlier one, from which it can migrate."""
    return revision in {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
