"""The partner management client against a server with malformed responses, foreign links, or no response."""

from __future__ import annotations

import gzip
import itertools
import json
import socket
from urllib.parse import urlencode

import pytest
from biztalk_services.drivers.biztalk.wire import partner_management, partner_reading
from biztalk_services.drivers.biztalk.wire.server import MAX_ATTEMPTS
from biztalk_services.drivers.biztalk.wire.transport import MAX_RESPONSE_BYTES
from biztalk_services.model.errors import BackupServiceError, OutcomeUnknownError, UnexpectedResponseError

from tests.wire.partner_samples import collection, entity, json_page, page, token, uri
from tests.wire.scripted_server import drip, reset, response, silence
from tests.wire.test_nonsense import BOMB, EXTERNAL, hang_up_after

ONE = {"d": collection(entity("Agreements(1)"))}
MALFORMED = {
    "html": response(200, "<!DOCTYPE html><html><body>Sign in</body></html>", Content_Type="text/html"),
    "empty": response(200),
    "blank": response(200, b" \r\n "),
    "atom": response(200, "<feed xmlns='http://www.w3.org/2005/Atom'/>"),
    "cut json": response(200, json.dumps(ONE)[:-5]),
    "truncated": json_page(ONE)[:-5],
    "not json": response(200, b"\x00\xff\xfe garbage"),
    "not utf-8": response(200, b'{"d": ["\xff"]}'),
    "other json": json_page({"value": []}),
    "one entity": json_page({"d": entity("Agreements(1)")}),
    "no address": json_page({"d": [{"Id": 1}]}),
    "nan": response(200, '{"d": [NaN]}'),
    "nesting bomb": response(200, b'{"d":' + b"[" * 1_000_000),
    "endless number": response(200, b'{"d":[' + b"9" * 100_000 + b"]}"),
    "entity bomb": response(200, BOMB),
    "external entity": response(200, EXTERNAL),
    "redirect": response(302, Location="https://127.0.0.1:1/elsewhere"),
    "permanent redirect": response(308, Location="/elsewhere"),
    "no http": b"220 smtp.example ESMTP\r\n\r\n",
}


TOO_LARGE = {
    "too large": response(200, b'{"d":"' + b"x" * MAX_RESPONSE_BYTES + b'"}'),
    "gzip bomb": response(200, gzip.compress(b" " * (MAX_RESPONSE_BYTES * 4)), Content_Encoding="gzip"),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_too_large_page_is_not_requested_again(partners, open_server, monkeypatch, name):
    monkeypatch.setattr(partner_management, "MAX_PAGE_BYTES", MAX_RESPONSE_BYTES)
    open_server.script = [token(), hang_up_after(TOO_LARGE[name])]
    with pytest.raises(UnexpectedResponseError, match="Trying again does not help") as caught:
        partners.entities("Agreements")
    assert caught.value.advice == "stop"
    assert len(open_server.requests) == 2


@pytest.mark.parametrize("name", [*MALFORMED, "no content"])
def test_malformed_response_to_a_read_is_retried(partners, open_server, pauses, name):
    open_server.script = [token(), hang_up_after(MALFORMED.get(name, response(204)))]
    with pytest.raises(UnexpectedResponseError, match="read Agreements of service orders") as caught:
        partners.entities("Agreements")
    assert caught.value.advice == "retry"
    assert len(open_server.requests) == 1 + MAX_ATTEMPTS
    assert caught.value.__context__ is None or "Unreadable" in repr(caught.value.__context__)


NO_TOKENS = {
    **{name: MALFORMED[name] for name in ("html", "empty", "blank", "not json", "redirect", "no http")},
    "json": response(200, '{"wrap_access_token": "x"}'),
    "cut": token()[:-5],
    "no token": response(200, urlencode({"wrap_access_token_expires_in": 600})),
    "empty token": token(""),
    "two tokens": response(200, "wrap_access_token=canary1&wrap_access_token=canary2&wrap_access_token_expires_in=600"),
    "token that breaks out": token('canary"\r\nHost: evil'),
    "token not in ascii": token("canaryé"),
    "no end": response(200, "wrap_access_token=canary"),
    "end in words": token("canary", "soon"),
    "negative end": token("canary", -5),
    "endless": token("canary", "9" * 400),
    "many fields": response(200, "&".join(["wrap_access_token=canary"] * 5000)),
    "no content": response(204),
}


@pytest.mark.parametrize("name", NO_TOKENS)
def test_malformed_token_is_not_printed(partners, open_server, caplog, name):
    caplog.set_level("DEBUG")
    open_server.script = [hang_up_after(NO_TOKENS[name])]
    with pytest.raises(UnexpectedResponseError, match="token of namespace contoso-acs") as caught:
        partners.entities("Agreements")
    assert len(open_server.requests) == MAX_ATTEMPTS
    text = f"{caught.value} {caught.value.__context__!r} {caplog.text}"
    assert "canary" not in text
    assert all(request.method == "POST" for request in open_server.requests)


@pytest.mark.parametrize(
    "step", [reset, silence(0), silence(1.5), drip(response(204), 0.1)], ids=["reset", "hang up", "slow", "drip"]
)
def test_change_with_a_lost_response_is_sent_once(partner_client, open_server, pauses, step):
    open_server.script = [token(), step]
    with pytest.raises(OutcomeUnknownError, match="Read the entity again") as caught:
        partner_client(open_server.port, timeout=(0.5, 0.5)).merge("ProtocolSettings(7)", {"A": 1}, None)
    assert caught.value.advice == "check"
    assert len(open_server.requests) == 2


@pytest.mark.parametrize("name", ["redirect", "permanent redirect", "no http"])
def test_malformed_response_to_a_change_is_not_retried(partners, open_server, name):
    open_server.script = [token(), hang_up_after(MALFORMED[name])]
    with pytest.raises(OutcomeUnknownError, match="Read the entity again"):
        partners.merge("ProtocolSettings(7)", {"A": 1}, None)
    assert len(open_server.requests) == 2


@pytest.mark.parametrize("failure", [reset, response(500), silence(0)])
def test_read_is_retried_after_temporary_failures(partners, open_server, failure):
    second = page(entity("Agreements(2)"))
    open_server.script = [
        failure,
        token(),
        failure,
        page(entity("Agreements(1)"), link="Agreements?$skip=1"),
        failure,
        second,
    ]
    assert len(partners.entities("Agreements")) == 2


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/default/$PartnerManagement/Agreements?$skip=1",
        "https://127.0.0.1:18445/returns.biztalk.windows.net/default/$PartnerManagement/Agreements?$skip=1",
        uri("Partners?$skip=1"),
        uri("Agreements(1)/Partner?$skip=1"),
        uri("Agreements"),
        uri("../Agreements?$skip=1"),
        uri("Agreements?$skip=1 HTTP/1.1\r\nHost: evil"),
        uri("Agreements?" + "x" * 3000),
        "http://[",
        "",
    ],
)
def test_next_page_outside_the_set_is_not_requested(partners, open_server, link):
    open_server.script = [token(), json_page({"d": {"results": [entity("Agreements(1)")], "__next": link}})]
    with pytest.raises(UnexpectedResponseError, match="leaves the entity set") as caught:
        partners.entities("Agreements")
    assert caught.value.advice == "retry"
    assert len(open_server.requests) == 2


