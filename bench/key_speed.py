"""What it costs to rotate the field key of a site with many users: `python -m bench.key_speed [USERS]`.

Every user gets a new data key, and every secret is sealed anew by it, in transactions of 100 users.
"""

import secrets
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from auth_server.accounts import Accounts, NewAccount
from auth_server.checkpoints import Checkpoints
from auth_server.domain import Template
from auth_server.key_forms import Kind
from auth_server.key_rotation import Rotation
from auth_server.keyring import Keyring
from auth_server.resealing import BATCH
from auth_server.store.database import Database, create_database

USERS = 10_000
PICTURE_BYTES = 24_000
"""A face of 112 x 112 pixels as PNG."""


@dataclass(frozen=True)
class Rotated:
    """How long one rotation took, and the longest time for which nobody else could write."""

    users: int
    seconds: float
    longest_batch_s: float

    @property
    def rate(self) -> float:
        """Users a second."""
        return self.users / self.seconds


def field_rotation(users: int = USERS) -> Rotated:
    """Make a store with so many users in a temporary folder, and rotate its field key once."""
    with tempfile.TemporaryDirectory(prefix="4auth-key-bench-") as folder:
        keyring = Keyring.create(Path(folder) / "keys")
        with closing(create_database(Path(folder) / "4auth.db", keyring)) as database:
            _fill(database, keyring, users)
            return _rotated(database, keyring, users)


def _rotated(database: Database, keyring: Keyring, users: int) -> Rotated:
    checkpoints = Checkpoints(database.path.with_name("audit.jsonl"), keyring.audit)
    batches: list[float] = []
    last = time.perf_counter()

    def after_batch() -> None:
        nonlocal last
        batches.append(time.perf_counter() - last)
        last = time.perf_counter()

    rotation = Rotation(
        keyring=keyring,
        database=database,
        checkpoints=checkpoints,
        now=lambda: datetime.now(UTC),
        pause=time.sleep,
        after_batch=after_batch,
    )
    began = last
    rotation.rotate(Kind.FIELD)
    return Rotated(users, time.perf_counter() - began, max(batches))


def _fill(database: Database, keyring: Keyring, users: int) -> None:
    accounts, now = Accounts(database, keyring.field, "4auth"), datetime.now(UTC)
    for first in range(0, users, BATCH):
        with database.transaction() as session:
            for number in range(first, min(first + BATCH, users)):
                accounts.create(session, _account(number), now)


def _account(number: int) -> NewAccount:
    return NewAccount(
        username=f"person {number}",
        password_hash=b"$2b$12$no-password-fits",
        totp_secret="JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",  # noqa: S106 - of made-up people
        totp_last_step=0,
        template=Template("4auth", bytes(2048)),
        face_png=secrets.token_bytes(PICTURE_BYTES),
        mac_addresses=frozenset({"02:00:5e:10:00:01"}),
    )


def main() -> int:
    """Measure and print."""
    found = field_rotation(int(sys.argv[1]) if len(sys.argv) > 1 else USERS)
    print(
        f"field key of {found.users} users: {found.seconds:.1f} s, {found.rate:.0f} users a second, "
        f"at most {found.longest_batch_s * 1000:.0f} ms without a turn for others"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
