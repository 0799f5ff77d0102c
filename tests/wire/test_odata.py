"""Parsing of partner management responses, without a server."""

from __future__ import annotations

import contextlib
import json

import pytest
from biztalk_services.drivers.biztalk.wire.messages import UnreadableError
from biztalk_services.drivers.biztalk.wire.odata import (
    MAX_NESTING,
    NextPage,
    Page,
    parse_json,
    parse_odata_error,
    parse_page,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.partner_samples import collection, deferred, entity, uri

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["d", "results", "__next", "__metadata", "__deferred", "uri", "etag", "type", "Id", "error"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


def read(content: object) -> Page:
    return parse_page(json.dumps(content).encode())


def one(**properties: object) -> dict:
    (result,) = read({"d": collection(entity("Agreements(1)", **properties))}).entities
    return result


def test_entity_has_properties_address_etag_and_type():
    assert one(Id=1, Name="to fabrikam", Note=None, Enabled=True, Partner=deferred("Agreements(1)/Partner")) == {
        "@id": uri("Agreements(1)"),
        "@etag": 'W/"1"',
        "@type": "Agreement",
        "Id": 1,
        "Name": "to fabrikam",
        "Note": None,
        "Enabled": True,
    }


def test_entity_without_etag_or_type():
    assert read({"d": [{"__metadata": {"uri": "u"}, "Id": 1}]}).entities == [
        {"@id": "u", "@etag": None, "@type": None, "Id": 1}
    ]


def test_expanded_links():
    batch = entity("BatchDescriptions(3)", "BatchDescription", Id=3, OnewayAgreement=deferred("x"))
    settings = entity("ProtocolSettings(7)", "X12ProtocolSettings", None, Id=7)
    result = one(BatchDescriptions=collection(batch), Empty=collection(), ProtocolSettings=settings, Partner=None)
    assert [each["@id"] for each in result["BatchDescriptions"]] == [uri("BatchDescriptions(3)")]
    assert "OnewayAgreement" not in result["BatchDescriptions"][0]
    assert result["Empty"] == []
    assert result["ProtocolSettings"]["@type"] == "X12ProtocolSettings"
    assert result["Partner"] is None


def test_complex_values_without_odata_envelope():
    wrapped = {"__metadata": {"type": "TpmModel.Address"}, "City": "Redmond", "Codes": {"results": ["1", "2"]}}
    assert one(Address=wrapped)["Address"] == {"City": "Redmond", "Codes": ["1", "2"]}


def test_property_cannot_replace_the_address():
    result = read({"d": collection(entity("Agreements(1)") | {"@id": "elsewhere", "@etag": "other"})}).entities[0]
    assert (result["@id"], result["@etag"]) == (uri("Agreements(1)"), 'W/"1"')


@pytest.mark.parametrize(
    ("old", "iso"),
    [
        ("/Date(1398902400000)/", "2014-05-01T00:00:00"),
        ("/Date(1398902400250)/", "2014-05-01T00:00:00.250000"),
        ("/Date(-1)/", "1969-12-31T23:59:59.999000"),
        ("/Date(1398902400000+60)/", "2014-05-01T01:00:00+01:00"),
        ("/Date(999999999999999)/", "/Date(999999999999999)/"),
        ("/Date(0+9999)/", "/Date(0+9999)/"),
        ("on /Date(0)/", "on /Date(0)/"),
        ("2014-05-01T00:00:00", "2014-05-01T00:00:00"),
    ],
)
def test_times(old, iso):
    assert one(At=old)["At"] == iso


def test_next_pages():
    batches = collection(entity("BatchDescriptions(3)"), link="inner")
    page = read({"d": collection(entity("Agreements(1)", BatchDescriptions=batches), link="outer")})
    inner = page.entities[0]["BatchDescriptions"]
    assert page.next_pages == [NextPage(inner, "inner"), NextPage(page.entities, "outer")]
    assert (page.next_pages[0].entities is inner, page.next_pages[1].entities is page.entities) == (True, True)
    empty = read({"d": collection(entity("Agreements(1)", BatchDescriptions=collection(link="inner")))})
    assert empty.next_pages == [NextPage([], "inner")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([], "no 'd'"),
        (None, "no 'd'"),
        ({"value": []}, "no 'd'"),
        ({"d": None}, "not a page"),
        ({"d": {}}, "not a page"),
        ({"d": {"results": {}}}, "not a page"),
        ({"d": entity("Agreements(1)")}, "not a page"),
        ({"d": [1]}, "address of its own"),
        ({"d": [{"Id": 1}]}, "address of its own"),
        ({"d": [{"__metadata": {"uri": 1}}]}, "address of its own"),
        ({"d": [{"__metadata": {"uri": "u", "etag": 1}}]}, "is not text"),
        ({"d": [{"__metadata": {"uri": "u", "type": []}}]}, "is not text"),
        ({"d": {"results": [], "__next": 7}}, "next page is not text"),
        ({"d": [entity("A(1)", Some={"results": [entity("B(1)"), 1]})]}, "address of its own"),
        ({"d": [entity("A(1)", Some={"results": [1], "__next": "more"})]}, "address of its own"),
    ],
)
def test_wrong_structures_are_rejected(content, reason):
    with pytest.raises(UnreadableError, match=reason):
        read(content)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"<feed xmlns='http://www.w3.org/2005/Atom'/>", "not JSON"),
        (b'{"d": {"results": [', "not JSON"),
        (b'{"d": NaN}', "not JSON"),
        (b'{"d": Infinity}', "not JSON"),
        (b'{"d": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"d": "\xff"}', "not JSON"),
        ('{"d": []}'.encode("utf-16"), "not JSON"),
        (b"[" * 1_000_000, "deeper"),
        (b'{"d":' * 500_000, "deeper"),
        (b"[" * (MAX_NESTING + 1) + b"]" * (MAX_NESTING + 1), "deeper"),
    ],
    ids=range(13),
)
def test_bodies_other_than_json_are_rejected(body, reason):
    with pytest.raises(UnreadableError, match=reason) as caught:
        parse_json(body)
    assert caught.value.__context__ is None