def test_repeated_page_ends_the_read(partners, open_server):
    open_server.script = [token(), page(entity("Agreements(1)"), link="Agreements?$skip=1")]
    with pytest.raises(UnexpectedResponseError, match="is repeated; Agreements changed during each of 3 reads"):
        partners.entities("Agreements")
    assert len(open_server.requests) == 1 + 2 * partner_reading.MAX_READS


def numbered_pages(make):
    """Responds to request number n with the page ``make(n)``."""
    numbers = itertools.count(1)

    def step(connection: socket.socket) -> None:
        connection.sendall(make(next(numbers)))

    return step


@pytest.mark.parametrize("empty", [True, False])
def test_page_limit(partners, open_server, monkeypatch, empty):
    monkeypatch.setattr(partner_reading, "MAX_PAGES", 20)
    pages = numbered_pages(
        lambda n: page(*([] if empty else [entity(f"Agreements({n})")]), link=f"Agreements?$skip={n}")
    )
    open_server.script = [token(), pages]
    with pytest.raises(UnexpectedResponseError, match="no end after 20 pages"):
        partners.entities("Agreements")
    assert len(open_server.requests) == 21


def test_page_limit_of_expanded_links(partners, open_server, monkeypatch):
    monkeypatch.setattr(partner_reading, "MAX_PAGES", 20)

    def nested(n: int) -> bytes:
        inner = collection(link=uri(f"Agreements({n})/Batches?$skip=1"))
        return page(entity(f"Agreements({n})", Batches=inner, Others=inner))

    open_server.script = [token(), numbered_pages(nested)]
    with pytest.raises(UnexpectedResponseError, match="no end after 20 pages"):
        partners.entities("Agreements", expand=("Batches",))


def test_size_limit(partners, open_server, monkeypatch):
    monkeypatch.setattr(partner_reading, "MAX_TOTAL_BYTES", 50_000)
    pages = numbered_pages(
        lambda n: page(entity(f"Agreements({n})", Description="x" * 20_000), link=f"Agreements?$skip={n}")
    )
    open_server.script = [token(), pages]
    with pytest.raises(UnexpectedResponseError, match="no end after 3 pages"):
        partners.entities("Agreements")


@pytest.mark.parametrize("step", [*MALFORMED.values(), response(304), response(418), response(999), response(100)])
def test_every_failure_is_a_domain_error_with_a_sentence(partners, open_server, step):
    open_server.script = [token(), hang_up_after(step)]
    with pytest.raises(BackupServiceError) as caught:
        partners.entities("Agreements")
    assert str(caught.value).endswith(".")
