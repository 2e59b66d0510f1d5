"""A certificate authority of clients, made for one test."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = timedelta(days=1)


@dataclass
class Authority:
    """An authority whose files lie in `folder`, which is made."""

    folder: Path
    _key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1()), repr=False
    )

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate.write_bytes(self._signed("authority", self._key.public_key(), is_authority=True))

    @property
    def certificate(self) -> Path:
        """The authority's own."""
        return self.folder / "authority.crt"

    def issue(self, name: str, *, is_expired: bool = False) -> tuple[Path, Path]:
        """A client's certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate_file, key_file = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        certificate_file.write_bytes(self._signed(name, key.public_key(), is_expired=is_expired))
        pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        key_file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
        return certificate_file, key_file

    def _signed(
        self, name: str, key: ec.EllipticCurvePublicKey, *, is_authority: bool = False, is_expired: bool = False
    ) -> bytes:
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name("authority"))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * _DAY)
            .not_valid_after(now - _DAY if is_expired else now + _DAY)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
