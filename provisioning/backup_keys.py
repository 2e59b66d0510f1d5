"""Which keys a backup needs, and which of them are here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from auth_server.errors import KeyringRefused
from auth_server.keyring import Keyring
from auth_server.store.rekey import opens_now
from provisioning.backup_manifest import KeyIds, Manifest


@dataclass(frozen=True, slots=True)
class Ring:
    """The keys of this site by their ids, as they are when the work begins; the first of each is in use."""

    keyring: Keyring
    database: Mapping[str, bytes] = field(repr=False)
    field_ids: tuple[str, ...]
    audit: Mapping[str, Ed25519PublicKey]

    @classmethod
    def load(cls, folder: Path) -> "Ring":
        """Read the key files. Raises KeyringRefused as `Keyring.load` does."""
        return cls.of(Keyring.load(folder))

    @classmethod
    def of(cls, keyring: Keyring) -> "Ring":
        """Return the keys of a keyring as they are now."""
        return cls(
            keyring,
            {key.id: key.material for key in keyring.database()},
            tuple(key.id for key in keyring.field.keys),
            keyring.audit.public,
        )

    def opening(self, path: Path) -> KeyIds:
        """Return the ids that a backup of the database at `path` carries, which a rotation may be changing.

        Raises KeyringRefused where no key of ours opens it.
        """
        for key_id, key in self.database.items():
            if opens_now(path, key):
                return KeyIds(key_id, self.field_ids, next(iter(self.audit)))
        raise KeyringRefused(f"database.key does not open {path}: point store.keys at the keys that it was made with")

    def database_key_for(self, manifest: Manifest, name: str) -> bytes:
        """Return the key that opens the database of a backup.

        Raises KeyringRefused, with the ids that are needed and those that are here, where one is missing.
        """
        needed, missing = manifest.keys, []
        if needed.database not in self.database:
            missing.append(f"database key {needed.database} (here: {', '.join(self.database)})")
        if not set(needed.field) & set(self.field_ids):
            missing.append(f"field key {' or '.join(needed.field)} (here: {', '.join(self.field_ids)})")
        if needed.audit not in self.audit:
            missing.append(f"audit key {needed.audit} (here: {', '.join(self.audit)})")
        if missing:
            raise KeyringRefused(
                f"{name} was made with other keys: it needs {'; '.join(missing)}. "
                "Point store.keys at the keys of the time when it was made"
            )
        return self.database[needed.database]
