"""Acting under a name: `--as NAME` with the administrator's secret, before any command runs.

Names say who did what. They hold back nobody who has the keys: whoever may read those needs no program.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from auth_server.admin_tries import AdminTries
from auth_server.admins import Admins
from auth_server.audit import AuditLog
from auth_server.domain import AuditEntry
from auth_server.errors import SettingsRefused
from auth_server.store.database import Database
from provisioning.act import REFUSED, acting_as, administrator
from provisioning.desk import Desk
from provisioning.errors import Refused
from provisioning.passwords import read_closed
from provisioning.roles import MAY_RUN, NAMELESS

ACTION: Final = "admin.as"
PACE_S: Final = 1.0
"""How long a wrong secret takes, whatever was wrong."""


def guard(group: click.Group, path: tuple[str, ...] = ()) -> None:
    """Let every command of the program, however deep, first ask who runs it."""
    for name, command in group.commands.items():
        here = (*path, name)
        if isinstance(command, click.Group):
            guard(command, here)
        elif command.callback is not None:
            command.callback = _guarded(" ".join(here), command.callback)


def _guarded(command: str, callback: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(callback)
    def run(*args: Any, **kwargs: Any) -> Any:
        with _allowed(click.get_current_context().ensure_object(Desk), command):
            return callback(*args, **kwargs)

    return run


@contextmanager
def _allowed(desk: Desk, command: str) -> Iterator[None]:
    name = desk.acting_name
    if name is None:
        _check_nameless(desk, command)
        yield
        return
    if command in NAMELESS:
        raise click.UsageError(f"`{command}` runs under no name: leave out --as")
    secret = _secret(desk)
    with desk.site() as opened:
        _authenticate(desk, opened.database, name, secret)
        _check_role(desk, opened.database, name, command)
    with acting_as(name):
        yield


def _check_nameless(desk: Desk, command: str) -> None:
    if desk.secret_file is not None:
        raise click.UsageError("--secret-file says whose secret it is by --as NAME")
    if command not in NAMELESS and _is_name_required(desk):
        raise Refused(
            f"`{command}` needs --as NAME here (administration.require_name = true). Where no administrator's secret "
            "is known, or the database does not open, set that to false in the settings for as long as it takes"
        )


def _is_name_required(desk: Desk) -> bool:
    try:
        return desk.settings.administration.require_name
    except SettingsRefused:
        return False  # no site opens without settings, and the command says what is wrong with them


def _secret(desk: Desk) -> str:
    if desk.secret_file is not None:
        return _first_line(desk.secret_file)
    return str(click.prompt(f"Secret of {desk.acting_name}", hide_input=True, err=True))


def _first_line(file: Path) -> str:
    try:
        return (read_closed(file, "the secret").decode("ascii").splitlines() or [""])[0]
    except UnicodeDecodeError:
        raise Refused(f"{file} holds no administrator's secret: 25 letters and digits") from None


def _authenticate(desk: Desk, database: Database, name: str, secret: str) -> None:
    tries, now = AdminTries(database), desk.now()
    until = tries.begin(name, now)
    if until is not None:
        _refuse(desk, database, name, f"too many wrong secrets of {name}: try again at {until:%Y-%m-%dT%H:%M:%SZ}")
    found = Admins(database).find_by_secret(secret)
    if found is None or found.name != name:
        desk.pause(PACE_S)
        _refuse(desk, database, name, f"no administrator {name} has this secret: `4auth-provision admin list`")
    tries.succeeded(name)


def _check_role(desk: Desk, database: Database, name: str, command: str) -> None:
    found = Admins(database).find(name)
    if found is None or command not in MAY_RUN[found.role]:
        role = "no administrator any more" if found is None else found.role.value
        _refuse(desk, database, name, f"{name} is {role} and may not run `{command}`", {"command": command})


def _refuse(desk: Desk, database: Database, name: str, why: str, more: Mapping[str, object] | None = None) -> NoReturn:
    """Write the row, then raise Refused."""
    entry = AuditEntry(
        action=ACTION,
        success=False,
        outcome_reason=REFUSED,
        username=name,
        kiosk_id=None,
        source_address=None,
        detail={"administrator": administrator(), "why": why, **(more or {})},
    )
    AuditLog(database).record(entry, desk.now())
    raise Refused(why)
