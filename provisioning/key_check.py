"""Proving that every secret of a site opens, row by row, and that its keys belong to each other."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509 import load_pem_x509_certificate
from sqlalchemy import func, select

from auth_server.audit_chain import Checkpoint
from auth_server.checkpoints import Checkpoints
from auth_server.data_keys import SEALED_COLUMNS, open_data_key
from auth_server.errors import KeyringRefused, StoreError
from auth_server.key_files import read_key_file
from auth_server.key_forms import Keys, Kind, State
from auth_server.keyring import FieldCipher
from auth_server.kiosks import Kiosks
from auth_server.sealed_faces import count_faces, faults_of_faces
from auth_server.store.canary import read_canary
from auth_server.store.models import CHANGES, USER_KEYS, USERS
from auth_server.store.rekey import opens_now
from provisioning.desk import Site

_PAGE: Final = 100
_ACCOUNT = select(
    USERS.c.username,
    USER_KEYS.c.data_key_enc,
    USERS.c.totp_secret_enc,
    USERS.c.face_template_enc,
    USERS.c.face_image_enc,
).select_from(USERS.outerjoin(USER_KEYS, USER_KEYS.c.username == USERS.c.username))
_CHANGE = select(CHANGES.c.username, CHANGES.c.change_id, CHANGES.c.payload_enc).order_by(CHANGES.c.username)


@dataclass(slots=True)
class Checked:
    """What was looked at, by kind, and what was found wrong. `notes` are no faults."""

    counts: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def secret_count(site: Site) -> int:
    """Return how many rows `check_keys` will open."""
    with site.database.read() as session:
        counts = (session.execute(select(func.count()).select_from(table)).scalar_one() for table in (USERS, CHANGES))
        return sum(counts) + count_faces(session)


def check_keys(site: Site, on_done: Callable[[int], None]) -> Checked:
    """Open every secret and compare every key with what it belongs to; `on_done` is told of rows."""
    checked = Checked()
    _check_files(site, checked)
    _check_canary(site, checked)
    for page in _pages(site):
        for row in page:
            checked.counts["accounts"] += 1
            checked.findings += _account_findings(site.keyring.field, row)
        on_done(len(page))
    _check_changes(site, checked, on_done)
    _check_faces(site, checked, on_done)
    _check_checkpoints(site, checked)
    _check_tls(site, checked)
    _check_devices(site, checked)
    return checked


def _check_files(site: Site, checked: Checked) -> None:
    rings: dict[Kind, Keys[Any]] = {
        Kind.DATABASE: site.keyring.database(),
        Kind.FIELD: site.keyring.field.keys,
        Kind.AUDIT: site.keyring.audit.keys,
        Kind.ASSERTION: site.keyring.assertion.keys,
    }
    for kind, keys in rings.items():
        checked.counts["keys"] += len(keys)
        if any(key.state is State.OLD and key.unused_since is None for key in keys):
            checked.notes.append(f"the rotation of the {kind} key has not ended: run `keys rotate {kind}` again")
    if site.database.is_file and not opens_now(site.database.path, site.keyring.database_key):
        checked.notes.append("the rotation of the database key has not ended: run `keys rotate database` again")


def _check_canary(site: Site, checked: Checked) -> None:
    with site.database.read() as session:
        found = read_canary(session, site.keyring)
    if found is None or found[1] != site.keyring.audit.keys[0].id:
        named = "no audit key" if found is None else f"audit key {found[1]}"
        checked.notes.append(f"the database names {named}, not the one in use: `keys rotate audit` renews it")


def _pages(site: Site) -> Iterator[list[tuple[object, ...]]]:
    after = ""
    while True:
        # A page is one state of the store, and nobody is held up between two.
        with site.database.read() as session:
            some = _ACCOUNT.where(USERS.c.username > after).order_by(USERS.c.username).limit(_PAGE)
            page = [tuple(row) for row in session.execute(some)]
        if not page:
            return
        yield page
        after = str(page[-1][0])


def _account_findings(cipher: FieldCipher, row: tuple[object, ...]) -> list[str]:
    name, data_key, *secrets = row
    if not isinstance(data_key, bytes):
        return [f"account {name!r} has no data key"]
    try:
        own = open_data_key(cipher, str(name), data_key)
    except StoreError as error:
        return [str(error)]
    except ValueError:
        return [f"the data key of {name!r} opens, and is no key"]
    found = []
    for column, token in zip(SEALED_COLUMNS, secrets, strict=True):
        try:
            own.open("users", column, str(name), token if isinstance(token, bytes) else b"")
        except StoreError as error:
            found.append(str(error))
    return found


def _check_changes(site: Site, checked: Checked, on_done: Callable[[int], None]) -> None:
    with site.database.read() as session:
        rows = session.execute(_CHANGE).all()
    for name, change_id, payload in rows:
        checked.counts["changes"] += 1
        try:
            site.keyring.field.open("changes", "payload_enc", change_id, payload)
        except StoreError:
            checked.findings.append(f"the pending change of {name!r} does not open")
        on_done(1)


def _check_faces(site: Site, checked: Checked, on_done: Callable[[int], None]) -> None:
    for fault in faults_of_faces(site.database, site.keyring.field):
        checked.counts["further faces"] += 1
        if fault is not None:
            checked.findings.append(fault)
        on_done(1)


def _check_checkpoints(site: Site, checked: Checked) -> None:
    checkpoints = Checkpoints.of(site.settings.store, site.keyring.audit)
    known = {*site.keyring.audit.public, *checkpoints.signed().keys.ids}
    strange: Counter[str] = Counter()
    for line in checkpoints.read():
        if isinstance(line, Checkpoint):
            checked.counts["checkpoints"] += 1
            if line.key_id not in known:
                strange[line.key_id] += 1
    for key_id, count in strange.items():
        checked.findings.append(
            f"{count} checkpoints are signed by audit key {key_id[:40]!r}, which is not this site's"
        )


def _check_tls(site: Site, checked: Checked) -> None:
    listen = site.settings.listen
    try:
        key = serialization.load_pem_private_key(read_key_file(listen.tls_key), password=None)
        certificate = load_pem_x509_certificate(listen.tls_certificate.read_bytes())
    except KeyringRefused as error:
        checked.findings.append(str(error))
        return
    except OSError as error:
        checked.findings.append(f"the TLS certificate {listen.tls_certificate} cannot be read: {error.strerror}")
        return
    except (ValueError, TypeError):
        checked.findings.append(f"{listen.tls_key} or {listen.tls_certificate} is damaged")
        return
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    checked.counts["tls keys"] += 1
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        checked.findings.append(f"the certificate {listen.tls_certificate} is of another key than {listen.tls_key}")


def _check_devices(site: Site, checked: Checked) -> None:
    for kiosk in Kiosks(site.database).list():
        checked.counts["kiosks"] += 1
        try:
            Ed25519PublicKey.from_public_bytes(kiosk.public_key)
        except ValueError:
            checked.findings.append(f"the device key of kiosk {kiosk.kiosk_id} is no Ed25519 key")
