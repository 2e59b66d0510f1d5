"""People in numbers, written in bulk and sealed as the server seals them.

Only their pictures are small (1 KiB), because 3 GB of them would be written for nothing that a log in reads.
"""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice

from sqlalchemy import insert

from auth_server.data_keys import new_data_key
from auth_server.keyring import FieldCipher
from auth_server.store.database import Database
from auth_server.store.models import USER_DEVICES, USER_KEYS, USERS

_BATCH = 5000
_PICTURE_BYTES = 1024
_EMBEDDING_BYTES = 2048


def fill_accounts(database: Database, cipher: FieldCipher, count: int, first: int = 0) -> None:
    """Add so many accounts that nobody can log in to, numbered from `first`."""
    now = datetime.now(UTC)
    numbers = iter(range(first, first + count))
    while batch := list(islice(numbers, _BATCH)):
        made = [_account(cipher, f"resident {number}", now) for number in batch]
        with database.transaction() as session:
            connection = session.connection()
            connection.execute(insert(USERS), [account for account, _, _ in made])
            connection.execute(insert(USER_KEYS), [key for _, key, _ in made])
            connection.execute(insert(USER_DEVICES), [device for _, _, device in made])


def _account(
    cipher: FieldCipher, name: str, now: datetime
) -> tuple[Mapping[str, object], Mapping[str, object], Mapping[str, object]]:
    own, data_key = new_data_key(cipher, name)
    account = {
        "username": name,
        "password_hash": b"$2b$12$no-password-fits",
        "totp_secret_enc": own.seal("users", "totp_secret_enc", name, b"A" * 32),
        "totp_last_step": 0,
        "face_model": "4auth",
        "enabled": True,
        "face_enabled": True,
        "created_at": now,
        "face_template_enc": own.seal("users", "face_template_enc", name, secrets.token_bytes(_EMBEDDING_BYTES)),
        "face_image_enc": own.seal("users", "face_image_enc", name, secrets.token_bytes(_PICTURE_BYTES)),
    }
    key = {"username": name, "data_key_enc": data_key, "factors_changed_at": now}
    return account, key, {"username": name, "mac_address": "02:00:5e:30:00:01"}
