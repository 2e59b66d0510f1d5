"""Where a store may be, as the settings say it, and what libpq is told of it."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from auth_server.store.location import Location, Postgresql

LOCATION: TypeAdapter[Location] = TypeAdapter(Location)
ROOT = "/etc/4auth/keys/db-ca.pem"


def read(**members: object) -> Location:
    return LOCATION.validate_python({"kind": "postgresql", **members})


@pytest.mark.parametrize("told", ["/var/lib/4auth/4auth.db", {"kind": "sqlcipher", "path": "/var/lib/4auth/4auth.db"}])
def test_a_file_is_named_by_its_path_alone_or_in_a_table(told: object) -> None:
    assert LOCATION.validate_python(told) == Path("/var/lib/4auth/4auth.db")


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [
        ("db-1.example", "db-1.example", "5432"),
        ("db-1.example:5433", "db-1.example", "5433"),
        ("192.0.2.7", "192.0.2.7", "5432"),
        ("[2001:db8::7]", "2001:db8::7", "5432"),
        ("[2001:db8::7]:5433", "2001:db8::7", "5433"),
        ("/run/postgresql", "/run/postgresql", "5432"),
        ("/run/postgresql:5433", "/run/postgresql", "5433"),
    ],
)
def test_libpq_is_told_each_host_with_its_port(host: str, name: str, port: str) -> None:
    place = read(hosts=["localhost", host], root_certificate=ROOT)
    assert isinstance(place, Postgresql)
    told = place.parameters
    assert (told["host"], told["port"]) == (f"localhost,{name}", f"5432,{port}")


@pytest.mark.parametrize("host", ["db-1.example", "192.0.2.7", "[2001:db8::7]:5433", "localhost.example", "128.0.0.1"])
def test_another_machine_is_spoken_to_by_tls_alone(host: str) -> None:
    with pytest.raises(ValidationError, match="outside this machine TLS is required; name root_certificate"):
        read(hosts=["localhost", host])
    place = read(hosts=["localhost", host], root_certificate=ROOT)
    assert isinstance(place, Postgresql)
    assert (place.parameters["sslmode"], place.parameters["sslrootcert"]) == ("verify-full", ROOT)


@pytest.mark.parametrize("host", ["/run/postgresql", "localhost", "localhost:5433", "127.0.0.1", "127.8.0.1", "[::1]"])
def test_this_machine_needs_no_certificate(host: str) -> None:
    assert isinstance(read(hosts=[host]), Postgresql)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"hosts": []},
        {"hosts": ["localhost"] * 9},
        {"hosts": [""]},
        {"hosts": ["localhost,db-2"]},
        {"hosts": ["localhost:"]},
        {"hosts": ["localhost:123456"]},
        {"hosts": ["local host"]},
        {"hosts": ["2001:db8::7"], "root_certificate": ROOT},
        {"hosts": ["localhost"], "name": "a b"},
        {"hosts": ["localhost"], "name": ""},
        {"hosts": ["localhost"], "user": "ann'; --"},
        {"hosts": ["localhost"], "password": "in the settings"},
        {"hosts": ["localhost"], "sslmode": "disable"},
        {"hosts": ["localhost"], "connections": 1},
        {"hosts": ["localhost"], "connections": 201},
    ],
)
def test_anything_else_is_refused(members: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        read(**members)


def test_another_kind_is_refused() -> None:
    with pytest.raises(ValidationError):
        LOCATION.validate_python({"kind": "mysql", "hosts": ["localhost"]})
