"""What people have in place of a certificate with its key: taken where it is unambiguous, else named as what it is."""

from __future__ import annotations

import base64
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from biztalk_services.drivers.biztalk.errors import InvalidCertificateError
from biztalk_services.drivers.biztalk.values import InvalidValueError, check_ssl_certificate
from biztalk_services.drivers.biztalk.wire.credentials import ManagementCredentials
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs7,
    pkcs12,
)

from tests.wire.pki import Identity, identity

ONE, TWO = "5f3c1a52-9e0b-4d6e-8f52-2b1c7d9a4e10", "0a1b2c3d-0000-4d6e-8f52-2b1c7d9a4e10"


def settings_file(**certificates: Identity) -> str:
    """A publish settings file of schema 2, one certificate a subscription."""
    subscriptions = "".join(
        f'<Subscription ServiceManagementUrl="https://management.core.windows.net" Id="{subscription}" '
        f'Name="x" ManagementCertificate="{base64.b64encode(person.pkcs12(None)).decode()}" />'
        for subscription, person in certificates.items()
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<PublishData>\n<PublishProfile SchemaVersion="2.0" '
        f'PublishMethod="AzureServiceManagementAPI">{subscriptions}</PublishProfile></PublishData>'
    )


def old_settings_file(person: Identity, *subscriptions: str) -> str:
    """The same in schema 1: one certificate for all."""
    inner = "".join(f'<Subscription Id="{each.upper()}" Name="x" />' for each in subscriptions)
    certificate = base64.b64encode(person.pkcs12(None)).decode()
    return f'<PublishData><PublishProfile ManagementCertificate="{certificate}">{inner}</PublishProfile></PublishData>'


WRITTEN: dict[str, Callable[[str], bytes]] = {
    "utf-8": lambda text: text.encode(),
    "utf-8 with BOM": lambda text: text.encode("utf-8-sig"),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "Notepad's Unicode": lambda text: b"\xff\xfe" + text.replace("\n", "\r\n").encode("utf-16-le"),
    "Notepad's Unicode big endian": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-16 without BOM": lambda text: text.encode("utf-16-le"),
    "UTF-16 big endian without BOM": lambda text: text.encode("utf-16-be"),
    "text around": lambda text: b"Bag Attributes\n  friendlyName: x\n" + text.encode() + b"\n\n",
}


@pytest.mark.parametrize("way", WRITTEN)
@pytest.mark.parametrize("encrypted", [False, True])
def test_pem_in_every_encoding(management: Identity, tmp_path: Path, way, encrypted):
    file = tmp_path / "both.pem"
    key = management.encrypted_key_pem("sesame") if encrypted else management.key_pem
    file.write_bytes(WRITTEN[way](management.certificate_pem + key))
    credentials = ManagementCredentials(certificate_path=file, passphrase="sesame" if encrypted else None)
    assert credentials.subject == "CN=management"
    credentials.ssl_context()


@pytest.mark.parametrize("way", [name for name in WRITTEN if name != "text around"])
def test_publish_settings_in_every_encoding(management: Identity, tmp_path: Path, way):
    file = tmp_path / "contoso.publishsettings"
    file.write_bytes(WRITTEN[way](settings_file(**{ONE: management})))
    for subscription in (None, ONE, f"{{{ONE.upper()}}}"):
        credentials = ManagementCredentials(certificate_path=file, subscription_id=subscription)
        assert credentials.subject == "CN=management"
    assert ManagementCredentials(private_key=file.read_bytes()).subject == "CN=management"


def test_publish_settings_of_several_subscriptions(management: Identity):
    both = settings_file(**{ONE: management, TWO: identity("second")})
    assert ManagementCredentials(certificate=both, subscription_id=ONE).subject == "CN=management"
    assert ManagementCredentials(certificate=both, subscription_id=TWO).subject == "CN=second"
    with pytest.raises(
        InvalidCertificateError, match=f"of the subscriptions {ONE}, {TWO}, with different certificates"
    ):
        ManagementCredentials(certificate=both)
    for content in (both, old_settings_file(management, ONE)):
        with pytest.raises(InvalidCertificateError, match="and not of 0000"):
            ManagementCredentials(certificate=content, subscription_id="00000000-0000-0000-0000-000000000000")
    old = old_settings_file(management, ONE, TWO)
    for subscription in (None, ONE, TWO):
        assert ManagementCredentials(certificate=old, subscription_id=subscription).subject == "CN=management"


def test_certificate_content_in_the_place_of_the_key(management: Identity):
    """The field for the private key is the only one of a connection that is not shown."""
    base64_text = base64.b64encode(management.pkcs12("sesame")).decode()
    assert ManagementCredentials(private_key=base64_text, passphrase="sesame").subject == "CN=management"
    both = management.key_pem + management.certificate_pem
    assert ManagementCredentials(private_key=both).subject == "CN=management"


def test_superfluous_password_of_a_pfx(management: Identity):
    with pytest.raises(InvalidCertificateError, match="has no password, and one is set"):
        ManagementCredentials(certificate=management.pkcs12(None), passphrase="sesame")


KEY = ec.generate_private_key(ec.SECP256R1())
CSR = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(KEY, SHA256())
SPKI = PublicFormat.SubjectPublicKeyInfo
RSA = rsa.generate_private_key(65537, 2048)
SAMPLE = identity("sample")


def pem(label: str) -> bytes:
    return f"-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n".encode()


