"""`4auth-provision store`: move the site's store to another place, and see which servers share it."""

from contextlib import closing
from pathlib import Path

import click

from auth_server.checkpoints import Checkpoints
from auth_server.keyring import Keyring
from auth_server.servers import SHARED_KINDS, Servers
from auth_server.store.location import Location, Postgresql
from provisioning.desk import Desk, opening, pass_desk, shared_options, yes_option
from provisioning.location_url import POSTGRESQL_URL, with_password
from provisioning.store_move import Move, Moved
from provisioning.store_move import give_up as end_move
from provisioning.store_switch import name_store, restart_servers, store_line
from provisioning.store_target import open_source

_NEW_FILE = click.Path(path_type=Path, dir_okay=False, resolve_path=True)
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True, resolve_path=True)


@click.group()
def store() -> None:
    """Move the site's store to another place, and see which servers share it.

    \b
    Example:
      4auth-provision store migrate --to postgresql://fourauth@db-1.example/fourauth
    """


@store.command()
@click.option("--to", type=POSTGRESQL_URL, help="An empty PostgreSQL database.")
@click.option("--to-file", type=_NEW_FILE, help="A new SQLCipher file: the way back from PostgreSQL.")
@click.option("--password-file", type=_FILE, help="With --to: holds the password of its user alone.")
@click.option("--restart", metavar="COMMAND", help="Run this at the switch, such as 'systemctl restart 4auth-server'.")
@click.option("--give-up", is_flag=True, help="Take back what a move that did not end has left in the present store.")
@yes_option
@shared_options
@pass_desk
def migrate(
    desk: Desk,
    to: Postgresql | None,
    to_file: Path | None,
    password_file: Path | None,
    restart: str | None,
    give_up: bool,
    yes: bool,
) -> None:
    """Move the store to another place, while servers go on with this one.

    All rows are copied as they are, sealed ones too; then every secret of the copy is opened and the whole log
    verified. Only then, for some seconds, nobody is let in: the rest is brought, the old store is closed for good, and
    the settings file names the new one. Servers must be started with it then. A run that was killed is gone on with
    by the same command; one that is not to be gone on with is taken back by --give-up, and what was copied may be
    dropped then. From PostgreSQL to a file nobody is let in for as long as the copy takes.

    \b
    Example:
      4auth-provision store migrate --to postgresql://fourauth@db-1.example/fourauth?sslrootcert=/etc/4auth/db-ca.pem \\
        --password-file /etc/4auth/keys/postgresql.password --restart 'systemctl restart 4auth-server'
    """
    if (to is not None) + (to_file is not None) + give_up != 1:
        raise click.UsageError("name one place: --to URL, or --to-file FILE; or --give-up alone")
    if give_up:
        _give_up(desk)
        return
    place: Location = with_password(to, password_file) if to is not None else to_file or Path()
    if str(desk.settings.store.database) == str(place):
        desk.output.say(f"{desk.settings_path} names {place} already: nothing is to be moved.")
        _restart(desk, restart)
        desk.output.result({"to": str(place)})
        return
    done = _moved(desk, place, restart, is_agreed=yes)
    desk.output.say(
        f"Moved: {done.accounts} accounts and {done.rows} rows of the log are in {place}, and every secret opens. "
        f"The switch took {done.waited_s:.1f} s."
    )
    desk.output.result({"to": str(place), "accounts": done.accounts, "rows": done.rows, "waited_s": done.waited_s})


@store.command()
@shared_options
@pass_desk
def servers(desk: Desk) -> None:
    """List the servers that live and share this database, with the keys that each uses.

    Each tells of itself once a minute. Where one uses another key than the others, its key files are to be copied
    from them. An embedded store has one server, which tells nothing.

    \b
    Example:
      4auth-provision store servers
    """
    with desk.site() as opened:
        found = Servers(opened.database, opened.keyring).living(desk.now())
    desk.output.table(
        ("HOST", "KEYS IN", "HEARD", *(f"{kind.upper()} KEY" for kind in SHARED_KINDS)),
        [
            (
                server.host,
                server.folder,
                f"{server.seen_at:%H:%M:%SZ}",
                *(server.uses(kind) or "-" for kind in SHARED_KINDS),
            )
            for server in found
        ],
    )
    desk.output.result(
        {
            "servers": [
                {
                    "host": server.host,
                    "folder": server.folder,
                    "seen_at": server.seen_at.isoformat(),
                    "keys": server.keys,
                }
                for server in found
            ]
        }
    )


def _moved(desk: Desk, place: Location, restart: str | None, *, is_agreed: bool) -> Moved:
    settings, line = desk.settings, store_line(desk.settings_path)
    keyring = Keyring.load(settings.store.keys)

    def switch() -> None:
        name_store(desk.settings_path, line, place)
        _restart(desk, restart)

    with opening():
        source = open_source(settings.store.database, keyring, place)
    with closing(source):
        desk.confirm(f"Move the store of {settings.site} to {place}?", is_agreed=is_agreed)
        return Move(
            source=source,
            to=place,
            keyring=keyring,
            checkpoints=Checkpoints.of(settings.store, keyring.audit),
            now=desk.now,
            say=desk.output.say,
            switch=switch,
        ).run()


def _restart(desk: Desk, command: str | None) -> None:
    if command is None:
        desk.output.say("Start every server anew now, with these settings: until then nobody is let in.")
    else:
        restart_servers(command)


def _give_up(desk: Desk) -> None:
    with desk.site() as opened:
        was_leaving = end_move(opened.database)
    place = desk.settings.store.database
    desk.output.say(f"The move of {place} is given up." if was_leaving else f"No move of {place} is under way.")
    desk.output.result({"given_up": was_leaving})
