"""The signature under each request of a device (RFC 9421), as `auth_contract.signing` says it."""

from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import MappingKeyResolver, algorithms
from requests import PreparedRequest
from requests_http_signature import HTTPSignatureAuth

from auth_contract.signing import COVERED_COMPONENTS, LABEL, TAG


class KioskSignature(HTTPSignatureAuth):
    """RFC 9421 over what `auth_contract.signing` says, with the caller's nonce and time."""

    def __init__(self, kiosk_id: str, key: Ed25519PrivateKey, *, nonce: str, created: datetime) -> None:
        super().__init__(
            signature_algorithm=algorithms.ED25519,
            key_id=kiosk_id,
            key_resolver=MappingKeyResolver(public_keys={}, private_keys={kiosk_id: key}),
            covered_component_ids=COVERED_COMPONENTS,
            label=LABEL,
            tag=TAG,
        )
        self._nonce = nonce
        self._created = created

    def get_nonce(self, request: PreparedRequest) -> str:
        """The nonce that the exchange calls for."""
        return self._nonce

    def get_created(self, request: PreparedRequest) -> datetime:
        """The injected time; no Date header is added, since the server wants exactly four components."""
        return self._created
