"""Where a site's store is: an encrypted file of its own, or a database of a PostgreSQL server."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_PORT: Final = 5432
_HOST: Final = r"^(/[^,:]+(:[0-9]{1,5})?|\[[0-9a-fA-F:]+\](:[0-9]{1,5})?|[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?)$"


class Postgresql(BaseModel):
    """A database of a PostgreSQL server, or of one of several that replicate each other."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["postgresql"]
    hosts: tuple[Annotated[str, Field(pattern=_HOST)], ...] = Field(
        min_length=1,
        max_length=8,
        description="Servers as host, host:port or [address]:port, or the folder of a socket, with :port too; the one "
        "that may be written to is taken, in this order",
    )
    name: str = Field(default="fourauth", pattern=r"^[A-Za-z0-9_.-]{1,63}$", description="The database on that server")
    user: str = Field(default="fourauth", pattern=r"^[A-Za-z0-9_.-]{1,63}$")
    password_file: Path | None = Field(
        default=None, description="File that holds the password alone, read anew for each connection"
    )
    root_certificate: Path | None = Field(
        default=None, description="PEM file by which the servers' certificates and names are proved"
    )
    connections: int = Field(default=16, ge=2, le=200, description="Of each worker process at the most")

    @model_validator(mode="after")
    def _proves_what_is_far(self) -> "Postgresql":
        far = [host for host in self.hosts if not _is_near(host)]
        if far and self.root_certificate is None:
            raise ValueError(
                f"hosts = {far}: outside this machine TLS is required; name root_certificate, the PEM file by which "
                "the servers' certificates are proved"
            )
        return self

    def __str__(self) -> str:
        """For a sentence."""
        return f"the database {self.name} on {', '.join(self.hosts)}"

    @property
    def parameters(self) -> dict[str, Any]:
        """What libpq is told of it, without the password."""
        names, ports = zip(*map(_parts, self.hosts), strict=True)
        told: dict[str, Any] = {
            "host": ",".join(names),
            "port": ",".join(map(str, ports)),
            "dbname": self.name,
            "user": self.user,
            "sslmode": "prefer" if self.root_certificate is None else "verify-full",
        }
        return told if self.root_certificate is None else {**told, "sslrootcert": str(self.root_certificate)}


def _parts(host: str) -> tuple[str, int]:
    name, _, port = host.rpartition(":") if host.count(":") == 1 or "]:" in host else (host, "", "")
    return name.strip("[]"), int(port or _PORT)


def _is_near(host: str) -> bool:
    name, _ = _parts(host)
    if name.startswith("/") or name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["sqlcipher"]
    path: Path


def _file(value: object) -> object:
    if isinstance(value, dict) and value.get("kind") == "sqlcipher":
        return _File.model_validate(value).path
    return value


Location = Annotated[Path | Postgresql, BeforeValidator(_file)]
"""A SQLCipher file by its path, or a PostgreSQL database."""


def store_at(location: Location) -> str:
    """Return a location as the subject of a sentence, which a path alone is not."""
    return f"the store {location}" if isinstance(location, Path) else str(location)
