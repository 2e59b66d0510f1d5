"""A key for each account: its secrets are sealed by it, and it by the site's field keys.

So an account is forgotten by destroying one small value, whatever copies of its row are about.
"""

from typing import Final

from cryptography.fernet import Fernet

from auth_server.keyring import FieldCipher

SEALED_COLUMNS: Final = ("totp_secret_enc", "face_template_enc", "face_image_enc")
"""The columns of `users` that an account's own key seals."""

TEMPLATE_PLACE: Final = ("face_templates", "template_enc")
"""The table and column of an account's further templates, which its own key seals too."""

DATA_KEY_PLACE: Final = ("user_keys", "data_key_enc")
"""The table and column of the data keys; each is sealed for its account's name."""


def new_data_key(site: FieldCipher, username: str) -> tuple[FieldCipher, bytes]:
    """Return the cipher of a new random key, and the key as it is stored, sealed by the site's."""
    key = Fernet.generate_key()
    return FieldCipher([key]), site.seal(*DATA_KEY_PLACE, username, key)


def open_data_key(site: FieldCipher, username: str, token: bytes) -> FieldCipher:
    """Return the cipher of a stored key. Raises StoreError when it is not this account's or was changed."""
    return FieldCipher([site.open(*DATA_KEY_PLACE, username, token)])


def template_row(username: str, model: str, kind: str) -> str:
    """Return the row for which a further template is sealed; neither model nor kind has a space in it."""
    return f"{kind} {model} {username}"
