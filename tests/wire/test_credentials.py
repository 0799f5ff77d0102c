"""Certificates and keys in all supported formats, and their errors."""

from __future__ import annotations

import base64
import pickle
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from biztalk_services.drivers.biztalk.errors import InvalidCertificateError
from biztalk_services.drivers.biztalk.wire.credentials import ManagementCredentials
from biztalk_services.model.tls import InvalidCaBundleError
from cryptography.hazmat.primitives.serialization import Encoding

from tests.wire.pki import DAY, Identity, identity


def loads(credentials: ManagementCredentials) -> bool:
    return isinstance(credentials.ssl_context(), ssl.SSLContext) and credentials.subject == "CN=management"


def test_pem_text(management: Identity):
    assert loads(ManagementCredentials(certificate=management.certificate_pem, private_key=management.key_pem))


def test_pem_text_with_key_and_chain_in_any_order(management: Identity, ca: Identity):
    everything = management.key_pem + ca.certificate_pem + management.certificate_pem
    assert loads(ManagementCredentials(certificate=everything))


@pytest.mark.parametrize("damage", [lambda text: text.replace("\n", " "), lambda text: text.replace("\n", "\\n")])
def test_pem_text_without_line_breaks(management: Identity, damage):
    certificate, key = damage(management.certificate_pem), damage(management.key_pem)
    assert loads(ManagementCredentials(certificate=certificate, private_key=key))


def test_pem_files(management: Identity, tmp_path: Path):
    certificate, key = management.write(tmp_path, "management")
    assert loads(ManagementCredentials(certificate_path=certificate, private_key_path=str(key)))


def test_encrypted_key(management: Identity):
    key = management.encrypted_key_pem("sesame")
    assert loads(ManagementCredentials(certificate=management.certificate_pem, private_key=key, passphrase="sesame"))


def test_superfluous_passphrase_is_ignored(management: Identity):
    assert loads(
        ManagementCredentials(certificate=management.certificate_pem, private_key=management.key_pem, passphrase="x")
    )


@pytest.mark.parametrize("passphrase", ["sesame", None])
def test_pkcs12_as_file_as_bytes_and_as_base64(management: Identity, tmp_path: Path, passphrase):
    content = management.pkcs12(passphrase)
    file = tmp_path / "management.pfx"
    file.write_bytes(content)
    assert loads(ManagementCredentials(certificate_path=file, passphrase=passphrase))
    assert loads(ManagementCredentials(certificate=content, passphrase=passphrase))
    assert loads(ManagementCredentials(certificate=base64.encodebytes(content).decode(), passphrase=passphrase))


def test_der_certificate_with_pem_key(management: Identity):
    der = management.certificate.public_bytes(Encoding.DER)
    assert loads(ManagementCredentials(certificate=der, private_key=management.key_pem))


def test_error_message_states_the_cause(management: Identity, tmp_path: Path):
    certificate, key = management.certificate_pem, management.key_pem
    encrypted = management.encrypted_key_pem("sesame")
    wrong = {
        "There is no management certificate": {},
        "cannot be read from .*absent.pem \\(No such file": {"certificate_path": tmp_path / "absent.pem"},
        "private key cannot be read from .*absent.key": {
            "certificate": certificate,
            "private_key_path": tmp_path / "absent.key",
        },
        "There is no private key": {"certificate": certificate},
        "is a private key. Set its certificate": {"certificate": key},
        "is encrypted, and there is no passphrase. Set its passphrase": {
            "certificate": certificate,
            "private_key": encrypted,
        },
        "passphrase is wrong": {"certificate": certificate, "private_key": encrypted, "passphrase": "open"},
        "does not belong to the management certificate CN=management": {
            "certificate": certificate,
            "private_key": identity("other").key_pem,
        },
        "is a PFX file, and the password is wrong": {"certificate": management.pkcs12("sesame"), "passphrase": "open"},
        "neither PEM nor": {"certificate": "no certificate"},
        "PEM text is damaged": {
            "certificate": certificate,
            "private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        },
    }
    for sentence, arguments in wrong.items():
        with pytest.raises(InvalidCertificateError, match=sentence) as caught:
            ManagementCredentials(**arguments)
        assert caught.value.advice == "stop"
        assert "sesame" not in str(caught.value)


def test_validity_period(ca: Identity):
    soon = identity("soon", ca, begins=DAY, ends=20 * DAY)
    credentials = ManagementCredentials(certificate=soon.certificate_pem, private_key=soon.key_pem)
    now = datetime.now(UTC)
    with pytest.raises(InvalidCertificateError, match="CN=soon is valid only from"):
        credentials.check_validity(now)
    credentials.check_validity(now + 2 * DAY)
    with pytest.raises(InvalidCertificateError, match=f"CN=soon expired on {credentials.valid_until:%Y-%m-%d}"):
        credentials.check_validity(now + 21 * DAY)
    assert "CN=soon expires on" in credentials.expiry_warning(now)
    assert "CN=soon expired on" in credentials.expiry_warning(now + 30 * DAY)
    assert credentials.expiry_warning(now, within=timedelta(days=5)) is None


def test_key_is_neither_printed_nor_left_on_disk(management: Identity, monkeypatch, tmp_path: Path):
    written: list[tuple[int, str]] = []
    load_cert_chain = ssl.SSLContext.load_cert_chain

    def spy(context: ssl.SSLContext, file: Path, password: str) -> None:
        written.append((Path(file).stat().st_mode & 0o777, Path(file).read_text()))
        assert Path(file).parent.stat().st_mode & 0o777 == 0o700
        load_cert_chain(context, file, password=password)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", spy)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    credentials = ManagementCredentials(certificate=management.certificate_pem, private_key=management.key_pem)
    credentials.ssl_context()
    ((mode, content),) = written
    secret = management.key_pem.splitlines()[1]
    assert mode == 0o600
    assert "ENCRYPTED PRIVATE KEY" in content
    assert secret not in content
    assert list(tmp_path.iterdir()) == []
    assert secret not in repr(credentials) + str(credentials)
    assert "CN=management" in repr(credentials)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(credentials)


def test_ca_bundles(management: Identity, ca: Identity, ca_file: Path, tmp_path: Path):
    credentials = ManagementCredentials(certificate=management.certificate_pem, private_key=management.key_pem)
    for bundle in (ca_file, str(ca_file), ca.certificate_pem, ca.certificate_pem.replace("\n", " ")):
        trusted = credentials.ssl_context(bundle).get_ca_certs()
        assert [certificate["subject"] for certificate in trusted] == [((("commonName", "Test CA"),),)]
    assert credentials.ssl_context().check_hostname
    assert len(credentials.ssl_context().get_ca_certs()) > 50
    empty = tmp_path / "empty.pem"
    empty.touch()
    for wrong in (tmp_path / "absent.pem", empty, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"):
        with pytest.raises(InvalidCaBundleError, match="CA bundle"):
            credentials.ssl_context(wrong)
