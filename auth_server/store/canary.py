"""The value by which a store proves that keys are its own: sealed by the field key, naming the audit key."""

from sqlalchemy.orm import Session

from auth_server.errors import KeyringRefused, StoreError
from auth_server.keyring import Keyring
from auth_server.store.facts import fact_of, put_fact
from auth_server.store.location import Location

_CANARY = "canary"
_CANARY_TEXT = b"4auth canary, audit key "
CANARY_PLACE = ("site", "value", _CANARY)
"""The table, column and row for which the canary is sealed."""


def renew_canary(session: Session, keyring: Keyring) -> None:
    """Seal the value that proves the keys by the field key in use, naming the audit key in use."""
    text = _CANARY_TEXT + keyring.audit.keys[0].id.encode()
    put_fact(session, _CANARY, keyring.field.seal(*CANARY_PLACE, text))


def read_canary(session: Session, keyring: Keyring) -> tuple[bytes, str] | None:
    """Return the canary as it is sealed, and the id of the audit key that it names; None when there is none.

    Raises StoreError when no field key opens it.
    """
    token = fact_of(session, _CANARY)
    if token is None:
        return None
    text = keyring.field.open(*CANARY_PLACE, token)
    return token, text.removeprefix(_CANARY_TEXT).decode()


def refuse_other_keys(session: Session, keyring: Keyring, location: Location) -> None:
    """Raise KeyringRefused unless the field keys and the audit key are this store's; StoreError for nobody's store."""
    try:
        found = read_canary(session, keyring)
    except StoreError:
        raise KeyringRefused(
            f"field.keys does not fit {location}: point store.keys at the keys that it was made with"
        ) from None
    if found is None:
        raise StoreError(f"{location} has no canary, so it was not made by this program: put back your backup")
    # The next audit key and retired ones too: a rotation may be under way, or this be an older backup.
    if found[1] not in keyring.audit.public:
        raise KeyringRefused(
            f"audit.pem does not fit {location}: its checkpoints were signed by another key. "
            "Put back the audit.pem that this database was made with"
        )
