"""A PostgreSQL database as administrators spell it: `postgresql://USER@HOST[,HOST...]/NAME`."""

from pathlib import Path
from typing import Final

import click
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import ValidationError

from auth_server.store.location import Postgresql

_TAKEN: Final = {"host", "port", "dbname", "user", "sslrootcert"}
_IN_QUERY: Final = {"host", "port", "sslrootcert"}
_MAX_PORT: Final = 65535
_EXAMPLE: Final = "postgresql://fourauth@db-1.example,db-2.example/fourauth"


class _Url(click.ParamType[Postgresql]):
    name = "URL"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Postgresql:
        if isinstance(value, Postgresql):
            return value
        try:
            return _location(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


POSTGRESQL_URL: Final = _Url()
"""An option's value, read as a `Postgresql` that has no password file yet."""


def with_password(location: Postgresql, password_file: Path | None) -> Postgresql:
    """Return the same database, with the file that holds its user's password."""
    return location if password_file is None else location.model_copy(update={"password_file": password_file})


def _location(url: str) -> Postgresql:
    """Read an address. No message repeats it, since a password may stand in it wherever it is misspelt."""
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError(f"it is no address of a database: write it as {_EXAMPLE}")
    try:
        told = conninfo_to_dict(url)
    except ProgrammingError:
        taken = ", ".join(sorted(_IN_QUERY))
        raise ValueError(f"it is misspelt: write it as {_EXAMPLE}, with {taken} alone behind a `?`") from None
    if "password" in told:
        raise ValueError("a password in an address can be seen by all: put it into a file, and name that")
    if unknown := sorted(told.keys() - _TAKEN):
        raise ValueError(f"{', '.join(unknown)} is not taken from an address: name it in the settings")
    certificate = told.get("sslrootcert")
    wanted = {
        "name": told.get("dbname"),
        "user": told.get("user"),
        "root_certificate": None if certificate is None else Path(str(certificate)).absolute(),
    }
    hosts = _hosts(str(told.get("host", "localhost")).split(","), str(told.get("port", "")).split(","))
    try:
        return Postgresql(
            kind="postgresql", hosts=hosts, **{key: value for key, value in wanted.items() if value is not None}
        )
    except ValidationError as error:
        raise ValueError("; ".join(_told(one["loc"], one["msg"]) for one in error.errors()[:1])) from None


def _told(place: tuple[int | str, ...], message: str) -> str:
    """What is wrong with one part, without the rule's own notation."""
    if place[:1] == ("hosts",):
        return f"its hosts or ports are not as in {_EXAMPLE}"
    return ".".join(map(str, place)) + f": {message}" if place else message


def _hosts(names: list[str], ports: list[str]) -> tuple[str, ...]:
    ports = ports * len(names) if len(ports) == 1 else ports
    if len(ports) != len(names):
        raise ValueError(f"it has {len(ports)} ports for {len(names)} hosts: name one port, or one for each host")
    for port in ports:
        if port.isascii() and port.isdigit() and not 1 <= int(port) <= _MAX_PORT:
            raise ValueError(f"{port} is no port: name one from 1 to {_MAX_PORT}")
    return tuple(map(_host, names, ports))


def _host(name: str, port: str) -> str:
    spelt = f"[{name}]" if ":" in name and not name.startswith("/") else name
    return f"{spelt}:{port}" if port else spelt
