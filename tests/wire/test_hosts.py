"""Hosts, namespaces and subscription ids as people write them and as services report them."""

from __future__ import annotations

import pytest
from biztalk_services.drivers.biztalk.wire.hosts import (
    custom_domain,
    read_host,
    read_namespace,
    read_subscription,
    reported_host,
)
from biztalk_services.model.errors import InvalidAddressError


@pytest.mark.parametrize(
    ("text", "port", "origin"),
    [
        ("management.core.windows.net", None, "https://management.core.windows.net"),
        ("management.core.windows.net", 8443, "https://management.core.windows.net:8443"),
        (" Management.Core.ChinaCloudAPI.cn. ", None, "https://management.core.chinacloudapi.cn"),
        ("https://management.core.windows.net", None, "https://management.core.windows.net"),
        ("HTTPS://management.core.windows.net/", None, "https://management.core.windows.net"),
        ("https://management.core.windows.net:8443/", None, "https://management.core.windows.net:8443"),
        ("management.core.windows.net:8443", None, "https://management.core.windows.net:8443"),
        ("management.core.windows.net:8443", 8443, "https://management.core.windows.net:8443"),
        ("'management.core.windows.net'", None, "https://management.core.windows.net"),
        ("localhost", 18443, "https://localhost:18443"),
        ("127.0.0.1:18443", None, "https://127.0.0.1:18443"),
        ("::1", 18443, "https://[::1]:18443"),
        ("[::1]:18443", None, "https://[::1]:18443"),
        ("https://bücher.example", None, "https://xn--bcher-kva.example"),
    ],
)
def test_host_as_people_write_it(text, port, origin):
    assert read_host(text, "the API", port).origin() == origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "http://a.example",
        "ftp://a.example",
        "https://",
        "https:/a.example",
        "a b",
        "a/b",
        "https://a.example/subscription",
        "a.example?x=1",
        "a.example#x",
        "https://user:canary@a.example",
        "user:canary@a.example",
        "a.example:0",
        "a.example:99999",
        "a.example:x",
        "-a.example",
        "a..example",
        "x" * 64 + ".example",
        "a\nb",
        "[::1",
    ],
)
def test_what_is_no_host(text):
    with pytest.raises(InvalidAddressError, match=r"is not the host of the API: write it as 'host'") as caught:
        read_host(text, "the API")
    assert "canary" not in str(caught.value)


def test_two_ports():
    with pytest.raises(InvalidAddressError, match="with port 8443, and the port as 443; give one of them"):
        read_host("https://a.example:8443", "the API", 443)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("", ""),
        ("example.com", "example.com"),
        ("https://edi.contoso.example/x?y", "edi.contoso.example"),
        ("http://EDI.contoso.example.:8080/", "edi.contoso.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("none at all", ""),
    ],
)
def test_host_that_a_service_reports(text, host):
    assert reported_host(text) == host
    assert custom_domain(text) == host


def test_custom_domain_that_is_the_platforms_own_name():
    assert custom_domain("https://orders.biztalk.windows.net/default") == ""
    assert custom_domain("orders.biztalk.chinacloudapi.cn", "biztalk.chinacloudapi.cn") == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("contoso-acs", ("contoso-acs", "default.example")),
        ("ContosoACS", ("ContosoACS", "default.example")),
        ("contosoacs.accesscontrol.chinacloudapi.cn", ("contosoacs", "accesscontrol.chinacloudapi.cn")),
        ("https://ContosoAcs.accesscontrol.windows.net/", ("contosoacs", "accesscontrol.windows.net")),
        ("contosoacs.accesscontrol.windows.net.", ("contosoacs", "accesscontrol.windows.net")),
        ("a/b", ("a/b", "default.example")),
        ("", ("", "default.example")),
    ],
)
def test_namespace_with_and_without_its_host(text, found):
    assert read_namespace(text, "default.example") == found


GUID = "5f3c1a52-9e0b-4d6e-8f52-2b1c7d9a4e10"
COPIES = [GUID, GUID.upper(), f"{{{GUID}}}", f" {GUID}\n", f'"{{{GUID.upper()}}} "', f"'{GUID}'"]


@pytest.mark.parametrize("text", COPIES)
def test_subscription_id_as_people_copy_it(text):
    assert read_subscription(text) == GUID


@pytest.mark.parametrize("text", ["", " ", "{}", "../x", "a b", "a/b", "x" * 65])
def test_what_is_no_subscription_id(text):
    with pytest.raises(InvalidAddressError, match="is not a subscription id"):
        read_subscription(text)
