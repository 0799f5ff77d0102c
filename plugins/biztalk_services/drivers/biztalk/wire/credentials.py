"""The management certificate and its TLS context.

Authentication is mutual TLS with a certificate that is uploaded to the subscription; self-signed certificates are
allowed (Service Management REST API, authentication).
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
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from biztalk_services.drivers.biztalk.errors import InvalidCertificateError

_PEM_MARK = b"-----BEGIN "
_PEM_ON_ONE_LINE = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----[ \t]+([A-Za-z0-9+/= \t]+?)[ \t]*-----END \1-----")


class ManagementCredentials:
    """A management certificate with its private key, validated on construction.

    Certificate and key are passed as content or as path. The content of a certificate is PEM text, or PKCS#12 as base64
    text or bytes; it may include the key and the issuer chain.

    :param private_key: PEM; optional when the certificate's content includes it.
    :param passphrase: of the key or of the PKCS#12; None or empty: none.
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
                "There is no management certificate. Set it in the connection as PEM text, or as the path of a PEM or "
                "PKCS#12 file."
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
        raise TypeError("A management certificate contains a private key and is not pickled.")

    @property
    def subject(self) -> str:
        """The certificate's subject (``CN=...``)."""
        return self._certificate.subject.rfc4514_string() or "(no subject)"

    @property
    def valid_until(self) -> datetime:
        """End of validity, UTC."""
        return self._certificate.not_valid_after_utc

    def check_validity(self, now: datetime | None = None) -> None:
        """:raises InvalidCertificateError: expired or not yet valid at this aware time (default: now)."""
        now = now or datetime.now(UTC)
        if now > self.valid_until:
            raise InvalidCertificateError(
                f"The management certificate {self.subject} expired on {self.valid_until:%Y-%m-%d %H:%M} UTC. "
                "Create a new one, upload it to the subscription and set it in the connection."
            )
        valid_from = self._certificate.not_valid_before_utc
        if now < valid_from:
            raise InvalidCertificateError(
                f"The management certificate {self.subject} is valid only from {valid_from:%Y-%m-%d %H:%M} UTC. Use "
                "one that is valid now, or correct this machine's clock."
            )

    def expiry_warning(self, now: datetime | None = None, within: timedelta = timedelta(days=30)) -> str | None:
        """A warning sentence when no more than this validity remains at this aware time (default: now), else None."""
        left = self.valid_until - (now or datetime.now(UTC))
        if left > within:
            return None
        verb = "expired" if left < timedelta(0) else "expires"
        return (
            f"The management certificate {self.subject} {verb} on {self.valid_until:%Y-%m-%d}. "
            "Replace it in the subscription."
        )

    def ssl_context(self, ca_bundle: str | Path | None = None) -> ssl.SSLContext:
        """A client context with this certificate that trusts only the CAs of the bundle.

        OpenSSL loads the key from a temporary file, encrypted with a random passphrase and readable by this user only.

        :param ca_bundle: PEM file, CA directory or PEM text; default: the public CAs (certifi).
        :raises InvalidCertificateError: OpenSSL rejects the certificate, or the bundle cannot be read.
        """
        context = client_context(ca_bundle)
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
                    f"OpenSSL rejects the management certificate {self.subject} ({reason}). Use an RSA key of at least "
                    "2048 bits."
                ) from None
        return context


def client_context(ca_bundle: str | Path | None = None) -> ssl.SSLContext:
    """A client context without certificate; parameters and errors as :meth:`ManagementCredentials.ssl_context`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    is_text = "-----BEGIN " in str(ca_bundle)
    try:
        if is_text:
            context.load_verify_locations(cadata=_restore_line_breaks(str(ca_bundle)))
        else:
            path = Path(ca_bundle or DEFAULT_CA_BUNDLE_PATH).expanduser()
            context.load_verify_locations(**{"capath" if path.is_dir() else "cafile": str(path)})
    except (OSError, ValueError):
        raise InvalidCertificateError(
            f"The CA bundle ({'text' if is_text else ca_bundle}) cannot be read as PEM certificates. Correct "
            "ca_bundle in the connection."
        ) from None
    return context


def _content(value: str | bytes | None, path: str | Path | None, what: str) -> bytes | None:
    """The value, or the content of the file; None without both."""
    if value:
        content = value if isinstance(value, bytes) else value.encode()
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
        return _restore_line_breaks(content.decode("utf-8", "replace")).encode()
    try:
        return base64.b64decode(b"".join(content.split()), validate=True)
    except binascii.Error:
        return content


def _restore_line_breaks(pem: str) -> str:
    """PEM text with the line breaks that one-line form fields and environment variables remove."""
    return _PEM_ON_ONE_LINE.sub(
        lambda block: "\n".join([f"-----BEGIN {block[1]}-----", *block[2].split(), f"-----END {block[1]}-----", ""]),
        pem.replace("\\r", "").replace("\\n", "\n"),
    )


def _pem_certificates(content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise InvalidCertificateError(
            "The management certificate is PEM text without a readable CERTIFICATE block. Set the certificate, "
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
            "There is no private key for the management certificate. Set it as PEM: as the connection's password, or "
            "in the file of private_key_path or certificate_path."
        )
    start = content.index(b"-----BEGIN " + blocks[0])
    try:
        try:
            return load_pem_private_key(content[start:], password)
        except TypeError:
            if password is None:
                raise InvalidCertificateError(
                    "The private key of the management certificate is encrypted. Set its passphrase "
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
            "The management certificate is neither PEM nor PKCS#12 with this passphrase. Check file and passphrase."
        ) from None
    if key is None or certificate is None:
        raise InvalidCertificateError(
            "The PKCS#12 contains no certificate with its private key. Export it with its private key."
        )
    return key, [certificate, *others]


def _own_certificate_first(certificates: Sequence[x509.Certificate], key: PrivateKeyTypes) -> list[x509.Certificate]:
    own = next((certificate for certificate in certificates if certificate.public_key() == key.public_key()), None)
    if own is None:
        subjects = ", ".join(certificate.subject.rfc4514_string() or "(no subject)" for certificate in certificates)
        raise InvalidCertificateError(
            f"The private key does not belong to the management certificate {subjects}. Set the key of this "
            "certificate."
        )
    return [own, *(certificate for certificate in certificates if certificate is not own)]
