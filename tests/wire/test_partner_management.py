"""The partner management client against a server that responds as documented."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from urllib.parse import parse_qs, quote, quote_plus

import pytest
from biztalk_services.drivers.biztalk.errors import AccessControlError
from biztalk_services.drivers.biztalk.wire import access_control
from biztalk_services.drivers.biztalk.wire.partner_addresses import PartnerAddresses
from biztalk_services.drivers.biztalk.wire.partner_management import PartnerManagementClient
from biztalk_services.drivers.biztalk.wire.server import MAX_ATTEMPTS
from biztalk_services.model.errors import (
    AuthenticationError,
    BadRequestError,
    InvalidAddressError,
    InvalidRequestError,
    PreconditionFailedError,
    ServerError,
    ServerNotTrustedError,
    ServiceNotFoundError,
    ThrottledError,
    UnreachableError,
)
from biztalk_services.model.tls import InvalidCaBundleError

from tests.wire.partner_samples import (
    ACS,
    KEY,
    ROOT,
    TOKEN,
    collection,
    deferred,
    entity,
    odata_error,
    page,
    token,
    uri,
)
from tests.wire.pki import identity
from tests.wire.scripted_server import ScriptedServer, response
from tests.wire.test_nonsense import free_port

SETTINGS = uri("ProtocolSettings(7)")
CHANGES = {"InterchangeControlNumberLowerBound": 2000, "InterchangeControlNumberRollover": False}
NO_CONTENT = response(204)


def merge(partners: PartnerManagementClient) -> None:
    partners.merge(SETTINGS, CHANGES, 'W/"1"')


def read(partners: PartnerManagementClient) -> list:
    return partners.entities("Agreements")


both = pytest.mark.parametrize("send", [read, merge])


# --- tokens ----------------------------------------------------------------------------------------------------------


def test_check_describes_the_token(partners, open_server):
    open_server.script = [token(lifetime=28800)]
    assert partners.check() == (
        f"https://127.0.0.1:{open_server.port} issued a token of namespace contoso-acs for partner management of "
        "service orders; it is valid for 28800 seconds."
    )
    (request,) = open_server.requests
    assert (request.method, request.target) == ("POST", ACS)
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(request.body.decode(), strict_parsing=True) == {
        "wrap_name": ["owner"],
        "wrap_password": [KEY],
        "wrap_scope": ["http://orders.biztalk.windows.net/default/$PartnerManagement/"],
    }
    partners.check()
    assert len(open_server.requests) == 2


def test_token_is_cached_until_shortly_before_its_expiry(partners, open_server, monkeypatch):
    clock = iter([1000.0, 1539.0, 1541.0, 1541.0])
    monkeypatch.setattr(access_control, "monotonic", lambda: next(clock))
    open_server.script = [token("first", 600), page(), page(), token("second", 600), page()]
    for _ in range(3):
        assert partners.entities("Partners") == []
    tokens = [request.headers.get("authorization") for request in open_server.requests]
    first, second = ('WRAP access_token="first"', 'WRAP access_token="second"')
    assert tokens == [None, first, first, None, second]


def test_token_without_lifetime_is_used_once(partners, open_server):
    open_server.script = [token(lifetime=0), page(), token(lifetime=0), page()]
    assert partners.entities("Partners") == partners.entities("Partners") == []
    assert [request.method for request in open_server.requests] == ["POST", "GET", "POST", "GET"]


@both
def test_rejected_token_is_renewed_once(partners, open_server, send):
    open_server.script = [token("old"), page(), odata_error(401, "expired"), token("new")]
    open_server.script.append(page() if send is read else NO_CONTENT)
    read(partners)
    send(partners)
    tokens = [request.headers.get("authorization") for request in open_server.requests]
    old, new = ('WRAP access_token="old"', 'WRAP access_token="new"')
    assert tokens == [None, old, old, None, new]


@both
def test_rejected_new_token_is_an_error(partners, open_server, send):
    rejection = odata_error(401, f"not for {TOKEN}")
    open_server.script = [token(), rejection, token(), rejection]
    with pytest.raises(AuthenticationError, match="belong together") as caught:
        send(partners)
    assert (caught.value.status, caught.value.advice) == (401, "stop")
    assert len(open_server.requests) == 4


@both
def test_403_is_not_retried(partners, open_server, send):
    open_server.script = [token(), odata_error(403, "no")]
    with pytest.raises(AuthenticationError):
        send(partners)
    assert len(open_server.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_rejected_key_is_not_retried(partners, open_server, status):
    open_server.script = [response(status, "Error:Code:401:SubCode:T0:Detail:ACS50009: SWT token is invalid.")]
    with pytest.raises(AccessControlError, match="not its symmetric key") as caught:
        partners.check()
    assert (caught.value.status, caught.value.advice) == (status, "stop")
    assert f"{status}: Error:Code:401:SubCode:T0:Detail:ACS50009" in str(caught.value)
    assert "token of namespace contoso-acs for http://orders.biztalk" in str(caught.value)
    assert len(open_server.requests) == 1


@pytest.mark.parametrize("nothing", [{"key": ""}, {"key": " "}, {"key": None}, {"issuer": ""}])
def test_missing_key_or_issuer(nothing):
    with pytest.raises(AccessControlError, match="key of ACS namespace contoso-acs is missing") as caught:
        PartnerManagementClient("orders", **({"namespace": "contoso-acs", "key": KEY} | nothing))
    assert "Canary" not in str(caught.value)


# --- reads -----------------------------------------------------------------------------------------------------------


def test_read_entity_set(partners, open_server):
    open_server.script = [token(), page(entity("Agreements(1)", Id=1, ProtocolSettings=deferred("x")))]
    assert partners.entities("Agreements") == [
        {"@id": uri("Agreements(1)"), "@etag": 'W/"1"', "@type": "Agreement", "Id": 1}
    ]
    request = open_server.requests[1]
    assert (request.method, request.target) == ("GET", f"{ROOT}/Agreements?$top=100&$inlinecount=allpages")
    assert request.headers["accept"] == "application/json;odata=verbose"
    assert request.headers["authorization"] == f'WRAP access_token="{TOKEN}"'


def test_expand_links(partners, open_server):
    open_server.script = [token(), page(entity("Agreements(1)", BatchDescriptions=collection()))]
    (result,) = partners.entities("Agreements", expand=("ProtocolSettings", "BatchDescriptions"))
    assert result["BatchDescriptions"] == []
    expanded = f"{ROOT}/Agreements?$expand=ProtocolSettings,BatchDescriptions"
    assert open_server.requests[1].target == f"{expanded}&$top=100&$inlinecount=allpages"


def test_all_pages_are_read_from_the_same_set(partners, open_server):
    elsewhere = "https://orders.biztalk.windows.net/Default/%24PartnerManagement/agreements?$skiptoken='a%20b'"
    open_server.script = [
        token(),
        page(entity("Agreements(1)"), link=uri("Agreements") + "?$expand=X&$skip=1"),
        page(entity("Agreements(2)"), link=elsewhere),
        page(entity("Agreements(3)"), link="Agreements?$skip=3"),
        page(),
    ]
    assert [each["@id"] for each in partners.entities("Agreements")] == [uri(f"Agreements({n})") for n in (1, 2, 3)]
    assert [request.target for request in open_server.requests[2:]] == [
        f"{ROOT}/Agreements?$expand=X&$skip=1",
        f"{ROOT}/agreements?$skiptoken='a%20b'",
        f"{ROOT}/Agreements?$skip=3",
    ]


def test_all_pages_of_expanded_links_are_read(partners, open_server):
    batches = collection(entity("BatchDescriptions(1)"), link=uri("Agreements(1)/BatchDescriptions?$skip=1"))
    open_server.script = [
        token(),
        page(entity("Agreements(1)", BatchDescriptions=batches), link="Agreements?$skip=1"),
        page(entity("Agreements(2)", BatchDescriptions=collection())),
        page(entity("BatchDescriptions(2)"), link=uri("Agreements(1)/BatchDescriptions?$skip=2")),
        page(entity("BatchDescriptions(3)")),
    ]
    one, two = partners.entities("Agreements", expand=("BatchDescriptions",))
    assert [each["@id"] for each in one["BatchDescriptions"]] == [uri(f"BatchDescriptions({n})") for n in (1, 2, 3)]
    assert two["BatchDescriptions"] == []
    assert open_server.targets("GET")[2] == f"{ROOT}/Agreements(1)/BatchDescriptions?$skip=1"


# --- changes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [SETTINGS, "ProtocolSettings(7)", f"{ROOT}/ProtocolSettings(7)"])
@pytest.mark.parametrize("status", [200, 204])
def test_merge_sends_only_the_changes(partners, open_server, address, status):
    open_server.script = [token(), response(status)]
    assert partners.merge(address, CHANGES, 'W/"1"') is None
    request = open_server.requests[1]
    assert (request.method, request.target) == ("MERGE", f"{ROOT}/ProtocolSettings(7)")
    assert json.loads(request.body) == CHANGES
    assert request.headers["if-match"] == 'W/"1"'
    assert request.headers["content-type"] == "application/json;odata=verbose"


def test_merge_without_etag(partners, open_server):
    open_server.script = [token(), NO_CONTENT]
    partners.merge("ProtocolSettings(7)", {"InterchangeControlNumberPrefix": None}, None)
    assert "if-match" not in open_server.requests[1].headers


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ProtocolSettings",
        "ProtocolSettings(7)/Agreement",
        "../ProtocolSettings(7)",
        "/default/$PartnerManagement/../x(7)",
        "https://evil.example/default/$PartnerManagement/ProtocolSettings(7)",
        "https://evil.example/ProtocolSettings(7)",
        "https://returns.biztalk.windows.net/default/$PartnerManagement/ProtocolSettings(7)",
        "https://127.0.0.1:18445/returns.biztalk.windows.net/default/$PartnerManagement/ProtocolSettings(7)",
        "https://127.0.0.1:18445/orders.biztalk.windows.net/default/ProtocolSettings(7)",
        "https://[broken/ProtocolSettings(7)",
        "ProtocolSettings(7\r\nHost: x)",
        "x" * 5000,
    ],
)
def test_merge_rejects_entities_of_other_services(partners, open_server, address):
    open_server.script = [token(), NO_CONTENT]
    with pytest.raises(InvalidAddressError, match="is not the address of an entity"):
        partners.merge(address, CHANGES, None)
    assert open_server.requests == []


@pytest.mark.parametrize(
    "changes",
    [{}, {"A": {}}, {"A": [1]}, {"A": float("nan")}, {"A": b"x"}, {"__metadata": 1}, {"@id": 1}, {"": 1}, {1: 1}],
)
def test_merge_rejects_invalid_changes(partners, open_server, changes):
    open_server.script = [token(), NO_CONTENT]
    with pytest.raises(InvalidRequestError, match=r"ProtocolSettings\(7\)"):
        partners.merge(SETTINGS, changes, None)
    assert open_server.requests == []


# --- rejections ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "advice"),
    [
        (400, BadRequestError, "stop"),
        (404, ServiceNotFoundError, "stop"),
        (405, BadRequestError, "stop"),
        (412, PreconditionFailedError, "stop"),
        (429, ThrottledError, "retry"),
        (500, ServerError, "check"),
        (503, ServerError, "check"),
    ],
)
def test_rejected_change_is_sent_once(partners, open_server, status, kind, advice):
    open_server.script = [token(), odata_error(status, "The lower bound is above the upper.", "Range")]
    with pytest.raises(kind) as caught:
        merge(partners)
    assert type(caught.value) is kind
    assert (caught.value.advice, caught.value.status, caught.value.code) == (advice, status, "Range")
    assert "change ProtocolSettings(7) of service orders" in str(caught.value)
    assert "The lower bound is above the upper" in str(caught.value)
    assert "service's state" not in str(caught.value)
    assert len(open_server.requests) == 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, BadRequestError), (404, ServiceNotFoundError), (406, BadRequestError), (415, BadRequestError)],
)
def test_rejected_read_is_not_retried(partners, open_server, status, kind):
    open_server.script = [token(), odata_error(status, "No")]
    with pytest.raises(kind, match="read Agreements of service orders"):
        read(partners)
    assert len(open_server.requests) == (3 if status == 400 else 2)  # a 400 may refuse the options for pages


@pytest.mark.parametrize("failure", [response(429, Retry_After="7"), response(503, Retry_After="7")])
def test_retry_after_is_respected_by_reads_and_tokens(partners, open_server, pauses, failure):
    open_server.script = [failure, token(), failure, page()]
    assert read(partners) == []
    assert pauses == [7.0, 7.0]


def test_long_retry_after_is_left_to_the_caller(partners, open_server, pauses):
    open_server.script = [token(), response(503, Retry_After="120")]
    with pytest.raises(ThrottledError) as caught:
        read(partners)
    assert (caught.value.retry_after, pauses) == (120.0, [])


def test_throttled_change_is_not_retried(partners, open_server, pauses):
    open_server.script = [token(), response(503, Retry_After="1")]
    with pytest.raises(ThrottledError):
        merge(partners)
    assert (len(open_server.requests), pauses) == (2, [])


@both
def test_token_request_is_retried_after_500(partners, open_server, send):
    open_server.script = [response(500)]
    with pytest.raises(ServerError) as caught:
        send(partners)
    assert caught.value.advice == "retry"
    assert len(open_server.requests) == MAX_ATTEMPTS


@both
def test_refused_connection_is_retried(partner_client, pauses, send):
    with pytest.raises(UnreachableError) as caught:
        send(partner_client(free_port()))
    assert caught.value.advice == "retry"
    assert len(pauses) == MAX_ATTEMPTS - 1


def test_untrusted_server_receives_no_key(partner_client, open_server, tmp_path, pauses):
    other = tmp_path / "other-ca.pem"
    other.write_text(identity("Other CA").certificate_pem)
    open_server.script = [token()]
    for bundle in (other, None):
        with pytest.raises(ServerNotTrustedError):
            partner_client(open_server.port, ca_bundle=bundle).check()
    assert open_server.requests == []
    with pytest.raises(InvalidCaBundleError, match="CA bundle"):
        partner_client(open_server.port, ca_bundle=tmp_path / "absent.pem")


def test_server_that_requires_a_client_certificate(ca, ca_file, tmp_path, partner_client):
    with ScriptedServer(identity("server", ca), ca_file, tmp_path, script=[token()]) as server:
        with pytest.raises(AuthenticationError, match="client certificate"):
            partner_client(server.port).check()
        assert server.requests == []


# --- addresses -------------------------------------------------------------------------------------------------------


def test_the_real_hosts():
    real = PartnerAddresses("orders", "contoso-acs")
    assert (real.origin, real.acs_origin) == (
        "https://orders.biztalk.windows.net",
        "https://contoso-acs.accesscontrol.windows.net",
    )
    assert real.acs_target == "/WRAPv0.9/"
    assert real.target("Agreements", "$skip=1") == "/default/$PartnerManagement/Agreements?$skip=1"
    assert real.path_of("https://ORDERS.biztalk.windows.net/default/$partnermanagement/A(1)", "entity") == "A(1)"
    for foreign in ("https://x.example/default/$PartnerManagement/A(1)", "https://x.example/A(1)"):
        with pytest.raises(InvalidAddressError):
            real.path_of(foreign, "entity")
    client = PartnerManagementClient("orders", namespace="contoso-acs", key=KEY)
    assert repr(client) == "<PartnerManagementClient https://orders.biztalk.windows.net of service orders>"


@pytest.mark.parametrize(
    "endpoint", ["https://127.0.0.1:18445", "https://127.0.0.1:18445/", "https://[::1]", "https://a"]
)
def test_endpoint_serves_both_hosts(endpoint):
    addresses = PartnerAddresses("orders", "contoso-acs", endpoint)
    assert addresses.origin == addresses.acs_origin == endpoint.rstrip("/")
    assert (addresses.acs_target, addresses.target("Partners")) == (ACS, f"{ROOT}/Partners")


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "http://a",
        "a:1",
        "https://",
        "https://u:canary@a",
        "https://a/b",
        "https://a?b",
        "https://a:0",
        "https://a:99999",
    ],
)
def test_invalid_endpoint(endpoint):
    with pytest.raises(InvalidAddressError, match="https://host:port") as caught:
        PartnerManagementClient("orders", namespace="contoso-acs", key=KEY, endpoint=endpoint)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("name", ["", None, "a/b", "a@b", "..", "-a", "a b", "a\n", "x" * 65])
def test_invalid_service_or_namespace_name(name):
    with pytest.raises(InvalidAddressError, match="is not the name of a BizTalk service"):
        PartnerManagementClient(name, namespace="contoso-acs", key=KEY)
    with pytest.raises(InvalidAddressError, match="is not the name of an ACS namespace"):
        PartnerManagementClient("orders", namespace=name, key=KEY)


@pytest.mark.parametrize("name", ["", "a/b", "Agreements(1)", "$metadata", "A?x", "A,B"])
def test_invalid_entity_set_name(partners, open_server, name):
    with pytest.raises(InvalidAddressError, match="is not the name of an entity set"):
        partners.entities(name)
    with pytest.raises(InvalidAddressError, match="is not the name of an entity set"):
        partners.entities("Agreements", expand=(name,))
    assert open_server.requests == []


# --- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", [KEY, quote(KEY, safe=""), quote_plus(KEY), TOKEN, quote_plus(TOKEN)])
@both
def test_echo_of_key_or_token_is_redacted(partners, open_server, caplog, send, secret):
    caplog.set_level(logging.DEBUG)
    wrong = odata_error(400, f"Cannot use {secret} and wrap_password={secret}", f"Bad {secret}")
    open_server.script = [token(), odata_error(401, secret), token(), wrong]
    with pytest.raises(BadRequestError, match="Cannot use") as caught:
        send(partners)
    context = caught.value.__context__
    text = f"{caught.value} {caught.value.code} {context!r} {caplog.text}"
    assert not any(part in text for part in ("Canary+", "Canary%", "canary%", "Audience"))


@pytest.mark.parametrize("secret", [KEY, quote(KEY, safe=""), quote_plus(KEY), f"wrap_name=owner&wrap_password={KEY}"])
def test_echo_of_the_key_by_access_control_is_redacted(partners, open_server, caplog, secret):
    caplog.set_level(logging.DEBUG)
    open_server.script = [response(401, f"Cannot use {secret}")]
    with pytest.raises(AccessControlError, match="Cannot use") as caught:
        partners.check()
    text = f"{caught.value} {caught.value.__context__!r} {caplog.text}"
    assert "Canary" not in text


def test_secrets_are_neither_printed_nor_pickled(partners, open_server, caplog):
    caplog.set_level(logging.DEBUG)
    open_server.script = [token(), page(), NO_CONTENT]
    read(partners)
    merge(partners)
    output = repr(partners) + repr(partners._access) + repr(partners._access._token) + caplog.text
    assert "MERGE" in output
    assert not any(part in output for part in ("Canary", "canary", "Audience"))
    for carry in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            carry(partners)
