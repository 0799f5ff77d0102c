"""A service with a custom domain, whose TLS certificate is for that domain; and services in sovereign clouds."""

from __future__ import annotations

from typing import Any

import pytest
from biztalk_services.drivers.biztalk.wire import partner_management
from biztalk_services.drivers.biztalk.wire.credentials import client_context
from biztalk_services.drivers.biztalk.wire.partner_addresses import PartnerAddresses
from biztalk_services.drivers.biztalk.wire.partner_management import PartnerManagementClient
from biztalk_services.drivers.biztalk.wire.server import Request, Server
from biztalk_services.model.errors import InvalidAddressError, ServerNotTrustedError

from tests.wire.pki import identity
from tests.wire.scripted_server import ScriptedServer, response

EDI = "edi.contoso.example"
CHINA = {"access_control_host": "accesscontrol.chinacloudapi.cn", "service_host": "biztalk.chinacloudapi.cn"}
ROOT = "default/$PartnerManagement"


def read(server: ScriptedServer, *names: str) -> int:
    context = client_context(server.ca_file)
    client = Server(f"https://127.0.0.1:{server.port}", context, (5, 5), handshake=str, tls_names=names)
    try:
        return client.read(Request("GET", "/", "read", {}), lambda answer: answer.status)
    finally:
        client.close()


@pytest.mark.parametrize("hosts", [(EDI,), ("*.contoso.example",), ()])
def test_certificate_may_be_for_the_custom_domain_or_the_host(ca, ca_file, tmp_path, hosts):
    person = identity("server", ca, hosts=hosts)
    with ScriptedServer(person, ca_file, tmp_path, client_certificate=False, script=[response(200)]) as server:
        assert read(server, EDI, "127.0.0.1") == 200
        assert len(server.requests) == 1


def test_certificate_for_neither_is_not_trusted(ca, ca_file, tmp_path, pauses):
    person = identity("server", ca, hosts=("other.example",))
    with ScriptedServer(person, ca_file, tmp_path, client_certificate=False, script=[response(200)]) as server:
        with pytest.raises(ServerNotTrustedError):
            read(server, EDI, "127.0.0.1")
        assert server.requests == []


def test_requests_go_to_the_name_that_the_platform_gave(monkeypatch):
    """The custom domain may lead to another service, for example when this one is a restored copy."""
    made: dict[str, Any] = {}
    monkeypatch.setattr(partner_management, "Server", lambda origin, *given, **named: made.setdefault(origin, named))
    PartnerManagementClient("orders", namespace="contoso-acs", key="x", custom_domain=EDI)
    named = made["https://orders.biztalk.windows.net"]
    assert named["tls_names"] == (EDI, "orders.biztalk.windows.net")
    assert "tls_names" not in made["https://contoso-acs.accesscontrol.windows.net"]


def test_addresses_with_the_custom_domain_are_of_this_service():
    addresses = PartnerAddresses("orders", "contoso-acs", custom_domain=EDI)
    assert addresses.path_of(f"https://{EDI}/{ROOT}/Agreements(1)", "entity") == "Agreements(1)"
    assert addresses.page_of(f"https://EDI.contoso.example/{ROOT}/Agreements?$skip=1") == ("Agreements", "$skip=1")
    with pytest.raises(InvalidAddressError):
        addresses.path_of(f"https://x.contoso.example/{ROOT}/Agreements(1)", "entity")


@pytest.mark.parametrize("namespace", ["contoso-acs", "contoso-acs.accesscontrol.chinacloudapi.cn"])
def test_hosts_of_a_sovereign_cloud(namespace):
    options = CHINA if "." not in namespace else CHINA | {"access_control_host": "accesscontrol.windows.net"}
    client = PartnerManagementClient("orders", namespace=namespace, key="x", **options)
    addresses = client._addresses
    assert addresses.origin == "https://orders.biztalk.chinacloudapi.cn"
    assert addresses.acs_origin == "https://contoso-acs.accesscontrol.chinacloudapi.cn"
    assert addresses.scope == f"http://orders.biztalk.chinacloudapi.cn/{ROOT}/"
    client.close()
