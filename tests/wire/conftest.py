from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from biztalk_services.drivers.biztalk.wire import server as server_module
from biztalk_services.drivers.biztalk.wire.client import BizTalkServicesClient
from biztalk_services.drivers.biztalk.wire.credentials import ManagementCredentials
from biztalk_services.drivers.biztalk.wire.partner_management import PartnerManagementClient

from tests.wire.partner_samples import KEY
from tests.wire.pki import Identity, identity
from tests.wire.scripted_server import ScriptedServer

SUBSCRIPTION = "5f3c1a52-9e0b-4d6e-8f52-2b1c7d9a4e10"


@pytest.fixture(scope="package")
def ca() -> Identity:
    return identity("Test CA")


@pytest.fixture(scope="package")
def management(ca: Identity) -> Identity:
    return identity("management", ca)


@pytest.fixture(scope="package")
def ca_file(ca: Identity, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    file.write_text(ca.certificate_pem)
    return file


@pytest.fixture(scope="package")
def credentials(management: Identity) -> ManagementCredentials:
    return ManagementCredentials(certificate=management.certificate_pem, private_key=management.key_pem)


@pytest.fixture
def server(ca: Identity, ca_file: Path, tmp_path: Path) -> Iterator[ScriptedServer]:
    with ScriptedServer(identity("server", ca), ca_file, tmp_path) as running:
        yield running


@pytest.fixture
def open_server(ca: Identity, ca_file: Path, tmp_path: Path) -> Iterator[ScriptedServer]:
    """A server that requests no client certificate."""
    with ScriptedServer(identity("server", ca), ca_file, tmp_path, client_certificate=False) as running:
        yield running


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts in seconds; recorded instead of waited."""
    seconds: list[float] = []
    monkeypatch.setattr(server_module, "sleep", seconds.append)
    return seconds


@pytest.fixture
def connect(credentials: ManagementCredentials, ca_file: Path) -> Iterator[Callable[..., BizTalkServicesClient]]:
    """Factory of clients for a server; closes them at the end."""
    clients: list[BizTalkServicesClient] = []

    def make(port: int, **options: object) -> BizTalkServicesClient:
        settings = {"host": "127.0.0.1", "port": port, "ca_bundle": ca_file, "timeout": (10.0, 10.0)} | options
        clients.append(BizTalkServicesClient(SUBSCRIPTION, credentials, **settings))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(
    connect: Callable[..., BizTalkServicesClient], server: ScriptedServer, pauses: list[float]
) -> BizTalkServicesClient:
    return connect(server.port)


@pytest.fixture
def partner_client(ca_file: Path) -> Iterator[Callable[..., PartnerManagementClient]]:
    """Factory of clients for the partner management of service orders; closes them at the end."""
    clients: list[PartnerManagementClient] = []

    def make(port: int, **options: object) -> PartnerManagementClient:
        settings = {"namespace": "contoso-acs", "key": KEY, "ca_bundle": ca_file, "timeout": (10.0, 10.0)} | options
        clients.append(PartnerManagementClient("orders", endpoint=f"https://127.0.0.1:{port}", **settings))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def partners(
    partner_client: Callable[..., PartnerManagementClient], open_server: ScriptedServer, pauses: list[float]
) -> PartnerManagementClient:
    return partner_client(open_server.port)
