"""Certificates made on the spot: X.509 with P-256 keys, as DER or password-protected PFX, in base64."""

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .clock import to_text
from .content import Certificate

_VALIDITY = timedelta(days=3 * 365)
_ROUNDS = 1000


@dataclass(frozen=True)
class KeyPair:
    """A self-signed certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def self_signed(common_name: str, *, now: datetime, server: bool = False) -> KeyPair:
    """A certificate valid for three years (the service takes less than five) from a day before ``now``.

    :param server: for TLS: Server Authentication usage and the name as DNS name; else for signing and encrypting
        messages.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _VALIDITY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    if server:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(common_name)]), critical=False)
    return KeyPair(builder.sign(key, hashes.SHA256()), key)


def password() -> str:
    """A fresh password of 24 characters."""
    return secrets.token_urlsafe(18)


def pfx(pair: KeyPair, *, name: str, protected_by: str) -> str:
    """The pair as PFX, base64. Many rounds would protect a password that people have chosen; this one is random."""
    builder = serialization.PrivateFormat.PKCS12.encryption_builder().kdf_rounds(_ROUNDS)
    encryption = builder.build(protected_by.encode())
    data = pkcs12.serialize_key_and_certificates(name.encode(), pair.key, pair.certificate, None, encryption)
    return base64.b64encode(data).decode("ascii")


def private_certificate(name: str, pair: KeyPair) -> Certificate:
    """The entry of ``certificates`` with key, under a fresh password."""
    secret = password()
    return {
        **_described(name, pair),
        "Kind": "Private",
        "Data": pfx(pair, name=name, protected_by=secret),
        "Password": secret,
    }


def public_certificate(name: str, pair: KeyPair) -> Certificate:
    """The entry of ``certificates`` without key."""
    data = pair.certificate.public_bytes(serialization.Encoding.DER)
    return {**_described(name, pair), "Kind": "Public", "Data": base64.b64encode(data).decode("ascii")}


def _described(name: str, pair: KeyPair) -> dict[str, str]:
    certificate = pair.certificate
    return {
        "Name": name,
        "Subject": certificate.subject.rfc4514_string(),
        "Thumbprint": certificate.fingerprint(hashes.SHA1()).hex().upper(),
        "NotAfter": to_text(certificate.not_valid_after_utc),
    }
