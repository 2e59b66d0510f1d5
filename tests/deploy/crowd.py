"""Puts a crowd of one look into the server's store, and prints who they are; run there by the release's own Python.

One person has a code for one login in half a minute, so a login each second takes thirty.
"""

import json
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyotp

from auth_server.accounts import Accounts, NewAccount
from auth_server.bootstrap import load_settings
from auth_server.face.engine import FaceEngine
from auth_server.keyring import Keyring
from auth_server.password_policy import hash_password
from auth_server.store.database import open_database


def main(count: int, mac: str, password: str, poses: Path) -> None:
    """Add `count` people, who may log in at the kiosk with this MAC, and print names and secrets as JSON."""
    settings = load_settings(Path("/etc/4auth/server.toml"))
    keyring = Keyring.load(settings.store.keys)
    database = open_database(settings.store.database, keyring)
    engine = FaceEngine(settings.face)
    face = engine.enrol([path.read_bytes() for path in sorted(poses.glob("*.jpg"))])
    accounts, hashed = Accounts(database, keyring.field, engine.model), hash_password(password)
    people = [(f"crowd-{secrets.token_hex(4)}", pyotp.random_base32()) for _ in range(count)]
    for name, secret in people:
        account = NewAccount(
            username=name,
            password_hash=hashed,
            totp_secret=secret,
            totp_last_step=0,
            template=face.template,
            face_png=face.picture_png,
            mac_addresses=frozenset({mac}),
        )
        accounts.add(account, datetime.now(UTC))
    database.close()
    print(json.dumps(people))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]))
