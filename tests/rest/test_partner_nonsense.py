"""The client of partner management against a server that answers nonsense, leads astray, or says nothing."""

from __future__ import annotations

import gzip
import itertools
import json
import socket
from urllib.parse import urlencode

import pytest
from biztalk_services.drivers.biztalk.wire import partner_reading
from biztalk_services.drivers.biztalk.wire.messages import LARGEST_ANSWER
from biztalk_services.drivers.biztalk.wire.server import TRIES
from biztalk_services.model.errors import BackupServiceError, OutcomeUnknownError, UnexpectedResponseError

from tests.rest.partner_samples import collection, entity, page, said, token, uri
from tests.rest.scripted_server import answer, drip, reset, silence
from tests.rest.test_nonsense import BOMB, EXTERNAL, hang_up_after

ONE = {"d": collection(entity("Agreements(1)"))}
NONSENSE = {
    "html": answer(200, "<!DOCTYPE html><html><body>Sign in</body></html>", Content_Type="text/html"),
    "empty": answer(200),
    "blank": answer(200, b" \r\n "),
    "atom": answer(200, "<feed xmlns='http://www.w3.org/2005/Atom'/>"),
    "cut json": answer(200, json.dumps(ONE)[:-5]),
    "truncated": said(ONE)[:-5],
    "not json": answer(200, b"\x00\xff\xfe garbage"),
    "not utf-8": answer(200, b'{"d": ["\xff"]}'),
    "other json": said({"value": []}),
    "one entity": said({"d": entity("Agreements(1)")}),
    "no address": said({"d": [{"Id": 1}]}),
    "nan": answer(200, '{"d": [NaN]}'),
    "nesting bomb": answer(200, b'{"d":' + b"[" * 1_000_000),
    "endless number": answer(200, b'{"d":[' + b"9" * 100_000 + b"]}"),
    "too large": answer(200, b'{"d":"' + b"x" * LARGEST_ANSWER + b'"}'),
    "gzip bomb": answer(200, gzip.compress(b" " * (LARGEST_ANSWER * 4)), Content_Encoding="gzip"),
    "entity bomb": answer(200, BOMB),
    "external entity": answer(200, EXTERNAL),
    "redirect": answer(302, Location="https://127.0.0.1:1/elsewhere"),
    "permanent redirect": answer(308, Location="/elsewhere"),
    "no http": b"220 smtp.example ESMTP\r\n\r\n",
}


@pytest.mark.parametrize("name", [*NONSENSE, "no content"])
def test_a_read_of_nonsense_is_tried_again_and_then_told(partners, open_server, pauses, name):
    open_server.script = [token(), hang_up_after(NONSENSE.get(name, answer(204)))]
    with pytest.raises(UnexpectedResponseError, match="read Agreements of service orders") as caught:
        partners.entities("Agreements")
    assert caught.value.advice == "retry"
    assert len(open_server.asked) == 1 + TRIES
    assert caught.value.__context__ is None or "Unreadable" in repr(caught.value.__context__)


NO_TOKENS = {
    **{name: NONSENSE[name] for name in ("html", "empty", "blank", "not json", "redirect", "no http", "too large")},
    "json": answer(200, '{"wrap_access_token": "x"}'),
    "cut": token()[:-5],
    "no token": answer(200, urlencode({"wrap_access_token_expires_in": 600})),
    "empty token": token(""),
    "two tokens": answer(200, "wrap_access_token=canary1&wrap_access_token=canary2&wrap_access_token_expires_in=600"),
    "token that breaks out": token('canary"\r\nHost: evil'),
    "token not in ascii": token("canaryé"),
    "no end": answer(200, "wrap_access_token=canary"),
    "end in words": token("canary", "soon"),
    "negative end": token("canary", -5),
    "endless": token("canary", "9" * 400),
    "many fields": answer(200, "&".join(["wrap_access_token=canary"] * 5000)),
    "no content": answer(204),
}


@pytest.mark.parametrize("name", NO_TOKENS)
def test_what_is_no_token_is_told_without_showing_it(partners, open_server, caplog, name):
    caplog.set_level("DEBUG")
    open_server.script = [hang_up_after(NO_TOKENS[name])]
    with pytest.raises(UnexpectedResponseError, match="token of namespace contoso-acs") as caught:
        partners.entities("Agreements")
    assert len(open_server.asked) == TRIES
    told = f"{caught.value} {caught.value.__context__!r} {caplog.text}"
    assert "canary" not in told
    assert all(asked.method == "POST" for asked in open_server.asked)


