"""The client of partner management against a server that answers as documented."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from urllib.parse import parse_qs, quote, quote_plus

import pytest
from biztalk_services.drivers.biztalk.errors import AccessControlError, InvalidCertificateError
from biztalk_services.drivers.biztalk.wire import access_control
from biztalk_services.drivers.biztalk.wire.partner_addresses import PartnerAddresses
from biztalk_services.drivers.biztalk.wire.partner_management import PartnerManagementClient
from biztalk_services.drivers.biztalk.wire.server import TRIES
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

from tests.rest.partner_samples import (
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
from tests.rest.pki import identity
from tests.rest.scripted_server import ScriptedServer, answer
from tests.rest.test_nonsense import free_port

SETTINGS = uri("ProtocolSettings(7)")
CHANGES = {"InterchangeControlNumberLowerBound": 2000, "InterchangeControlNumberRollover": False}
NO_CONTENT = answer(204)


def merge(partners: PartnerManagementClient) -> None:
    partners.merge(SETTINGS, CHANGES, 'W/"1"')


def read(partners: PartnerManagementClient) -> list:
    return partners.entities("Agreements")


both = pytest.mark.parametrize("ask", [read, merge])


# --- tokens ----------------------------------------------------------------------------------------------------------


def test_check_says_what_gives_a_token(partners, open_server):
    open_server.script = [token(lifetime=28800)]
    assert partners.check() == (
        f"https://127.0.0.1:{open_server.port} gives a token of namespace contoso-acs for partner management of "
        "service orders; it holds for 28800 seconds."
    )
    (asked,) = open_server.asked
    assert (asked.method, asked.target) == ("POST", ACS)
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(asked.body.decode(), strict_parsing=True) == {
        "wrap_name": ["owner"],
        "wrap_password": [KEY],
        "wrap_scope": ["http://orders.biztalk.windows.net/default/$PartnerManagement/"],
    }
    partners.check()
    assert len(open_server.asked) == 2


def test_a_token_is_kept_until_shortly_before_its_end(partners, open_server, monkeypatch):
    clock = iter([1000.0, 1539.0, 1541.0, 1541.0])
    monkeypatch.setattr(access_control, "monotonic", lambda: next(clock))
    open_server.script = [token("first", 600), page(), page(), token("second", 600), page()]
    for _ in range(3):
        assert partners.entities("Partners") == []
    shown = [asked.headers.get("authorization") for asked in open_server.asked]
    first, second = ('WRAP access_token="first"', 'WRAP access_token="second"')
    assert shown == [None, first, first, None, second]


def test_a_token_that_ends_at_once_is_used_once(partners, open_server):
    open_server.script = [token(lifetime=0), page(), token(lifetime=0), page()]
    assert partners.entities("Partners") == partners.entities("Partners") == []
    assert [asked.method for asked in open_server.asked] == ["POST", "GET", "POST", "GET"]


@both
def test_a_token_that_is_not_accepted_any_more_is_renewed_once(partners, open_server, ask):
    open_server.script = [token("old"), page(), odata_error(401, "expired"), token("new")]
    open_server.script.append(page() if ask is read else NO_CONTENT)
    read(partners)
    ask(partners)
    shown = [asked.headers.get("authorization") for asked in open_server.asked]
    old, new = ('WRAP access_token="old"', 'WRAP access_token="new"')
    assert shown == [None, old, old, None, new]


@both
def test_a_new_token_that_is_not_accepted_is_told(partners, open_server, ask):
    refused = odata_error(401, f"not for {TOKEN}")
    open_server.script = [token(), refused, token(), refused]
    with pytest.raises(AuthenticationError, match="belong together") as caught:
        ask(partners)
    assert (caught.value.status, caught.value.advice) == (401, "stop")
    assert len(open_server.asked) == 4


@both
def test_a_service_that_forbids_is_not_asked_again(partners, open_server, ask):
    open_server.script = [token(), odata_error(403, "no")]
    with pytest.raises(AuthenticationError):
        ask(partners)
    assert len(open_server.asked) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refused_key_is_told_once(partners, open_server, status):
    open_server.script = [answer(status, "Error:Code:401:SubCode:T0:Detail:ACS50009: SWT token is invalid.")]
    with pytest.raises(AccessControlError, match="not its symmetric key") as caught:
        partners.check()
    assert (caught.value.status, caught.value.advice) == (status, "stop")
    assert f"{status}: Error:Code:401:SubCode:T0:Detail:ACS50009" in str(caught.value)
    assert "token of namespace contoso-acs for http://orders.biztalk" in str(caught.value)
    assert len(open_server.asked) == 1


@pytest.mark.parametrize("nothing", [{"key": ""}, {"key": " "}, {"key": None}, {"issuer": ""}])
def test_without_a_key_nothing_is_asked(nothing):
    with pytest.raises(AccessControlError, match="no issuer or no key") as caught:
        PartnerManagementClient("orders", **({"namespace": "contoso-acs", "key": KEY} | nothing))
    assert "Canary" not in str(caught.value)


# --- reading ---------------------------------------------------------------------------------------------------------


def test_reads_a_set(partners, open_server):
    open_server.script = [token(), page(entity("Agreements(1)", Id=1, ProtocolSettings=deferred("x")))]
    assert partners.entities("Agreements") == [
        {"@id": uri("Agreements(1)"), "@etag": 'W/"1"', "@type": "Agreement", "Id": 1}
    ]
    asked = open_server.asked[1]
    assert (asked.method, asked.target) == ("GET", f"{ROOT}/Agreements")
    assert asked.headers["accept"] == "application/json;odata=verbose"
    assert asked.headers["authorization"] == f'WRAP access_token="{TOKEN}"'


def test_expands_links(partners, open_server):
    open_server.script = [token(), page(entity("Agreements(1)", BatchDescriptions=collection()))]
    (found,) = partners.entities("Agreements", expand=("ProtocolSettings", "BatchDescriptions"))
    assert found["BatchDescriptions"] == []
    assert open_server.asked[1].target == f"{ROOT}/Agreements?$expand=ProtocolSettings,BatchDescriptions"


def test_takes_all_pages_each_from_the_same_place(partners, open_server):
    elsewhere = "https://orders.biztalk.windows.net/Default/%24PartnerManagement/agreements?$skiptoken='a%20b'"
    open_server.script = [
        token(),
        page(entity("Agreements(1)"), link=uri("Agreements") + "?$expand=X&$skip=1"),
        page(entity("Agreements(2)"), link=elsewhere),
        page(entity("Agreements(3)"), link="Agreements?$skip=3"),
        page(),
    ]
    assert [each["@id"] for each in partners.entities("Agreements")] == [uri(f"Agreements({n})") for n in (1, 2, 3)]
    assert [asked.target for asked in open_server.asked[2:]] == [
        f"{ROOT}/Agreements?$expand=X&$skip=1",
        f"{ROOT}/agreements?$skiptoken='a%20b'",
        f"{ROOT}/Agreements?$skip=3",
    ]


def test_takes_all_pages_of_what_is_expanded(partners, open_server):
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


# --- changing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [SETTINGS, "ProtocolSettings(7)", f"{ROOT}/ProtocolSettings(7)"])
@pytest.mark.parametrize("status", [200, 204])
def test_merges_only_what_changes(partners, open_server, place, status):
    open_server.script = [token(), answer(status)]
    assert partners.merge(place, CHANGES, 'W/"1"') is None
    asked = open_server.asked[1]
    assert (asked.method, asked.target) == ("MERGE", f"{ROOT}/ProtocolSettings(7)")
    assert json.loads(asked.body) == CHANGES
    assert asked.headers["if-match"] == 'W/"1"'
    assert asked.headers["content-type"] == "application/json;odata=verbose"


def test_merges_whatever_etag_there_is_when_none_is_given(partners, open_server):
    open_server.script = [token(), NO_CONTENT]
    partners.merge("ProtocolSettings(7)", {"InterchangeControlNumberPrefix": None}, None)
    assert "if-match" not in open_server.asked[1].headers


@pytest.mark.parametrize(
    "place",
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
def test_only_an_entity_of_this_service_is_changed(partners, open_server, place):
    open_server.script = [token(), NO_CONTENT]
    with pytest.raises(InvalidAddressError, match="is not the address of an entity"):
        partners.merge(place, CHANGES, None)
    assert open_server.asked == []


@pytest.mark.parametrize(
    "changes",
    [{}, {"A": {}}, {"A": [1]}, {"A": float("nan")}, {"A": b"x"}, {"__metadata": 1}, {"@id": 1}, {"": 1}, {1: 1}],
)
def test_changes_that_cannot_be_sent(partners, open_server, changes):
    open_server.script = [token(), NO_CONTENT]
    with pytest.raises(InvalidRequestError, match=r"ProtocolSettings\(7\)"):
        partners.merge(SETTINGS, changes, None)
    assert open_server.asked == []


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "advice"),
    [
        (400, BadRequestError, "stop"),
        (404, ServiceNotFoundError, "stop"),
        (405, BadRequestError, "stop"),
        (412, PreconditionFailedError, "stop"),
        (429, ThrottledError, "retry"),
        (500, ServerError, "look"),
        (503, ServerError, "look"),
    ],
)
def test_a_refused_change_is_told_once_and_sent_once(partners, open_server, status, kind, advice):
    open_server.script = [token(), odata_error(status, "The lower bound is above the upper.", "Range")]
    with pytest.raises(kind) as caught:
        merge(partners)
    assert type(caught.value) is kind
    assert (caught.value.advice, caught.value.status, caught.value.code) == (advice, status, "Range")
    assert "change ProtocolSettings(7) of service orders" in str(caught.value)
    assert "The lower bound is above the upper" in str(caught.value)
    assert "service's state" not in str(caught.value)
    assert len(open_server.asked) == 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, BadRequestError), (404, ServiceNotFoundError), (406, BadRequestError), (415, BadRequestError)],
)
def test_a_refused_read_is_told_once(partners, open_server, status, kind):
    open_server.script = [token(), odata_error(status, "No")]
    with pytest.raises(kind, match="read Agreements of service orders"):
        read(partners)
    assert len(open_server.asked) == 2


@pytest.mark.parametrize("trouble", [answer(429, Retry_After="7"), answer(503, Retry_After="7")])
def test_retry_after_is_honoured_by_reads_and_tokens(partners, open_server, pauses, trouble):
    open_server.script = [trouble, token(), trouble, page()]
    assert read(partners) == []
    assert pauses == [7.0, 7.0]


def test_a_long_retry_after_is_left_to_the_caller(partners, open_server, pauses):
    open_server.script = [token(), answer(503, Retry_After="120")]
    with pytest.raises(ThrottledError) as caught:
        read(partners)
    assert (caught.value.retry_after, pauses) == (120.0, [])


def test_a_throttled_change_is_not_repeated_here(partners, open_server, pauses):
    open_server.script = [token(), answer(503, Retry_After="1")]
    with pytest.raises(ThrottledError):
        merge(partners)
    assert (len(open_server.asked), pauses) == (2, [])


@both
def test_a_troubled_access_control_is_asked_again_because_a_token_changes_nothing(partners, open_server, ask):
    open_server.script = [answer(500)]
    with pytest.raises(ServerError) as caught:
        ask(partners)
    assert caught.value.advice == "retry"
    assert len(open_server.asked) == TRIES


@both
def test_nobody_there(partner_client, pauses, ask):
    with pytest.raises(UnreachableError) as caught:
        ask(partner_client(free_port()))
    assert caught.value.advice == "retry"
    assert len(pauses) == TRIES - 1


def test_a_server_that_we_do_not_trust_gets_no_key(partner_client, open_server, tmp_path, pauses):
    other = tmp_path / "other-ca.pem"
    other.write_text(identity("Other CA").certificate_pem)
    open_server.script = [token()]
    for bundle in (other, None):
        with pytest.raises(ServerNotTrustedError):
            partner_client(open_server.port, ca_bundle=bundle).check()
    assert open_server.asked == []
    with pytest.raises(InvalidCertificateError, match="CA bundle"):
        partner_client(open_server.port, ca_bundle=tmp_path / "absent.pem")


def test_a_server_that_wants_a_client_certificate_is_another_one(ca, ca_file, tmp_path, partner_client):
    with ScriptedServer(identity("server", ca), ca_file, tmp_path, script=[token()]) as server:
        with pytest.raises(AuthenticationError, match="client certificate"):
            partner_client(server.port).check()
        assert server.asked == []


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
def test_an_endpoint_serves_both_hosts(endpoint):
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
def test_an_endpoint_that_is_no_origin(endpoint):
    with pytest.raises(InvalidAddressError, match="https://host:port") as caught:
        PartnerManagementClient("orders", namespace="contoso-acs", key=KEY, endpoint=endpoint)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("name", ["", None, "a/b", "a@b", "..", "-a", "a b", "a\n", "x" * 65])
def test_names_that_cannot_stand_in_a_host_name(name):
    with pytest.raises(InvalidAddressError, match="is not the name of a BizTalk service"):
        PartnerManagementClient(name, namespace="contoso-acs", key=KEY)
    with pytest.raises(InvalidAddressError, match="is not the name of an ACS namespace"):
        PartnerManagementClient("orders", namespace=name, key=KEY)


@pytest.mark.parametrize("name", ["", "a/b", "Agreements(1)", "$metadata", "A?x", "A,B"])
def test_names_that_are_no_set(partners, open_server, name):
    with pytest.raises(InvalidAddressError, match="is not the name of an entity set"):
        partners.entities(name)
    with pytest.raises(InvalidAddressError, match="is not the name of an entity set"):
        partners.entities("Agreements", expand=(name,))
    assert open_server.asked == []


# --- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", [KEY, quote(KEY, safe=""), quote_plus(KEY), TOKEN, quote_plus(TOKEN)])
@both
def test_no_echo_of_key_or_token_is_repeated(partners, open_server, caplog, ask, secret):
    caplog.set_level(logging.DEBUG)
    wrong = odata_error(400, f"Cannot use {secret} and wrap_password={secret}", f"Bad {secret}")
    open_server.script = [token(), odata_error(401, secret), token(), wrong]
    with pytest.raises(BadRequestError, match="Cannot use") as caught:
        ask(partners)
    context = caught.value.__context__
    told = f"{caught.value} {caught.value.code} {context!r} {caplog.text}"
    assert not any(part in told for part in ("Canary+", "Canary%", "canary%", "Audience"))


@pytest.mark.parametrize("secret", [KEY, quote(KEY, safe=""), quote_plus(KEY), f"wrap_name=owner&wrap_password={KEY}"])
def test_no_echo_of_the_key_by_access_control_is_repeated(partners, open_server, caplog, secret):
    caplog.set_level(logging.DEBUG)
    open_server.script = [answer(401, f"Cannot use {secret}")]
    with pytest.raises(AccessControlError, match="Cannot use") as caught:
        partners.check()
    told = f"{caught.value} {caught.value.__context__!r} {caplog.text}"
    assert "Canary" not in told


def test_no_secret_is_shown_kept_or_pickled(partners, open_server, caplog):
    caplog.set_level(logging.DEBUG)
    open_server.script = [token(), page(), NO_CONTENT]
    read(partners)
    merge(partners)
    shown = repr(partners) + repr(partners._access) + repr(partners._access._token) + caplog.text
    assert "MERGE" in shown
    assert not any(part in shown for part in ("Canary", "canary", "Audience"))
    for carry in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            carry(partners)
