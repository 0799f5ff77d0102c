"""Files with a certificate and its private key: what is in one, and what it is when that cannot be used.

Read are PEM, PKCS#12 (PFX) and publish settings files, each also as base64 text, in UTF-8 or UTF-16. Everything is read
in memory and with a given passphrase, so no library ever asks a terminal for one.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, ParseError

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    pkcs7,
    pkcs12,
)
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from biztalk_services.drivers.biztalk.wire.hosts import read_subscription
from biztalk_services.model.errors import InvalidAddressError
from biztalk_services.model.redaction import redact
from biztalk_services.model.tls import with_line_breaks

PEM_MARK = b"-----BEGIN "
_AS_PFX = "Export the certificate with its private key as PFX"
_UTF16_MARKS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_PKCS12 = re.compile(rb"\x30(?:[\x00-\x80]|\x81.|\x82..|\x83...|\x84....)\x02\x01\x03\x30", re.DOTALL)
_LABEL = re.compile(rb"-{4,5} ?BEGIN ([A-Z0-9 ]+?) ?-{4,5}")
_BY_LABEL = {
    "CERTIFICATE": f"is a certificate without its private key (as in a .cer file). {_AS_PFX}.",
    "CERTIFICATE REQUEST": "is a certificate request (CSR). Use the certificate that was issued for it, with its key.",
    "PUBLIC KEY": f"is a public key. {_AS_PFX}.",
    "SSH KEY": "is an SSH key, which has no certificate. Use the certificate and its private key as PEM or PFX.",
    "PKCS7": f"is a chain of certificates without a private key (PKCS#7, .p7b). {_AS_PFX}.",
    "PRIVATE KEY": "is a private key. Set its certificate, not only the key.",
}
_ALIASES = {
    "NEW CERTIFICATE REQUEST": "CERTIFICATE REQUEST",
    "RSA PUBLIC KEY": "PUBLIC KEY",
    "OPENSSH PRIVATE KEY": "SSH KEY",
    "SSH2 PUBLIC KEY": "SSH KEY",
    "SSH2 ENCRYPTED PRIVATE KEY": "SSH KEY",
    "TRUSTED CERTIFICATE": "CERTIFICATE",
    "X509 CERTIFICATE": "CERTIFICATE",
}
_DER: dict[str, Callable[[bytes], Any]] = {
    "CERTIFICATE": x509.load_der_x509_certificate,
    "CERTIFICATE REQUEST": x509.load_der_x509_csr,
    "PUBLIC KEY": load_der_public_key,
    "PRIVATE KEY": lambda content: load_der_private_key(content, None),
    "PKCS7": pkcs7.load_der_pkcs7_certificates,
}


class UnusableFileError(ValueError):
    """What a file is in place of what is wanted, and what to do: the end of a sentence (``is a public key. ...``)."""


class KeyPair(NamedTuple):
    """A private key, its certificate, and the other certificates beside it."""

    key: PrivateKeyTypes
    certificate: x509.Certificate
    others: list[x509.Certificate]


def decoded(content: bytes) -> bytes:
    """Text in UTF-16, or with a byte order mark, as plain UTF-8; base64 text as what it holds; else as it is."""
    encoding = _UTF16_MARKS.get(content[:2])
    if not encoding and len(content) > 3 and 0 in content[:2] and content[:2] != b"\0\0" and b"\0" in content[2:4]:
        encoding = "utf-16-le" if content[1] == 0 else "utf-16-be"
    if encoding and len(content) % 2 == 0:
        content = content.decode(encoding, "replace").lstrip("\ufeff").encode()
    content = content.removeprefix(b"\xef\xbb\xbf")
    if PEM_MARK in content:
        return with_line_breaks(content.decode("utf-8", "replace")).encode()
    try:
        return base64.b64decode(b"".join(content.split()), validate=True)
    except binascii.Error:
        return content


def what_is(content: bytes) -> UnusableFileError:
    """What a decoded file is that does not hold a certificate with its private key."""
    if not content.strip():
        return UnusableFileError("is empty. Export it again.")
    label = next(iter(_LABEL.findall(content)), b"").decode()
    if re.match(rb"\s*(ssh-|ecdsa-sha2-|PuTTY-User-Key-File)", content):
        label = "SSH KEY"
    if not label:
        label = next((name for name, load in _DER.items() if _loads(load, content)), "")
    label = "PRIVATE KEY" if label.endswith("PRIVATE KEY") and label not in _ALIASES else _ALIASES.get(label, label)
    if label in _BY_LABEL:
        return UnusableFileError(_BY_LABEL[label])
    if content.startswith(b"\xfe\xed\xfe\xed"):
        return UnusableFileError("is a Java keystore. Export the certificate from it with its private key as PFX.")
    if content.lstrip().startswith(b"<"):
        return UnusableFileError("is an XML or HTML file without a certificate. Export or download it again.")
    kind = f" but a block {label}" if label else ""
    return UnusableFileError(f"is neither PEM nor PKCS#12 (PFX) with a certificate{kind}. {_AS_PFX}.")


def read_pfx(content: bytes, passphrase: bytes | None, setting: str) -> KeyPair:
    """Key and certificates of a PKCS#12.

    :param passphrase: None or empty for none.
    :param setting: what names the passphrase.
    :raises UnusableFileError: it is something else, is damaged, has no key, or the passphrase is wrong.
    """
    if not _PKCS12.match(content):
        if publish_settings(content) is not None:
            raise UnusableFileError("is a publish settings file, which holds management certificates. Name a PFX file.")
        raise what_is(decoded(content))
    pair = _opened(content, passphrase)
    if pair:
        return pair
    length = _der_length(content)
    if length > len(content):
        raise UnusableFileError(f"is a PFX file of which {length - len(content)} bytes are missing. Copy it again.")
    if not passphrase:
        raise UnusableFileError(f"is a PFX file that needs a password, and none is set. Set its password ({setting}).")
    if _opened(content, None):
        raise UnusableFileError(f"is a PFX file that has no password, and one is set. Remove the password ({setting}).")
    raise UnusableFileError(f"is a PFX file, and the password is wrong. Correct the password ({setting}).")


def read_private_key(content: bytes, passphrase: bytes | None, setting: str) -> PrivateKeyTypes | None:
    """The first private key in PEM text; None where there is none. A superfluous passphrase is ignored.

    :param setting: what names the passphrase.
    :raises UnusableFileError: it is encrypted, and there is no passphrase or a wrong one; or it is damaged.
    """
    blocks = re.findall(rb"(-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----.*?-----END \2-----)", content, re.DOTALL)
    if not blocks:
        return None
    block, label = blocks[0]
    if label.decode() in _ALIASES:
        raise UnusableFileError(_BY_LABEL["SSH KEY"])
    encrypted = b"ENCRYPTED" in block
    if encrypted and not passphrase:
        raise UnusableFileError(f"is encrypted, and there is no passphrase. Set its passphrase ({setting}).")
    try:
        return load_pem_private_key(block, passphrase if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        reason = "its passphrase is wrong, or the PEM text is damaged" if encrypted else "the PEM text is damaged"
        correct = f"Correct the passphrase ({setting}), or copy" if encrypted else "Copy"
        raise UnusableFileError(f"cannot be read: {reason}. {correct} the key again.") from None


def publish_settings(content: bytes) -> dict[str, bytes] | None:
    """The management certificates (PKCS#12 without password) of a publish settings file, by subscription id; None for
    any other file.

    :raises UnusableFileError: it is a publish settings file without management certificates.
    """
    root = _xml(content)
    if root is None or root.tag.rpartition("}")[2].lower() != "publishdata":
        return None
    found: dict[str, bytes] = {}
    for profile in root:
        for subscription in profile:
            text = subscription.get("ManagementCertificate") or profile.get("ManagementCertificate")
            if text and (name := _subscription_id(subscription.get("Id") or "")):
                found[name] = decoded(text.encode())
    if not found:
        raise UnusableFileError(
            "is a publish profile without a management certificate, as that of a web site. Download the publish "
            "settings file of the subscription."
        )
    return found


def host_names(certificate: x509.Certificate) -> list[str]:
    """The host names that a certificate is for, in lower case, each once: alternative names, then common names."""
    names: list[str] = []
    try:
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names += named.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        pass
    names += [str(part.value) for part in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    return list(dict.fromkeys(redact(name, limit=255).rstrip(".").lower() for name in names))


def _opened(content: bytes, passphrase: bytes | None) -> KeyPair | None:
    """What a PKCS#12 holds; None where this passphrase does not open it."""
    for tried in (passphrase,) if passphrase else (None, b""):
        try:
            key, certificate, others = pkcs12.load_key_and_certificates(content, tried)
        except UnsupportedAlgorithm:
            raise UnusableFileError("is a PFX file with an encryption that is not supported. Export it anew.") from None
        except ValueError:
            continue
        if key is None or certificate is None:
            raise UnusableFileError(f"is a PFX file that has no certificate with its private key. {_AS_PFX}.")
        return KeyPair(key, certificate, others)
    return None


def _loads(load: Callable[[bytes], Any], content: bytes) -> bool:
    try:
        load(content)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # An encrypted private key is one, too.
        return isinstance(error, TypeError)
    return True


def _der_length(content: bytes) -> int:
    """Length of the outermost DER element with its head; 0 where it does not say."""
    size = content[1] & 0x7F if content[1] > 0x80 else 0
    return 2 + size + (int.from_bytes(content[2 : 2 + size]) if size else content[1]) if content[1] != 0x80 else 0


def _xml(content: bytes) -> Element | None:
    if not content.lstrip().startswith(b"<"):
        return None
    try:
        # Without its declaration: the encoding that it names is that of the file, not of the decoded text.
        root: Element = fromstring(re.sub(rb"\A\s*<\?xml[^>]*\?>", b"", content), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return None
    return root


def _subscription_id(text: str) -> str:
    try:
        return read_subscription(text)
    except InvalidAddressError:
        return ""
