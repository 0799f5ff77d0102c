"""The management certificate that identifies us to the service, and the TLS context made of it.

Auth is mutual TLS with a certificate that was uploaded to the subscription; self-signed ones are allowed (Service
Management REST API, authentication).
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import ssl
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes, PrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)
from requests.certs import where

from biztalk_services.drivers.biztalk.errors import InvalidCertificateError

_PEM_MARK = b"-----BEGIN "
_PEM_ON_ONE_LINE = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----[ \t]+([A-Za-z0-9+/= \t]+?)[ \t]*-----END \1-----")


class ManagementCredentials:
    """A management certificate with its private key, checked when it is made.

    Certificate and key come either as content or from a path. The content of a certificate is PEM text, or PKCS#12 as
    base64 text or bytes; it may hold the key as well, and the chain of its issuers.

    :param certificate: content of the certificate.
    :param private_key: content of the key (PEM); not needed where the certificate's content holds it.
    :param certificate_path: file with the certificate, instead of ``certificate``.
    :param private_key_path: file with the key, instead of ``private_key``.
    :param passphrase: of the key or of the PKCS#12; None or empty when there is none.
    :raises InvalidCertificateError: missing or unreadable, wrong passphrase, or the key of another certificate.
    """

    def __init__(
        self,
        *,
        certificate: str | bytes | None = None,
        private_key: str | bytes | None = None,
        certificate_path: str | Path | None = None,
        private_key_path: str | Path | None = None,
        passphrase: str | None = None,
    ) -> None:
        content = _content(certificate, certificate_path, "management certificate")
        if content is None:
            raise InvalidCertificateError(
                "There is no management certificate. Put it as PEM text, or the path of its file (PEM or PKCS#12), "
                "into the connection."
            )
        key_content = _content(private_key, private_key_path, "private key")
        password = passphrase.encode() if passphrase else None
        if _PEM_MARK in content:
            certificates = _pem_certificates(content)
            self._key = _pem_key(key_content or content, password)
        elif key_content:
            certificates = _der_certificates(content) or _pkcs12(content, password)[1]
            self._key = _pem_key(key_content, password)
        else:
            self._key, certificates = _pkcs12(content, password)
        self._chain = _own_certificate_first(certificates, self._key)
        self._certificate = self._chain[0]

    def __repr__(self) -> str:
        return f"<ManagementCredentials {self.subject!r} until {self.valid_until:%Y-%m-%d}>"

    def __reduce__(self) -> Any:
        raise TypeError("A management certificate holds a private key and is not pickled.")

    @property
    def subject(self) -> str:
        """The certificate's subject (``CN=...``)."""
        return self._certificate.subject.rfc4514_string() or "(no subject)"

    @property
    def thumbprint(self) -> str:
        """SHA-1 of the certificate in upper-case hex, as the portal lists it."""
        return self._certificate.fingerprint(SHA1()).hex().upper()

    @property
    def valid_until(self) -> datetime:
        """Last moment of validity, UTC."""
        return self._certificate.not_valid_after_utc

    def check_validity(self, now: datetime | None = None) -> None:
        """Refuse a certificate outside its dates.

        :param now: aware time; default is the present.
        :raises InvalidCertificateError: expired or not yet valid.
        """
        now = now or datetime.now(UTC)
        if now > self.valid_until:
            raise InvalidCertificateError(
                f"The management certificate {self.subject} expired on {self.valid_until:%Y-%m-%d %H:%M} UTC. "
                "Make a new one, upload it to the subscription and put it into the connection."
            )
        if now < self._certificate.not_valid_before_utc:
            raise InvalidCertificateError(
                f"The management certificate {self.subject} is valid only from "
                f"{self._certificate.not_valid_before_utc:%Y-%m-%d %H:%M} "
                "UTC. Use one that is valid now, or set this machine's clock right."
            )

    def expiry_warning(self, now: datetime | None = None, within: timedelta = timedelta(days=30)) -> str | None:
        """A sentence when the certificate ends soon, None when it does not.

        :param now: aware time; default is the present.
        :param within: how soon is soon.
        """
        left = self.valid_until - (now or datetime.now(UTC))
        if left > within:
            return None
        ends = "expired" if left < timedelta(0) else "expires"
        return (
            f"The management certificate {self.subject} {ends} on {self.valid_until:%Y-%m-%d}. "
            "Replace it in the subscription."
        )

    def ssl_context(self, ca_bundle: str | Path | None = None) -> ssl.SSLContext:
        """A client context that presents this certificate and trusts only the given CAs.

        The key passes through a file that only this user can read, encrypted with a passphrase made for it, gone before
        this returns.

        :param ca_bundle: PEM file, directory of CAs or PEM text to trust; default is the public CAs (certifi).
        :raises InvalidCertificateError: OpenSSL does not take the certificate, or the bundle cannot be read.
        """
        context = trusting_context(ca_bundle)
        passphrase = secrets.token_urlsafe(32)
        chain = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in self._chain)
        key = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode()))
        with tempfile.TemporaryDirectory(prefix="management-certificate-") as folder:
            file = Path(folder, "certificate.pem")
            file.touch(mode=0o600)
            file.write_bytes(chain + key)
            try:
                context.load_cert_chain(file, password=passphrase)
            except ssl.SSLError as error:
                reason = error.reason or "unknown reason"
                raise InvalidCertificateError(
                    f"OpenSSL refuses the management certificate {self.subject} ({reason}). Use an RSA key of "
                    f"at least 2048 bits."
                ) from None
        return context


