"""The server's TLS identity: a key that kiosks pin, and the certificate that carries it.

There is no certificate authority. A kiosk compares the SHA-256 of the SubjectPublicKeyInfo, so
the names and the dates in the certificate decide nothing.
"""

import hashlib
import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from provisioning.errors import Refused

NO_EXPIRY = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""RFC 5280, 4.1.2.5: no well-defined end. A key is retired by changing the pins."""


@dataclass(frozen=True, slots=True)
class TlsIdentity:
    """A private key and its certificate, both as PEM, and the pin of the key, 64 hexadecimal digits."""

    key_pem: bytes = field(repr=False)
    certificate_pem: bytes
    pin: str


def make_identity(site: str, host: str, now: datetime) -> TlsIdentity:
    """Return a new identity: ECDSA on P-256, which every TLS 1.3 client must know (RFC 8446, 9.1)."""
    key, number = ec.generate_private_key(ec.SECP256R1()), x509.random_serial_number()
    # OpenSSL looks an issuer up by its name: of two keys of a site under one name, it would trust the first alone.
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"4Auth {site}"),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, f"{number:x}"),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(number)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(NO_EXPIRY)
        .add_extension(x509.SubjectAlternativeName(_names(site, host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return TlsIdentity(key_pem, certificate.public_bytes(serialization.Encoding.PEM), pin_of(certificate))


def _names(site: str, host: str) -> list[x509.GeneralName]:
    return [x509.DNSName(site), x509.IPAddress(ipaddress.ip_address(host))]


def pin_of(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate's SubjectPublicKeyInfo, as 64 hexadecimal digits."""
    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(spki).hexdigest()


def read_pin(certificate: Path) -> str:
    """Return the pin of a PEM file's certificate.

    Raises Refused when it cannot be read or is no certificate.
    """
    try:
        return pin_of(x509.load_pem_x509_certificate(certificate.read_bytes()))
    except OSError as error:
        raise Refused(f"{certificate}: {error.strerror}: name the right file in listen.tls_certificate") from None
    except ValueError:
        raise Refused(f"{certificate} holds no PEM certificate: put back the one that `site init` made") from None
