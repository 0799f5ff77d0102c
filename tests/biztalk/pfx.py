"""SSL certificates with their keys, as PFX files; every part can be bent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption, pkcs12

SECRET = "canary-Secret=1"
DAY = timedelta(days=1)


def pfx(
    common_name: str | None = "contosoorders.biztalk.windows.net",
    hosts: tuple[str, ...] = (),
    *,
    password: str | None = SECRET,
    begins: timedelta = -DAY,
    ends: timedelta = DAY,
    with_key: bool = True,
) -> bytes:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    named = [x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = (
        x509.CertificateBuilder(x509.Name(named), x509.Name(named), key.public_key(), x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
    )
    if hosts:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        builder = builder.add_extension(alternatives, critical=False)
    certificate = builder.sign(key, SHA256())
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    if with_key:
        return pkcs12.serialize_key_and_certificates(b"ssl", key, certificate, None, encryption)
    return pkcs12.serialize_key_and_certificates(None, None, None, [certificate], encryption)