def trusting_context(ca_bundle: str | Path | None = None) -> ssl.SSLContext:
    """A client context that trusts only the given CAs and presents no certificate.

    :param ca_bundle: PEM file, directory of CAs or PEM text to trust; default is the public CAs (certifi).
    :raises InvalidCertificateError: the bundle cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if "-----BEGIN " in str(ca_bundle):
            context.load_verify_locations(cadata=_with_line_breaks(str(ca_bundle)))
        else:
            place = Path(ca_bundle).expanduser() if ca_bundle else Path(where())
            context.load_verify_locations(**({"capath": str(place)} if place.is_dir() else {"cafile": str(place)}))
    except (OSError, ValueError):
        shown = "text" if "-----BEGIN " in str(ca_bundle) else str(ca_bundle)
        raise InvalidCertificateError(
            f"The CA bundle ({shown}) cannot be read as PEM certificates. Correct ca_bundle in the connection."
        ) from None
    return context


def _content(given: str | bytes | None, path: str | Path | None, what: str) -> bytes | None:
    """What was given, or what the file holds; None when neither is there."""
    if given:
        content = given if isinstance(given, bytes) else given.encode()
    elif path:
        try:
            content = Path(path).expanduser().read_bytes()
        except OSError as error:
            raise InvalidCertificateError(
                f"The {what} cannot be read from {path} ({error.strerror}). Correct the path or the file's permissions."
            ) from None
    else:
        return None
    if _PEM_MARK in content:
        return _with_line_breaks(content.decode("utf-8", "replace")).encode()
    try:
        return base64.b64decode(b"".join(content.split()), validate=True)
    except binascii.Error:
        return content


def _with_line_breaks(pem: str) -> str:
    """PEM text as it was before a one-line form field or an environment variable took its line breaks."""
    return _PEM_ON_ONE_LINE.sub(
        lambda block: "\n".join([f"-----BEGIN {block[1]}-----", *block[2].split(), f"-----END {block[1]}-----", ""]),
        pem.replace("\\r", "").replace("\\n", "\n"),
    )


def _pem_certificates(content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise InvalidCertificateError(
            "The management certificate is PEM text without a readable CERTIFICATE block. Give the certificate, "
            "not only its key."
        ) from None


def _der_certificates(content: bytes) -> list[x509.Certificate]:
    try:
        return [x509.load_der_x509_certificate(content)]
    except ValueError:
        return []


def _pem_key(content: bytes, password: bytes | None) -> PrivateKeyTypes:
    blocks = re.findall(rb"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----.*?-----END \1-----", content, re.DOTALL)
    if not blocks:
        raise InvalidCertificateError(
            "There is no private key for the management certificate. Give it in PEM: as the connection's password, or "
            "in the file of private_key_path or certificate_path."
        )
    start = content.index(b"-----BEGIN " + blocks[0])
    try:
        try:
            return load_pem_private_key(content[start:], password)
        except TypeError:
            if password is None:
                raise InvalidCertificateError(
                    "The private key of the management certificate is encrypted. Give its passphrase "
                    "(private_key_passphrase)."
                ) from None
            return load_pem_private_key(content[start:], None)
    except ValueError:
        raise InvalidCertificateError(
            "The private key of the management certificate cannot be read: its passphrase is wrong or the PEM "
            "text is damaged."
        ) from None


def _pkcs12(content: bytes, password: bytes | None) -> tuple[PrivateKeyTypes, list[x509.Certificate]]:
    try:
        key, certificate, others = pkcs12.load_key_and_certificates(content, password)
    except ValueError:
        raise InvalidCertificateError(
            "The management certificate is neither PEM nor a PKCS#12 that this passphrase opens. Check file and "
            "passphrase."
        ) from None
    if key is None or certificate is None:
        raise InvalidCertificateError(
            "The PKCS#12 holds no certificate with its private key. Export it with its private key."
        )
    return key, [certificate, *others]


def _public(key: CertificatePublicKeyTypes | PrivateKeyTypes) -> bytes:
    public = key.public_key() if hasattr(key, "public_key") else key
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _own_certificate_first(certificates: Sequence[x509.Certificate], key: PrivateKeyTypes) -> list[x509.Certificate]:
    own = next((certificate for certificate in certificates if _public(certificate.public_key()) == _public(key)), None)
    if own is None:
        subjects = ", ".join(certificate.subject.rfc4514_string() or "(no subject)" for certificate in certificates)
        raise InvalidCertificateError(
            f"The private key does not belong to the management certificate {subjects}. Give the key that it "
            f"was made with."
        )
    return [own, *(certificate for certificate in certificates if certificate is not own)]