@pytest.mark.parametrize(
    "step", [reset, silence(0), silence(1.5), drip(answer(204), 0.1)], ids=["reset", "hang up", "slow", "drip"]
)
def test_a_change_whose_answer_is_lost_is_sent_once(partner_client, open_server, pauses, step):
    open_server.script = [token(), step]
    with pytest.raises(OutcomeUnknownError, match="Read the entity again") as caught:
        partner_client(open_server.port, timeout=(0.5, 0.5)).merge("ProtocolSettings(7)", {"A": 1}, None)
    assert caught.value.advice == "look"
    assert len(open_server.asked) == 2


@pytest.mark.parametrize("name", ["redirect", "permanent redirect", "no http"])
def test_a_change_answered_with_nonsense_is_sent_once_and_its_outcome_unknown(partners, open_server, name):
    open_server.script = [token(), hang_up_after(NONSENSE[name])]
    with pytest.raises(OutcomeUnknownError, match="Read the entity again"):
        partners.merge("ProtocolSettings(7)", {"A": 1}, None)
    assert len(open_server.asked) == 2


@pytest.mark.parametrize("trouble", [reset, answer(500), silence(0)])
def test_a_reading_survives_passing_trouble(partners, open_server, trouble):
    second = page(entity("Agreements(2)"))
    open_server.script = [
        trouble,
        token(),
        trouble,
        page(entity("Agreements(1)"), link="Agreements?$skip=1"),
        trouble,
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
def test_a_next_page_that_leads_elsewhere_is_not_asked_for(partners, open_server, link):
    open_server.script = [token(), said({"d": {"results": [entity("Agreements(1)")], "__next": link}})]
    with pytest.raises(UnexpectedResponseError, match="leads elsewhere") as caught:
        partners.entities("Agreements")
    assert caught.value.advice == "retry"
    assert len(open_server.asked) == 2


def test_the_same_page_again_and_again_ends(partners, open_server):
    open_server.script = [token(), page(entity("Agreements(1)"), link="Agreements?$skip=1")]
    with pytest.raises(UnexpectedResponseError, match="comes twice"):
        partners.entities("Agreements")
    assert len(open_server.asked) == 3


def answers_for_ever(make):
    """Answers each request with the next page that ``make(number)`` makes."""
    numbers = itertools.count(1)

    def step(connection: socket.socket) -> None:
        connection.sendall(make(next(numbers)))

    return step


@pytest.mark.parametrize("empty", [True, False])
def test_pages_without_end_end(partners, open_server, monkeypatch, empty):
    monkeypatch.setattr(partner_reading, "MOST_PAGES", 20)
    made = answers_for_ever(
        lambda n: page(*([] if empty else [entity(f"Agreements({n})")]), link=f"Agreements?$skip={n}")
    )
    open_server.script = [token(), made]
    with pytest.raises(UnexpectedResponseError, match="no end after 20 pages"):
        partners.entities("Agreements")
    assert len(open_server.asked) == 21


def test_expansions_without_end_end(partners, open_server, monkeypatch):
    monkeypatch.setattr(partner_reading, "MOST_PAGES", 20)

    def nested(n: int) -> bytes:
        inner = collection(link=uri(f"Agreements({n})/Batches?$skip=1"))
        return page(entity(f"Agreements({n})", Batches=inner, Others=inner))

    open_server.script = [token(), answers_for_ever(nested)]
    with pytest.raises(UnexpectedResponseError, match="no end after 20 pages"):
        partners.entities("Agreements", expand=("Batches",))


def test_a_set_larger_than_is_read_ends(partners, open_server, monkeypatch):
    monkeypatch.setattr(partner_reading, "LARGEST_READING", 50_000)
    made = answers_for_ever(
        lambda n: page(entity(f"Agreements({n})", Description="x" * 20_000), link=f"Agreements?$skip={n}")
    )
    open_server.script = [token(), made]
    with pytest.raises(UnexpectedResponseError, match="no end after 3 pages"):
        partners.entities("Agreements")


@pytest.mark.parametrize("step", [*NONSENSE.values(), answer(304), answer(418), answer(999), answer(100)])
def test_every_trouble_is_a_domain_error_with_a_sentence(partners, open_server, step):
    open_server.script = [token(), hang_up_after(step)]
    with pytest.raises(BackupServiceError) as caught:
        partners.entities("Agreements")
    assert str(caught.value).endswith(".")
