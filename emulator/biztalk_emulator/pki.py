"""The emulator's own certificates: a CA, the server's certificate and the sample management certificate."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER_NAMES = ("localhost", "biztalk-emulator", "127.0.0.1", "::1")
_DNS_NAME = re.compile(
    r"(?=.{1,253}$)(\*\.)?(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*", re.ASCII
)
_VALID = timedelta(days=3650)
_SERVER_VALID = timedelta(days=365)


class ImpossibleName(ValueError):
    """A server name that no certificate can hold; the message names it and what is possible."""


@dataclass(frozen=True)
class Pki:
    """Where the files are."""

    folder: Path

    @property
    def ca(self) -> Path:
        """Certificate of the CA."""
        return self.folder / "ca.pem"

    @property
    def ca_key(self) -> Path:
        """Private key of the CA."""
        return self.folder / "ca.key"

    @property
    def server(self) -> Path:
        """Certificate of the server."""
        return self.folder / "server.pem"

    @property
    def server_key(self) -> Path:
        """Private key of the server."""
        return self.folder / "server.key"

    @property
    def management(self) -> Path:
        """The management certificate that the subscription trusts from the start."""
        return self.folder / "management.pem"

    @property
    def management_key(self) -> Path:
        """Private key of the management certificate."""
        return self.folder / "management.key"


def prepare(folder: Path, server_names: Iterable[str] = ()) -> Pki:
    """Make what is missing under `folder`; the server's certificate anew when it lacks a name or nears its end.

    :param server_names: further names and addresses of the server.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pki = Pki(folder)
    if not (pki.ca.exists() and pki.ca_key.exists()):
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("BizTalk Services emulator CA")
        ca = _builder(name, name, key, _VALID).add_extension(x509.BasicConstraints(True, 0), True)
        ca = ca.add_extension(_key_usage(key_cert_sign=True, crl_sign=True), True)
        _write(pki.ca_key, _pem(key), secret=True)
        _write(pki.ca, ca.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    wanted = [*dict.fromkeys([*SERVER_NAMES, *server_names])]
    if not _serves(pki.server, wanted) or not pki.server_key.exists():
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in wanted])
        _issue(pki, "biztalk-emulator", pki.server, pki.server_key, ExtendedKeyUsageOID.SERVER_AUTH, alternatives)
    if not (pki.management.exists() and pki.management_key.exists()):
        _issue(pki, "BizTalk management", pki.management, pki.management_key, ExtendedKeyUsageOID.CLIENT_AUTH, None)
    return pki


def load(pem: bytes) -> x509.Certificate:
    """Read one certificate from PEM text.

    :raises ValueError: when there is none.
    """
    return x509.load_pem_x509_certificate(pem)


def thumbprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate, 64 upper-case hex digits."""
    return certificate.fingerprint(hashes.SHA256()).hex().upper()


def valid_now(certificate: x509.Certificate) -> bool:
    """Whether the present time lies within its validity."""
    return certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc


def _serves(path: Path, names: list[str]) -> bool:
    if not path.exists():
        return False
    certificate = load(path.read_bytes())
    present = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    ends_late = certificate.not_valid_after_utc - datetime.now(UTC) > timedelta(days=30)
    return ends_late and all(_general_name(name) in present for name in names)


def _issue(
    pki: Pki,
    common_name: str,
    certificate_path: Path,
    key_path: Path,
    usage: x509.ObjectIdentifier,
    alternatives: x509.SubjectAlternativeName | None,
) -> None:
    ca, ca_key = load(pki.ca.read_bytes()), serialization.load_pem_private_key(pki.ca_key.read_bytes(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    valid = _SERVER_VALID if alternatives else _VALID
    builder = _builder(_name(common_name), ca.subject, key, valid, ca_key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(False, None), True)
    builder = builder.add_extension(_key_usage(digital_signature=True), True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
    if alternatives:
        builder = builder.add_extension(alternatives, False)
    certificate = builder.sign(ca_key, hashes.SHA256())
    _write(key_path, _pem(key), secret=True)
    _write(certificate_path, certificate.public_bytes(serialization.Encoding.PEM))


def _builder(subject, issuer, key, valid, issuer_key=None) -> x509.CertificateBuilder:
    start = datetime.now(UTC) - timedelta(hours=1)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key or key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + valid)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(authority, False)
    )


def _key_usage(**used: bool) -> x509.KeyUsage:
    names = [
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ]
    return x509.KeyUsage(**{name: used.get(name, False) for name in names})


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        if not _DNS_NAME.fullmatch(name):
            raise ImpossibleName(
                f"{name!r} cannot be a --server-name; give a DNS name of letters, digits, dashes and dots, or an IP "
                "address."
            ) from None
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes, *, secret: bool = False) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if secret else 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
