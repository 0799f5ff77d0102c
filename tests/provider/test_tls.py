"""One setting for the CAs of every TLS connection, and a certificate that is not trusted is no network failure."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from biztalk_services.__main__ import main
from biztalk_services.archive.errors import StorageNotTrustedError
from biztalk_services.drivers.biztalk.wire import server as server_module
from biztalk_services.model.errors import ServerNotTrustedError
from biztalk_services.model.tls import InvalidCaBundleError
from biztalk_services.provider.connections import AirflowConnections
from biztalk_services.provider.hook import ServiceHook

from tests.archive.azurite import ACCOUNT, API_VERSION, KEY, Azurite
from tests.provider.connections import SERVICE, management
from tests.wire.pki import DAY, Identity, identity

OPTION = "AIRFLOW__BIZTALK_SERVICES__CA_BUNDLE"
CA = identity("Corporate CA")
CERTIFICATES = {
    "is not signed by a CA that is trusted here": ("127.0.0.1", identity("server", identity("Another CA"))),
    "has expired": ("127.0.0.1", identity("server", CA, begins=-2 * DAY, ends=-DAY)),
    "is not yet valid": ("127.0.0.1", identity("server", CA, begins=DAY, ends=2 * DAY)),
    "is for another host": ("localhost", identity("server", CA)),
}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch) -> None:
    monkeypatch.setattr(server_module, "sleep", lambda seconds: None)


@pytest.fixture
def ca(tmp_path) -> str:
    (tmp_path / "corporate-ca.pem").write_text(CA.certificate_pem)
    return str(tmp_path / "corporate-ca.pem")


@pytest.fixture
def serve(tmp_path) -> Iterator[Callable[[Identity], int]]:
    """Starts a server that does nothing after the handshake."""
    ending, listeners = threading.Event(), []

    def start(who: Identity) -> int:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*who.write(tmp_path, "server"))
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(0.05)
        listeners.append(listener)

        def run() -> None:
            while not ending.is_set():
                try:
                    with context.wrap_socket(listener.accept()[0], server_side=True):
                        pass
                except OSError:
                    continue

        threading.Thread(target=run, daemon=True).start()
        return listener.getsockname()[1]

    yield start
    ending.set()
    for listener in listeners:
        listener.close()


def storage(host: str, port: int, **extra: Any) -> dict[str, Any]:
    return {
        "conn_type": "wasb",
        "login": ACCOUNT,
        "password": KEY,
        "host": f"https://{host}:{port}/{ACCOUNT}",
        "extra": {"api_version": API_VERSION, "retry_total": 0, **extra},
    }


@pytest.fixture(scope="module")
def tls_azurite(tmp_path_factory) -> Iterator[Azurite]:
    folder = tmp_path_factory.mktemp("azurite-tls")
    certificate, key = identity("azurite", CA).write(folder, "azurite")
    running = Azurite.start(folder, "--cert", str(certificate), "--key", str(key))
    yield running
    running.stop()


@pytest.mark.parametrize("how", ["option", "ca_bundle", "connection_verify", "environment"])
def test_storage_trusts_a_corporate_ca(how, tls_azurite, ca, connect, monkeypatch, capsys):
    extra = {how: ca} if how in ("ca_bundle", "connection_verify") else {}
    connect("store", storage("127.0.0.1", tls_azurite.port, **extra))
    if how == "option":
        monkeypatch.setenv(OPTION, ca)
    if how == "environment":
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca)
    assert "is reachable and accepts the key" in AirflowConnections().storage("store").check()


@pytest.mark.parametrize("own", ["ca_bundle", "connection_verify"])
def test_a_connection_of_storage_wins_over_the_option(own, tls_azurite, ca, connect, monkeypatch, tmp_path):
    other = tmp_path / "other.pem"
    other.write_text(identity("Other CA").certificate_pem)
    monkeypatch.setenv(OPTION, str(other))
    connect("store", storage("127.0.0.1", tls_azurite.port, **{own: ca}))
    assert AirflowConnections().storage("store").check()


@pytest.mark.parametrize("verdict", CERTIFICATES)
def test_a_distrusted_storage_is_no_network_failure(verdict, serve, ca, connect, monkeypatch):
    host, who = CERTIFICATES[verdict]
    monkeypatch.setenv(OPTION, ca)
    connect("store", storage(host, serve(who)))
    with pytest.raises(StorageNotTrustedError) as error:
        AirflowConnections().storage("store").check()
    assert verdict in str(error.value)
    assert "ca_bundle" in str(error.value)
    assert error.value.advice == "stop"


@pytest.mark.parametrize("verdict", CERTIFICATES)
@pytest.mark.parametrize("of", ["management", "namespace"])
def test_a_distrusted_service_is_no_network_failure(of, verdict, serve, ca, connect, monkeypatch, shared_emulator):
    host, who = CERTIFICATES[verdict]
    monkeypatch.setenv(OPTION, ca)
    port = serve(who)
    if of == "management":
        connection = management(shared_emulator)
        connection["extra"].pop("ca_bundle")
        connect("biztalk_default", connection | {"host": host, "port": port})
        with pytest.raises(ServerNotTrustedError) as error:
            ServiceHook().driver.list_services()
    else:
        connect("biztalk_default", management(shared_emulator))
        service = ServiceHook().driver.get_service(next(iter(ServiceHook().driver.list_services())).ref)
        acs = {"conn_type": "generic", "host": f"https://{host}", "port": port, "password": "a2V5"}
        connect("acs", acs | {"extra": {"namespace": "contosoacs"}})
        client = ServiceHook().driver._sources.partner_management(service, override="acs")
        with pytest.raises(ServerNotTrustedError) as error:
            client.check()
    assert f"The certificate of the server {verdict}" in str(error.value)
    assert "ca_bundle names the PEM file of the CAs that are trusted" in str(error.value)
    assert "network" not in str(error.value)


def test_the_option_holds_for_the_subscription(shared_emulator, connect, monkeypatch):
    connection = management(shared_emulator)
    monkeypatch.setenv(OPTION, connection["extra"].pop("ca_bundle"))
    connect("biztalk_default", connection)
    works, sentence = ServiceHook().test_connection()
    assert works, sentence
    assert SERVICE in sentence


@pytest.mark.parametrize("content", [None, "", "no PEM", CA.key_pem, CA.certificate_pem.encode("utf-16")])
@pytest.mark.parametrize("of", ["subscription", "storage"])
def test_a_ca_bundle_that_cannot_be_read_is_named(content, of, shared_emulator, connect, tmp_path):
    file = tmp_path / "bundle.pem"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    subscription = management(shared_emulator)
    subscription["extra"]["ca_bundle"] = str(file)
    connect("biztalk_default", subscription)
    connect("store", storage("127.0.0.1", 1, ca_bundle=str(file)))
    with pytest.raises(InvalidCaBundleError) as error:
        AirflowConnections().storage("store") if of == "storage" else ServiceHook().driver
    conn_id = "store" if of == "storage" else "biztalk_default"
    assert f"The CA bundle {file} (extra ca_bundle of connection {conn_id}) cannot be read" in str(error.value)


def test_pem_text_is_no_bundle_of_storage(connect):
    connect("store", storage("127.0.0.1", 1, ca_bundle=CA.certificate_pem))
    with pytest.raises(InvalidCaBundleError, match=r"ca_bundle of connection store is PEM text\. Name the path"):
        AirflowConnections().storage("store")


@pytest.mark.parametrize("how", ["option", "variable"])
def test_one_option_of_the_command_line_holds_for_storage(how, tls_azurite, ca, monkeypatch, capsys):
    url = f"https://127.0.0.1:{tls_azurite.port}/{ACCOUNT}"
    text = f"BlobEndpoint={url};AccountName={ACCOUNT};AccountKey={KEY}"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", f'"{text}"')
    monkeypatch.setenv("BIZTALK_STORAGE_API_VERSION", API_VERSION)
    if how == "variable":
        monkeypatch.setenv("BIZTALK_CA_BUNDLE", ca)
    assert main(["list", *(["--ca-bundle", ca] if how == "option" else [])]) == 0
    assert "There is no backup" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["/not/there.pem", str(Path(__file__))])
def test_the_command_line_names_a_bad_ca_bundle(name, capsys):
    assert main(["list", "--ca-bundle", name]) == 2
    assert f"The CA bundle {name} (--ca-bundle) cannot be read" in capsys.readouterr().err
