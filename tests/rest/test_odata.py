"""Reading of partner management's answers, without a wire."""

from __future__ import annotations

import contextlib
import json

import pytest
from biztalk_services.drivers.biztalk.wire.messages import LARGEST_ANSWER, UnreadableError
from biztalk_services.drivers.biztalk.wire.odata import DEEPEST, More, Page, parse_json, parse_odata_error, parse_page
from hypothesis import given
from hypothesis import strategies as st

from tests.rest.partner_samples import collection, deferred, entity, uri

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
    (found,) = read({"d": collection(entity("Agreements(1)", **properties))}).entities
    return found


def test_an_entity_is_its_properties_with_address_etag_and_type():
    assert one(Id=1, Name="to fabrikam", Note=None, Enabled=True, Partner=deferred("Agreements(1)/Partner")) == {
        "@id": uri("Agreements(1)"),
        "@etag": 'W/"1"',
        "@type": "Agreement",
        "Id": 1,
        "Name": "to fabrikam",
        "Note": None,
        "Enabled": True,
    }


def test_an_entity_without_etag_or_type():
    assert read({"d": [{"__metadata": {"uri": "u"}, "Id": 1}]}).entities == [
        {"@id": "u", "@etag": None, "@type": None, "Id": 1}
    ]


def test_what_is_expanded_is_a_list_or_an_entity_or_nothing():
    batch = entity("BatchDescriptions(3)", "BatchDescription", Id=3, OnewayAgreement=deferred("x"))
    settings = entity("ProtocolSettings(7)", "X12ProtocolSettings", None, Id=7)
    found = one(BatchDescriptions=collection(batch), Empty=collection(), ProtocolSettings=settings, Partner=None)
    assert [each["@id"] for each in found["BatchDescriptions"]] == [uri("BatchDescriptions(3)")]
    assert "OnewayAgreement" not in found["BatchDescriptions"][0]
    assert found["Empty"] == []
    assert found["ProtocolSettings"]["@type"] == "X12ProtocolSettings"
    assert found["Partner"] is None


def test_complex_values_lose_only_what_odata_wraps_around_them():
    wrapped = {"__metadata": {"type": "TpmModel.Address"}, "City": "Redmond", "Codes": {"results": ["1", "2"]}}
    assert one(Address=wrapped)["Address"] == {"City": "Redmond", "Codes": ["1", "2"]}


def test_a_property_cannot_pass_for_an_address():
    found = read({"d": collection(entity("Agreements(1)") | {"@id": "elsewhere", "@etag": "other"})}).entities[0]
    assert (found["@id"], found["@etag"]) == (uri("Agreements(1)"), 'W/"1"')


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


def test_where_lists_go_on():
    batches = collection(entity("BatchDescriptions(3)"), link="inner")
    page = read({"d": collection(entity("Agreements(1)", BatchDescriptions=batches), link="outer")})
    inner = page.entities[0]["BatchDescriptions"]
    assert page.more == [More(inner, "inner"), More(page.entities, "outer")]
    assert (page.more[0].entities is inner, page.more[1].entities is page.entities) == (True, True)
    empty = read({"d": collection(entity("Agreements(1)", BatchDescriptions=collection(link="inner")))})
    assert empty.more == [More([], "inner")]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([], "no 'd'"),
        (None, "no 'd'"),
        ({"value": []}, "no 'd'"),
        ({"d": None}, "no page"),
        ({"d": {}}, "no page"),
        ({"d": {"results": {}}}, "no page"),
        ({"d": entity("Agreements(1)")}, "no page"),
        ({"d": [1]}, "own address"),
        ({"d": [{"Id": 1}]}, "own address"),
        ({"d": [{"__metadata": {"uri": 1}}]}, "own address"),
        ({"d": [{"__metadata": {"uri": "u", "etag": 1}}]}, "no text"),
        ({"d": [{"__metadata": {"uri": "u", "type": []}}]}, "no text"),
        ({"d": {"results": [], "__next": 7}}, "next page is no text"),
        ({"d": [entity("A(1)", Some={"results": [entity("B(1)"), 1]})]}, "own address"),
        ({"d": [entity("A(1)", Some={"results": [1], "__next": "more"})]}, "own address"),
    ],
)
def test_wrong_shapes_are_refused(content, says):
    with pytest.raises(UnreadableError, match=says):
        read(content)


@pytest.mark.parametrize(
    ("body", "says"),
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
        (b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1), "deeper"),
        (b" " * LARGEST_ANSWER + b"{}", "larger"),
    ],
    ids=range(14),
)
def test_bodies_that_are_no_json_are_refused(body, says):
    with pytest.raises(UnreadableError, match=says) as caught:
        parse_json(body)
    assert caught.value.__context__ is None


def test_json_as_deep_as_is_read():
    assert parse_json(b"\xef\xbb\xbf" + b"[" * DEEPEST + b"]" * DEEPEST)
    assert parse_json(b"null") is None


@given(JSON)
def test_any_json_is_read_or_refused(content):
    parse_odata_error(json.dumps(content).encode())
    with contextlib.suppress(UnreadableError):
        assert all("@id" in each for each in read(content).entities)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body):
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
def test_errors_in_every_form(body, code, message):
    found = parse_odata_error(body.encode())
    assert (found.code, found.message) == (code, message)


def test_no_error_repeats_a_secret():
    for body in ('{"error": {"code": "canary x", "message": "a canary x b"}}', "a canary x b"):
        found = parse_odata_error(body.encode(), ("canary x",))
        assert "canary" not in f"{found}"
        assert found.message == "a *** b"
