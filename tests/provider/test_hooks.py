"""Connections: what they hold, what "Test" returns, and that no secret of them is repeated."""

from __future__ import annotations

import base64

import pytest
from airflow.sdk import BaseHook, Connection
from biztalk_services.archive.errors import StorageConnectionError
from biztalk_services.drivers.biztalk.driver import BizTalkDriver
from biztalk_services.drivers.registry import CONNECT, ConnectionNotFoundError
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.service import ServiceRef
from biztalk_services.provider.connections import AirflowConnections, open_archive
from biztalk_services.provider.hook import BizTalkServicesHook, ServiceHook, driver_for

from tests.archive.azurite import ACCOUNT, KEY, free_port
from tests.emulator.driver import SUBSCRIPTION
from tests.provider.connections import NAME, SERVICE, TRACKING, management, storage
from tests.wire.pki import identity

pytestmark = pytest.mark.usefixtures("connections")


def by_paths(emulator) -> dict:
    """The connection with the certificate's files instead of its text."""
    pki = emulator.home / "pki"
    extra = {
        "certificate_path": str(pki / "management.pem"),
        "private_key_path": str(pki / "management.key"),
        "ca_bundle": str(pki / "ca.pem"),
    }
    return management(emulator) | {"password": None, "extra": extra}


@pytest.fixture(params=["biztalk_services", "generic"])
def conn_type(request) -> str:
    return request.param


@pytest.mark.parametrize("form", [management, by_paths])
def test_it_works_in_every_form(form, conn_type, emulator, connect):
    connect("biztalk_default", form(emulator) | {"conn_type": conn_type})
    works, sentence = ServiceHook("biztalk_default").test_connection()
    assert works, sentence
    assert SERVICE in sentence
    assert driver_for("biztalk_default").get_service(ServiceRef.parse(SERVICE)).state == "Active"
    assert BizTalkServicesHook().driver.subscription_id == SUBSCRIPTION


def test_airflow_finds_the_hook_by_the_type():
    hook = BaseHook.get_connection("biztalk_default").get_hook()
    assert isinstance(hook, BizTalkServicesHook)
    assert hook.get_conn() is hook.driver
    assert isinstance(hook.driver, BizTalkDriver)
    assert [str(service.ref) for service in hook.driver.list_services()].count(SERVICE) == 1


def test_another_type_has_its_own_driver(monkeypatch):
    own, calls = object(), []

    def connect(connection, connections, options):
        calls.append((connection.conn_id, connections.get("biztalk_default").conn_type, options["drain_query"]))
        return own

    monkeypatch.setitem(CONNECT, "other_services", connect)
    monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__DRAIN_QUERY", "SELECT 1")
    hook = ServiceHook(connection=Connection(conn_id="other", conn_type="other_services"))
    assert hook.driver is own
    assert hook.get_conn() is own
    assert calls == [("other", "biztalk_services", "SELECT 1")]


def test_a_type_without_a_driver_is_refused(connect):
    connect("other", {"conn_type": "other_services"})
    with pytest.raises(BackupServiceError, match="Connection other has the type other_services, for which there is no"):
        driver_for("other")
    works, sentence = ServiceHook("other").test_connection()
    assert (works, "drivers for biztalk_services" in sentence) == (False, True)


def changed(emulator, **changes) -> dict:
    connection = management(emulator)
    extra = {name: value for name, value in (connection["extra"] | changes.pop("extra", {})).items() if value}
    return connection | changes | {"extra": extra}