NO_KEY = "without its private key"
OTHERS: dict[str, tuple[bytes, str]] = {
    "empty": (b" \n", "is empty"),
    "CSR": (CSR.public_bytes(Encoding.PEM), "is a certificate request"),
    "CSR in DER": (CSR.public_bytes(Encoding.DER), "is a certificate request"),
    "CSR as of old tools": (pem("NEW CERTIFICATE REQUEST"), "is a certificate request"),
    "public key": (KEY.public_key().public_bytes(Encoding.PEM, SPKI), "is a public key"),
    "public key in DER": (KEY.public_key().public_bytes(Encoding.DER, SPKI), "is a public key"),
    "RSA public key": (RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1), "is a public key"),
    "SSH public key": (KEY.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH), "is an SSH key"),
    "SSH private key": (KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), "is an SSH key"),
    "SSH2 public key": (b"---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----\n", "is an SSH key"),
    "PuTTY key": (b"PuTTY-User-Key-File-2: ssh-rsa\nEncryption: none\n", "is an SSH key"),
    "chain": (pkcs7.serialize_certificates([SAMPLE.certificate], Encoding.PEM), "is a chain of certificates without"),
    "chain in DER": (pkcs7.serialize_certificates([SAMPLE.certificate], Encoding.DER), "is a chain of certificates"),
    "private key": (SAMPLE.key_pem.encode(), "is a private key"),
    "encrypted private key": (SAMPLE.encrypted_key_pem("sesame").encode(), "is a private key"),
    "private key in DER": (
        SAMPLE.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        "is a private key",
    ),
    "Java keystore": (b"\xfe\xed\xfe\xed\0\0\0\2\0\0\0\1", "is a Java keystore"),
    "HTML": (b"<!DOCTYPE html><html><body>Sign in</body></html>", "is an XML or HTML file without a certificate"),
    "web site's profile": (
        b'<publishData><publishProfile publishMethod="MSDeploy" userPWD="sesame"/></publishData>',
        "is a publish profile without a management certificate",
    ),
    "CRL": (pem("X509 CRL"), "but a block X509 CRL"),
    "words": (b"no certificate", "is neither PEM nor PKCS#12"),
    "bytes": (bytes(range(256)), "is neither PEM nor PKCS#12"),
    "half a PFX": (SAMPLE.pkcs12("sesame")[:-100], "is a PFX file of which 100 bytes are missing"),
    "PFX with another password": (SAMPLE.pkcs12("other"), "is a PFX file, and the password is wrong"),
    "PFX without key": (
        pkcs12.serialize_key_and_certificates(None, None, None, [SAMPLE.certificate], NoEncryption()),
        "no certificate with its private key",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("armor", [bytes, base64.encodebytes])
def test_management_certificate_that_is_something_else(tmp_path: Path, name, armor):
    content, sentence = OTHERS[name]
    file = tmp_path / "management"
    file.write_bytes(armor(content))
    with pytest.raises(InvalidCertificateError) as caught:
        ManagementCredentials(certificate_path=file, passphrase="sesame")
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("The management certificate is ")
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("name", OTHERS)
def test_ssl_certificate_that_is_something_else(name):
    content, sentence = OTHERS[name]
    with pytest.raises(InvalidValueError) as caught:
        check_ssl_certificate(content, "sesame", "orders.biztalk.windows.net")
    assert sentence in str(caught.value)
    assert "sesame" not in str(caught.value)


CER = [SAMPLE.certificate.public_bytes(encoding) for encoding in (Encoding.PEM, Encoding.DER)]


@pytest.mark.parametrize("content", [*CER, base64.encodebytes(CER[1]), CER[0].decode().encode("utf-16")])
def test_cer_file_without_its_key(content):
    with pytest.raises(InvalidCertificateError, match=r"no private key .* a \.cer or \.crt file has none"):
        ManagementCredentials(certificate=content)
    with pytest.raises(InvalidValueError, match=NO_KEY):
        check_ssl_certificate(content, "x", "orders.biztalk.windows.net")


@pytest.mark.parametrize("content", [SAMPLE.certificate_pem + SAMPLE.key_pem, settings_file(**{ONE: SAMPLE})])
def test_ssl_certificate_takes_nothing_but_a_pfx(content):
    with pytest.raises(InvalidValueError, match="PFX"):
        check_ssl_certificate(content.encode(), "x", "orders.biztalk.windows.net")


@pytest.mark.parametrize("passphrase", [None, ""])
def test_pfx_that_needs_a_password(passphrase):
    with pytest.raises(InvalidCertificateError, match=r"needs a password, and none is set\. .*private_key_passphrase"):
        ManagementCredentials(certificate=SAMPLE.pkcs12("sesame"), passphrase=passphrase)


def test_password_of_a_pfx_in_the_place_of_the_key():
    with pytest.raises(InvalidCertificateError, match=r"needs a password.*\(extra private_key_passphrase"):
        ManagementCredentials(certificate=SAMPLE.pkcs12("sesame"), private_key="sesame")


def test_encrypted_key_of_a_pem_file_is_not_asked_for_at_a_terminal(management: Identity, tmp_path: Path):
    """OpenSSL and requests ask the terminal for the passphrase of such a file."""
    file = tmp_path / "both.pem"
    file.write_text(management.certificate_pem + management.encrypted_key_pem("sesame"))
    program = (
        "from biztalk_services.drivers.biztalk.wire.credentials import ManagementCredentials as M\n"
        f"try: M(certificate_path={str(file)!r})\n"
        "except Exception as error: print(error)\n"
    )
    terminal, other = pty.openpty()
    result = subprocess.run(
        [sys.executable, "-c", program], stdin=other, capture_output=True, text=True, timeout=60, start_new_session=True
    )
    assert "is encrypted, and there is no passphrase" in result.stdout
    assert "pass" not in result.stderr.lower()
    for each in (terminal, other):
        os.close(each)
