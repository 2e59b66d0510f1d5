"""No secret in anything that a process writes, shows or carries: it is all searched after a run."""

import base64
import re
import sys
from contextlib import closing
from pathlib import Path

import pyotp
import pytest

from auth_client.errors import Refused
from auth_contract.actions import Action
from auth_server.keyring import KEY_FILES
from tests import postgres

WRONG_PASSWORD = "Loud badger 58"

_SABOTAGED = """
import sys
from auth_server import wsgi
from auth_server.authenticator import Authenticator
from auth_server.factors import totp

def spell_out(self, order, *_):
    claims = order.submission.claims
    raise RuntimeError(f"{claims.password} {claims.totp} {claims.frames!r}") from KeyError(claims.password)

def spell_secret(*, claim, enrolment, now):
    raise ValueError(f"{claim} {enrolment.totp_secret}")

if FACTOR:
    totp.verify = spell_secret
else:
    Authenticator._grant = spell_out
sys.exit(wsgi.main())
"""


def in_all_spellings(name: str, secret: str | bytes) -> dict[str, bytes]:
    """A secret as it is, in base64 and in hexadecimal."""
    data = secret.encode() if isinstance(secret, str) else secret
    return {
        name: data,
        f"{name} in base64": base64.b64encode(data).rstrip(b"="),
        f"{name} in base64url": base64.urlsafe_b64encode(data).rstrip(b"="),
        f"{name} in hexadecimal": data.hex().encode(),
        f"{name} as Python": repr(data)[2:-1].encode(),
    }


def key_secrets(house) -> dict[str, bytes]:
    """Every private key of the site and its kiosks: each line of a PEM file, or the key itself."""
    folder = house.site.folder
    files = [folder / "site" / "keys" / name for name in KEY_FILES]
    files += [folder / "site" / "tls" / "server.key", *folder.glob("kiosk-*/key/device.pem")]
    return {
        f"{path.name} line {number}": line
        for path in files
        for number, line in enumerate(path.read_bytes().splitlines())
        if line and not line.startswith(b"-----")
    }


def typed_secrets(person, codes: list[str], picture: Path) -> dict[str, bytes]:
    """What a person types, holds and shows."""
    jpeg = picture.read_bytes()
    return {
        **in_all_spellings("the password", person.password),
        **in_all_spellings("a wrong password", WRONG_PASSWORD),
        **in_all_spellings("the TOTP secret", person.secret),
        **in_all_spellings("the TOTP key", pyotp.TOTP(person.secret).byte_secret()),
        **in_all_spellings("the beginning of a picture", jpeg[:30]),
        **in_all_spellings("the middle of a picture", jpeg[3000:3030]),
        **{f"code {code}": code.encode() for code in codes},
    }


def found_in(text: bytes, secrets: dict[str, bytes]) -> list[str]:
    """The names of the secrets that a text holds. Six digits inside a longer number or word are no code."""
    return [
        name
        for name, secret in secrets.items()
        if (re.search(rb"(?<![\w.])" + secret + rb"(?!\w)", text) if secret.isdigit() else secret in text)
    ]


def database_files(server: postgres.Server) -> dict[str, bytes]:
    """All that PostgreSQL keeps, its write-ahead log too."""
    server.execute("CHECKPOINT")
    files = [path for path in server.data.rglob("*") if path.is_file()]
    return {str(path.relative_to(server.data)): path.read_bytes() for path in files}


def written_files(house) -> dict[str, bytes]:
    """All that the processes wrote into the site's folder: logs, store, WAL, checkpoints, settings."""
    folder = house.site.folder
    kept_secret = {*(folder / "site" / "keys").iterdir(), folder / "site" / "tls" / "server.key"}
    kept_secret |= {*folder.glob("kiosk-*/key/device.pem"), *folder.glob("kiosk-*/scene/*")}
    files = {path for path in folder.rglob("*") if path.is_file()} - kept_secret
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def of_process(pid: int) -> dict[str, bytes]:
    """What any user or an administrator can see of a process."""
    return {f"{pid} {name}": Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ")}


def test_a_run_with_a_grant_and_refusals_leaves_no_secret_anywhere(house, request):
    person = house.person()
    right, second, wrong = person.code(), person.code(), person.wrong_code()
    with house.kiosk_process() as kiosk:
        assert kiosk.enter(house.entry(person, right)).startswith("Welcome")
        assert kiosk.enter(house.entry(person, right)).startswith("Access denied")
        assert kiosk.enter(house.entry(person, wrong)).startswith("Access denied")
        assert kiosk.enter(house.entry(person, second, WRONG_PASSWORD)).startswith("Access denied")
        with closing(house.client()) as client:
            attempt = client.open_attempt(Action.LOGIN)
            submission = house.submission(attempt, person, second)
            token = client.submit(Action.LOGIN, submission, attempt.nonce).assertion
            with pytest.raises(Refused) as refused:
                client.submit(Action.LOGIN, submission, attempt.nonce)
        assert house.site.server is not None
        pids = [house.site.server.pid, *house.worker_pids(), kiosk.pid]
        shown = {name: text for pid in pids for name, text in of_process(pid).items()}
        shown["metrics"] = house.probe("/metrics")[1].encode()
        shown["readiness"] = house.probe("/readyz")[1].encode()
        shown["exception"] = repr(refused.value).encode() + str(refused.value).encode() + repr(submission).encode()
    shown["screen"] = "".join(kiosk.screen).encode()
    shown["audit log"] = "\n".join(map(repr, house.rows())).encode()
    shown |= written_files(house)
    store = {"site/store/4auth.db", "site/store/4auth.db-wal"}
    if postgres.IS_WANTED:
        store = {"PG_VERSION", "pg_hba.conf"}
        shown |= database_files(request.getfixturevalue("postgresql_server"))
    assert {"server.log", "kiosk-1/kiosk.log", *store} <= set(shown)

    secrets = typed_secrets(person, [right, second, wrong], house.picture) | key_secrets(house)
    secrets |= {"the assertion": token.encode(), "the assertion's signature": token.rpartition(".")[2].encode()}
    assert len(secrets) > 25
    assert {name: found for name, text in shown.items() if (found := found_in(text, secrets))} == {}


@pytest.mark.parametrize("in_a_factor", [True, False])
def test_an_unforeseen_error_that_spells_secrets_out_is_logged_without_them(house, in_a_factor):
    person = house.person()
    code = person.code()
    house.site.stop_server()
    house.site.start_server(sys.executable, "-c", _SABOTAGED.replace("FACTOR", str(in_a_factor)))
    try:
        before = house.site.server_log.stat().st_size
        with pytest.raises(Refused) as refused:
            house.login(person, code)
        lines = house.site.server_log.read_bytes()[before:]
    finally:
        house.site.stop_server()
    assert refused.value.status == (403 if in_a_factor else 500)
    (row, *others) = house.rows(person.name)
    assert not any(one.success for one in [row, *others])
    error = b"ValueError" if in_a_factor else b"RuntimeError"
    assert b'"incident"' in lines
    assert error in lines
    secrets = typed_secrets(person, [code], house.picture)
    assert found_in(lines, secrets) == []
    assert found_in(refused.value.reply.model_dump_json().encode(), secrets) == []
    assert found_in(repr(row).encode(), secrets) == []