STRANGER = identity("stranger")
FAILURES = {
    "no certificate": ({"extra": {"certificate": None}}, "certificate"),
    "no key": ({"password": None}, "key"),
    "another's key": ({"password": STRANGER.key_pem}, "key"),
    "a key in the certificate": (
        {"password": None, "extra": {"certificate": STRANGER.certificate_pem + STRANGER.key_pem}},
        "Put the private key into the password",
    ),
    "an encrypted key in the certificate": (
        {"extra": {"certificate": STRANGER.certificate_pem + STRANGER.encrypted_key_pem("canary")}},
        "Put the private key into the password",
    ),
    "a key and nothing else as certificate": ({"extra": {"certificate": STRANGER.key_pem}}, "into the password"),
    "a PKCS#12 as certificate": (
        {"password": None, "extra": {"certificate": base64.b64encode(STRANGER.pkcs12(None)).decode()}},
        "the path of a PEM or PFX file",
    ),
    "a text that is no certificate": ({"extra": {"certificate": "canary"}}, "certificate"),
    "a file that is not there": ({"extra": {"certificate": None, "certificate_path": "/no/such.pem"}}, "/no/such.pem"),
    "a certificate that was not uploaded": (
        {"password": STRANGER.key_pem, "extra": {"certificate": STRANGER.certificate_pem}},
        "uploaded to th",
    ),
    "a server that is not trusted": ({"extra": {"ca_bundle": None}}, "ca_bundle"),
    "a CA bundle that is not there": ({"extra": {"ca_bundle": "/no/such-ca.pem"}}, "/no/such-ca.pem"),
    "another subscription": ({"login": "00000000-0000-0000-0000-000000000000"}, "uploaded to th"),
    "no subscription": ({"login": None}, "subscription id"),
    "no server": ({"port": free_port()}, "Could not connect"),
    "an URL as host": ({"host": "https://127.0.0.1/x"}, "without user, path and query"),
    "an unknown host": ({"host": "no-such-host.invalid"}, "Could not connect"),
    "an API version that is too old": ({"extra": {"api_version": "2009-01-01"}}, "MissingOrIncorrectVersionHeader"),
}


@pytest.mark.parametrize("what", FAILURES)
def test_every_failure_is_a_sentence_without_secrets(what, emulator, connect, secrets):
    changes, expected = FAILURES[what]
    connect("biztalk_default", changed(emulator, **changes))
    works, sentence = ServiceHook("biztalk_default").test_connection()
    assert not works
    assert expected in sentence
    assert sentence.endswith(".")
    assert len(sentence) > 40
    assert [secret for secret in [*secrets, "canary", *STRANGER.key_pem.splitlines()[1:-1]] if secret in sentence] == []


def test_a_missing_connection_is_named():
    works, sentence = BizTalkServicesHook("no_such_connection").test_connection()
    assert not works
    assert "no_such_connection" in sentence


def test_the_storage_account(azurite, connect, blobs):
    account = AirflowConnections().storage("biztalk_backup_storage")
    assert account.name == ACCOUNT
    assert KEY in account.connection_string()
    assert KEY not in repr(account)
    blobs.create_container("taken-already")
    assert account.container_exists("taken-already")
    assert not account.container_exists(f"free-{NAME}")
    connect("other", storage(azurite, login="another"))
    with pytest.raises(StorageConnectionError, match="the path /devstoreaccount1, and the account is another"):
        AirflowConnections().storage("other")


def test_an_archive_is_a_connection_and_a_container():
    archive = open_archive("biztalk_backup_storage/some-container")
    assert (archive.account.name, archive.container) == (ACCOUNT, "some-container")


class TestAirflowConnections:
    def test_a_missing_connection_is_none(self):
        assert AirflowConnections().get("no_such_connection") is None

    def test_a_query_returns_columns_and_rows(self):
        query = "SELECT :service AS service, 1 AS one"
        columns, rows = AirflowConnections().query(TRACKING, query, {"service": NAME})
        assert (columns, [tuple(row) for row in rows]) == (["service", "one"], [(NAME, 1)])

    def test_a_query_through_a_missing_connection_is_refused(self):
        with pytest.raises(ConnectionNotFoundError, match="There is no connection no_such_connection"):
            AirflowConnections().query("no_such_connection", "SELECT 1", {})