def test_json_with_maximum_nesting():
    assert parse_json(b"\xef\xbb\xbf" + b"[" * MAX_NESTING + b"]" * MAX_NESTING)
    assert parse_json(b"null") is None


@given(JSON)
def test_any_json_is_parsed_or_rejected(content):
    parse_odata_error(json.dumps(content).encode())
    with contextlib.suppress(UnreadableError):
        assert all("@id" in each for each in read(content).entities)


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_rejected(body):
    parse_odata_error(body)
    with contextlib.suppress(UnreadableError):
        parse_page(body)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ('{"error": {"code": "X", "message": {"lang": "en", "value": "No."}}}', "X", "No."),
        ('{"odata.error": {"code": "", "message": "No."}}', None, "No."),
        ('<m:error xmlns:m="urn:m"><m:code>X</m:code><m:message xml:lang="en">No.</m:message></m:error>', "X", "No."),
        (
            "Error:Code:401:SubCode:T0:Detail:no such identity",
            None,
            "Error:Code:401:SubCode:T0:Detail:no such identity",
        ),
        ('{"error": {"message": {"value": "Password=canary"}}}', None, "Password=***"),
        ('{"error": {"code": 1, "message": []}}', None, None),
        ('{"error": "no"}', None, None),
        ("<html>no</html>", None, None),
        ("", None, None),
        ("x" * 1_000_000, None, None),
    ],
)
def test_errors_in_every_format(body, code, message):
    result = parse_odata_error(body.encode())
    assert (result.code, result.message) == (code, message)


def test_secrets_in_errors_are_redacted():
    for body in ('{"error": {"code": "canary x", "message": "a canary x b"}}', "a canary x b"):
        result = parse_odata_error(body.encode(), ("canary x",))
        assert "canary" not in f"{result}"
        assert result.message == "a *** b"
