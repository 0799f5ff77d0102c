"""Partner management of the emulator: agreements by the thousand in pages of every way, and hosts of other clouds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from biztalk_services.drivers.biztalk.entities import ENTITY_SETS
from biztalk_services.drivers.biztalk.wire.partner_management import PartnerManagementClient

from tests.emulator.driver import EmulatorProcess

SERVICE, KEY = "ContosoRetail", "key of the namespace"
NUMBER = 1520


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    process = EmulatorProcess(tmp_path_factory.mktemp("paging"), "--sample-fleet").start()
    process.admin("PUT", f"/world/namespaces/{SERVICE}acs", {"key": KEY})
    content = process.admin("GET", f"/services/{SERVICE}")["content"]
    like = next(each for each in content["agreements"] if each["Protocol"] == "AS2")
    many = [{**like, "Name": f"agreement {n}", "DocumentTypes": ["x" * 3000]} for n in range(NUMBER)]
    for some in (many[: NUMBER // 2], many[NUMBER // 2 :]):
        process.admin("POST", f"/services/{SERVICE}/content", {"agreements": some})
    yield process
    assert process.stop() == 0


@pytest.mark.parametrize("paging", ["pages", "whole", "ignored", "refused"])
def test_1520_agreements_are_read_once_each(emulator, paging):
    emulator.admin("PATCH", "/settings", {"profile": {"paging": paging}})
    with PartnerManagementClient(
        SERVICE,
        namespace=f"{SERVICE}acs",
        key=KEY,
        endpoint=emulator.data_url,
        ca_bundle=emulator.home / "pki/ca.pem",
    ) as client:
        agreements = client.entities("Agreements", expand=ENTITY_SETS["Agreements"])
    names = [each["Name"] for each in agreements]
    assert len(set(names)) == len(names)
    assert {f"agreement {n}" for n in range(NUMBER)} < set(names)


@pytest.mark.parametrize("namespace", ["ContosoRetailacs", "https://contosoretailacs.accesscontrol.chinacloudapi.cn/"])
def test_hosts_of_a_sovereign_cloud(emulator, namespace):
    emulator.admin("PATCH", "/settings", {"profile": {"paging": "pages"}})
    with PartnerManagementClient(
        SERVICE,
        namespace=namespace,
        key=KEY,
        endpoint=emulator.data_url,
        access_control_host="accesscontrol.chinacloudapi.cn",
        service_host="biztalk.chinacloudapi.cn",
        ca_bundle=emulator.home / "pki/ca.pem",
    ) as client:
        assert "issued a token of namespace" in client.check()
        assert client.entities("Partners")
