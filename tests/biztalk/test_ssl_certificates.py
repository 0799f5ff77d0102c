"""The SSL certificate of a restored service: which host it has to be for, and which it is for."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from biztalk_services.drivers.biztalk.values import (
    OtherHostError,
    access_control_value,
    certificate_value,
    check_ssl_certificate,
    same_thing,
)
from biztalk_services.model.plan import PlannedValue

from tests.biztalk.pfx import SECRET, pfx

CLOUD, CHINA = "biztalk.windows.net", "biztalk.chinacloudapi.cn"
EDI = "edi.contoso.example"


@pytest.fixture
def planned(tmp_path: Path):
    def plan(content: bytes, stored: dict[str, str], target: str = "Orders", host: str = CLOUD) -> PlannedValue:
        file = tmp_path / "ssl.pfx"
        file.write_bytes(content)
        return certificate_value("connection ssl", file, SECRET, target, stored, host).planned()

    return plan


def recorded(domain: str = "") -> dict[str, str]:
    return {"Edition": "premium", "ServiceCertificate": "of the backup"} | (
        {"CustomDomainUrl": domain} if domain else {}
    )


CUSTOM = [EDI, "EDI.Contoso.Example.", f"https://{EDI}", f"https://{EDI}:8443/default", f"http://{EDI}/"]


@pytest.mark.parametrize("domain", CUSTOM)
@pytest.mark.parametrize(
    "names",
    [
        {"common_name": EDI},
        {"common_name": EDI, "hosts": (EDI,)},
        {"common_name": "x", "hosts": ("*.contoso.example",)},
        {"common_name": "*.contoso.example"},
        {"common_name": "x", "hosts": ("b.example", EDI.upper())},
    ],
)
def test_certificate_of_a_custom_domain(planned, domain, names):
    value = planned(pfx(**names), recorded(domain))
    assert value.check == "passed"
    assert f"is for {EDI} and valid until" in value.sentence
    assert planned(pfx(**names), recorded(domain), "Copy").check == "passed"


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ({"common_name": f"orders.{CLOUD}"}, f"orders.{CLOUD}"),
        ({"common_name": "contoso.example", "hosts": ("contoso.example",)}, "contoso.example"),
        ({"common_name": "*.example"}, "*.example"),
        ({"common_name": "e*.contoso.example"}, "e*.contoso.example"),
        ({"common_name": "A.example", "hosts": ("a.example", "b.example", "B.example")}, "a.example, b.example"),
        ({"common_name": None}, "no host"),
    ],
)
def test_certificate_of_another_host_than_the_custom_domain(planned, names, shown):
    value = planned(pfx(**names), recorded(EDI))
    assert value.check == "failed"
    assert value.sentence == f"The SSL certificate is for {shown}, not for {EDI}."


def test_wildcard_is_for_one_label():
    for host, fits in ((EDI, True), ("contoso.example", False), (f"a.{EDI}", False), ("edi.other.example", False)):
        content = pfx("*.contoso.example")
        if fits:
            assert EDI in check_ssl_certificate(content, SECRET, host)
        else:
            with pytest.raises(OtherHostError):
                check_ssl_certificate(content, SECRET, host)


@pytest.mark.parametrize("stored", [recorded(), recorded(f"https://orders.{CLOUD}/"), recorded(f"other.{CLOUD}")])
def test_certificate_of_the_platforms_name(planned, stored):
    assert planned(pfx(f"orders.{CLOUD}"), stored).check == "passed"
    assert planned(pfx(f"copy.{CLOUD}"), stored, "Copy").check == "passed"
    assert planned(pfx(f"orders.{CLOUD}"), stored, "Copy").check == "failed"
    assert planned(pfx(EDI), stored).check == "failed"


def test_certificate_in_a_sovereign_cloud(planned):
    assert planned(pfx(f"orders.{CHINA}"), recorded(), host=CHINA).check == "passed"
    assert planned(pfx(f"*.{CHINA}"), recorded(), host=CHINA).check == "passed"
    assert planned(pfx(f"orders.{CHINA}"), recorded()).check == "failed"


@pytest.mark.parametrize("stored", [{}, {"ServiceCertificate": "of the backup"}, recorded("not a host")])
def test_custom_domain_that_is_not_known(planned, stored):
    value = planned(pfx(EDI), stored)
    assert value.check == "not possible"
    assert f"is for {EDI}, not for orders.{CLOUD}. Which custom domain" in value.sentence
    assert planned(pfx(f"orders.{CLOUD}"), stored).check == "passed"


def test_base64_text_of_a_pfx_is_sent_as_the_pfx(tmp_path):
    content, file = pfx(EDI), tmp_path / "ssl.txt"
    file.write_bytes(base64.encodebytes(content))
    value = certificate_value("connection ssl", file, SECRET, "Orders", recorded(EDI), CLOUD)
    assert value.planned().check == "passed"
    assert value.sent["certificate"] == base64.b64encode(content).decode()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ContosoAcs", "contosoacs", True),
        ("contosoacs", "https://contosoacs.accesscontrol.chinacloudapi.cn/", True),
        ("contosoacs.accesscontrol.windows.net", "ContosoAcs", True),
        ("contosoacs", "otheracs.accesscontrol.windows.net", False),
        ("contosoacs", "", False),
    ],
)
def test_namespaces_with_and_without_their_host(one, other, same):
    assert same_thing("AccessControlNamespace", one, other) is same


@pytest.mark.parametrize(
    ("given", "stored", "sent"),
    [
        ("contosoacs.accesscontrol.chinacloudapi.cn", "ContosoAcs", "ContosoAcs"),
        ("contosoacs", "contosoacs.accesscontrol.chinacloudapi.cn", "contosoacs.accesscontrol.chinacloudapi.cn"),
        ("https://otheracs.accesscontrol.windows.net", "contosoacs", "otheracs"),
        ("OtherAcs", "", "OtherAcs"),
    ],
)
def test_namespace_is_sent_as_the_service_spells_it(given, stored, sent):
    def client(name: str) -> Any:
        raise AssertionError(name)

    value = access_control_value("connection acs", given, SECRET, "orders", [], client, stored)
    assert (value.shown, value.sent["acs_namespace"]) == (sent, sent)
