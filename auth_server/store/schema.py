"""The schema's version: alembic's migrations, run by this program and never by hand."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from auth_server.errors import StoreError

_MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(engine: Engine) -> None:
    """Run every migration that is missing, in one transaction."""
    config = _config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def check_current(connection: Connection, path: Path) -> None:
    """Raise StoreError unless the database has exactly this program's schema."""
    found = MigrationContext.configure(connection).get_current_revision()
    scripts = ScriptDirectory.from_config(_config())
    head = scripts.get_current_head()
    if found == head:
        return
    known = {script.revision for script in scripts.walk_revisions()}
    if found is None or found in known:
        raise StoreError(
            f"{path} has schema {found or 'none'}, this program needs {head}: back it up, stop the server and run "
            "`4auth-provision site upgrade`"
        )
    raise StoreError(f"{path} has schema {found}, which is newer than this program's {head}: install the newer program")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
