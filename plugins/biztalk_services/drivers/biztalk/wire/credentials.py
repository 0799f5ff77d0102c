"""The management certificate and its TLS context.

Authentication is mutual TLS with a certificate that is uploaded to the subscription; self-signed certificates are
allowed (Service Management REST API, authentication).
"""

from __future__ import annotations

import secrets
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from biztalk_services.drivers.biztalk.errors import InvalidCertificateError
from biztalk_services.drivers.biztalk.wire.hosts import read_subscription
from biztalk_services.drivers.biztalk.wire.key_files import (
    PEM_MARK,
    UnusableFileError,
    decoded,
    publish_settings,
    read_pfx,
    read_private_key,
    what_is,
)
from biztalk_services.model.tls import trusting

_PASSPHRASE = "extra private_key_passphrase of the connection, BIZTALK_KEY_PASSPHRASE at a shell"


class ManagementCredentials:
    """A management certificate with its private key, validated on construction.

    Certificate and key are passed as content or as path. The content of a certificate is PEM text, PKCS#12 as base64
    text or bytes, or a publish settings file; it may include the key and the issuer chain.

    :param private_key: PEM; optional when the certificate's content includes it. Content that includes the certificate
        needs no other.
    :param passphrase: of the key or of the PKCS#12; None or empty: none.
    :param subscription_id: chooses the certificate out of a publish settings file; None: the only one.
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
        subscription_id: str | None = None,
    ) -> None:
        content = _content(certificate, certificate_path, "management certificate")
        key_content = _content(private_key, private_key_path, "private key")
        if content is None:
            content, key_content = key_content, None
        if content is None:
            raise InvalidCertificateError(
                "There is no management certificate. Set it in the connection as PEM text, or as the path of a PEM, "
                "PKCS#12 (PFX) or publish settings file."
            )
        password = passphrase.encode() if passphrase else None
        try:
            self._key, certificates = _key_and_certificates(content, key_content, password, subscription_id)
        except UnusableFileError as error:
            raise InvalidCertificateError(f"The management certificate {error}") from None
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
        :raises InvalidCertificateError: OpenSSL rejects the certificate.
        :raises InvalidCaBundleError: the bundle cannot be read.
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
    return trusting(ca_bundle or DEFAULT_CA_BUNDLE_PATH)


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
    return decoded(content)


def _key_and_certificates(
    content: bytes, key_content: bytes | None, password: bytes | None, subscription_id: str | None
) -> tuple[PrivateKeyTypes, list[x509.Certificate]]:
    """:raises UnusableFileError: the content is something else than a management certificate, or has no key."""
    settings = publish_settings(content)
    if settings is not None:
        content, password = _of_subscription(settings, subscription_id), None
    certificates = _pem_certificates(content) if PEM_MARK in content else _der_certificates(content)
    if not certificates:
        pair = read_pfx(content, password, _PASSPHRASE)
        if key_content is None:
            return pair.key, [pair.certificate, *pair.others]
        certificates = [pair.certificate, *pair.others]
    return _private_key(content if key_content is None else key_content, password), certificates


def _of_subscription(settings: Mapping[str, bytes], subscription_id: str | None) -> bytes:
    """The certificate of a publish settings file that belongs to a subscription."""
    wanted = read_subscription(subscription_id) if subscription_id else ""
    if wanted in settings:
        return settings[wanted]
    different = list(dict.fromkeys(settings.values()))
    if wanted or len(different) > 1:
        wrong = f"and not of {wanted}" if wanted else "with different certificates"
        raise UnusableFileError(
            f"is a publish settings file of the subscriptions {', '.join(settings)}, {wrong}. Correct the subscription "
            "id, or download the file again."
        )
    return different[0]


def _pem_certificates(content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        if b"BEGIN CERTIFICATE-----" in content:
            raise UnusableFileError("is PEM text with a damaged CERTIFICATE block. Copy or export it again.") from None
        raise what_is(content) from None


def _der_certificates(content: bytes) -> list[x509.Certificate]:
    try:
        return [x509.load_der_x509_certificate(content)]
    except ValueError:
        return []


def _private_key(content: bytes, password: bytes | None) -> PrivateKeyTypes:
    try:
        key = read_private_key(content, password, _PASSPHRASE)
    except UnusableFileError as error:
        raise InvalidCertificateError(f"The private key of the management certificate {error}") from None
    if key is None:
        raise InvalidCertificateError(
            "There is no private key for the management certificate: a .cer or .crt file has none. Set it as PEM, as "
            "the connection's password or in the file of private_key_path; or set certificate_path to a PEM or PFX "
            "file that holds both, and the PFX's password as private_key_passphrase."
        )
    return key


def _own_certificate_first(certificates: Sequence[x509.Certificate], key: PrivateKeyTypes) -> list[x509.Certificate]:
    own = next((certificate for certificate in certificates if certificate.public_key() == key.public_key()), None)
    if own is None:
        subjects = ", ".join(certificate.subject.rfc4514_string() or "(no subject)" for certificate in certificates)
        raise InvalidCertificateError(
            f"The private key does not belong to the management certificate {subjects}. Set the key of this "
            "certificate."
        )
    return [own, *(certificate for certificate in certificates if certificate is not own)]
