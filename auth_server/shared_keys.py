"""Servers that share a database sign assertions with the same key: what one grants, every door takes.

Their field and audit keys are proved by the canary as everybody's are; a wrong assertion key would be noticed by the
people before the doors.
"""

from sqlalchemy.orm import Session

from auth_server.errors import KeyringRefused
from auth_server.keyring import Keyring
from auth_server.store.database import Database
from auth_server.store.facts import fact_of, put_fact

_ASSERTION = "assertion_key"


def note_assertion_key(session: Session, keyring: Keyring) -> None:
    """Write down the id of the assertion key in use, which every server must know from now on."""
    put_fact(session, _ASSERTION, keyring.assertion.keys[0].id.encode())


def refuse_other_assertion_key(database: Database, keyring: Keyring) -> None:
    """Prove that this server knows the assertion key of the others; the first of all writes down which it is.

    Raises KeyringRefused where it does not, and StoreError. Nothing is asked of a database in a file, which has one.
    """
    if database.is_file:
        return
    with database.transaction() as session:
        noted = fact_of(session, _ASSERTION)
        if noted is None:
            note_assertion_key(session, keyring)
        elif noted.decode() not in {key.id for key in keyring.assertion.keys}:
            raise KeyringRefused(
                f"assertion.pem does not fit {database.location}: its servers sign with key {noted.decode()}, and "
                "doors would refuse whom this one lets in. Copy store.keys from another server; where that key is "
                "lost everywhere, `4auth-provision keys rotate assertion` gives them all another"
            )
