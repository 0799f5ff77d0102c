"""Parsing and writing of messages, without a server."""

from __future__ import annotations

import contextlib
import dataclasses
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

import pytest
from biztalk_services.drivers.biztalk.states import _CHART, _TRANSITIONS, canonical_state
from biztalk_services.drivers.biztalk.wire.messages import (
    UnreadableError,
    backup_body,
    bare_operation_id,
    parse_error,
    parse_list,
    parse_operation,
    parse_services,
    parse_xml,
)
from biztalk_services.drivers.biztalk.wire.responses import retry_after
from biztalk_services.model.errors import InvalidAddressError
from biztalk_services.model.redaction import looks_secret, redact, secrets_of
from biztalk_services.model.service import Operation, Service, ServiceRef
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.samples import (
    DASHED_ID,
    ETAG,
    NAMESPACE,
    OTHER_RESOURCE,
    REQUEST_ID,
    cloud_service,
    fleet,
    resource,
    service_poll,
    single,
    subscription_poll,
)

REFERENCE = parse_services(parse_list(parse_xml(single(resource()).encode())), pytest.fail)[0]
XML_TEXT = st.text(st.characters(exclude_categories=["C"]), max_size=30)


def read(xml: str) -> Service:
    (service,) = parse_services(parse_list(parse_xml(xml.encode())), pytest.fail)
    return service


def test_recorded_service():
    assert REFERENCE.raw_state == "Started/Active"
    assert REFERENCE.last_operation == Operation(None, "Succeeded", operation_type="Update")
    assert REFERENCE.settings == {
        "CustomDomainUrl": "https://edi.contoso.example/x",
        "ServiceVersion": "1.1.0",
        "Edition": "Premium",
        "UnitCount": "2",
        "AccessControlNamespace": "contoso-acs",
        "TrackingStoreConnectionString": "Data Source=tcp:db.contoso.example;Initial Catalog=OrdersTracking",
        "ArchiveStoreConnectionString": "AccountName=archive",
    }


def test_parsed_service_contains_no_secrets():
    output = repr(REFERENCE)
    for secret in ("canary", "hunter2", "UEZYLWNhbmFyeQ"):
        assert secret not in output


@pytest.mark.parametrize(
    ("state", "sub_state", "expected"),
    [
        ("Started", "Active", "Active"),
        ("Started", "suspended", "Suspended"),
        ("Suspended", "", "Suspended"),
        ("Started", "SuspendFailed", "SuspendedFailed"),
        ("Started", "ServiceUpdateFailed", "Service Update Failed"),
        ("Active", "Updating", "Updating"),
        ("Active", "Pondering", "Pondering"),
        ("Started", "", "Started"),
    ],
)
def test_state_from_state_and_sub_state(state, sub_state, expected):
    assert read(single(resource(state=state, sub_state=sub_state))).state == expected


@given(st.sampled_from((*_CHART, *_TRANSITIONS)), st.data())
def test_state_spelling_is_normalized(state, data):
    letters = [data.draw(st.sampled_from([letter.lower(), letter.upper()])) for letter in state]
    gap = data.draw(st.sampled_from(["", " ", "_", "-"]))
    assert canonical_state(f" {gap.join(letters)} ") == state


def _relaxed(element: Element, data: st.DataObject, namespace: str) -> Element:
    """The same content in another namespace, order and case, with unknown elements."""
    name = element.tag.rpartition("}")[2]
    spelled = data.draw(st.sampled_from([name, name.lower(), name.upper()]))
    copy = Element(f"{{{namespace}}}{spelled}" if namespace else spelled)
    padding = data.draw(st.sampled_from(["", " ", "\n  "]))
    copy.text = f"{padding}{element.text}{padding}" if (element.text or "").strip() else element.text
    children = [_relaxed(child, data, namespace) for child in element]
    if data.draw(st.booleans()):
        SubElement(copy, "Unheard" + data.draw(st.sampled_from(["Of", "Before"]))).text = data.draw(XML_TEXT)
    copy.extend(data.draw(st.permutations(children)))
    return copy


@given(st.data(), st.sampled_from(["", NAMESPACE, "urn:other"]))
def test_namespace_order_case_and_extra_elements_are_ignored(data, namespace):
    relaxed = tostring(_relaxed(fromstring(single(resource())), data, namespace))
    (service,) = parse_services(parse_list(parse_xml(relaxed)), pytest.fail)
    spelled = {name.lower(): value for name, value in service.settings.items()}
    assert spelled == {name.lower(): value for name, value in REFERENCE.settings.items()}
    assert dataclasses.replace(service, settings={}) == dataclasses.replace(REFERENCE, settings={})


@given(st.data())
def test_optional_elements(data):
    root = fromstring(single(resource()))
    target = root.find(f".//{{{NAMESPACE}}}Resource")
    optional = [
        child
        for child in target
        if child.tag.rpartition("}")[2] not in ("ResourceProviderNamespace", "Type", "Name", "State", "SubState")
    ]
    for child in data.draw(st.lists(st.sampled_from(optional), unique=True)):
        target.remove(child)
    (service,) = parse_services(parse_list(parse_xml(tostring(root))), pytest.fail)
    assert service.etag in (None, ETAG)
    assert service.edition in (None, "premium")
    assert service.state == "Active"


@given(st.binary(max_size=300))
def test_any_bytes_are_parsed_or_rejected(body):
    parse_error(body)
    with contextlib.suppress(UnreadableError):
        assert isinstance(parse_services(parse_list(parse_xml(body)), lambda entry: None), list)


@given(XML_TEXT, XML_TEXT)
def test_backup_body_preserves_every_character(connection_string, name):
    root = fromstring(backup_body(connection_string, name))
    assert [(child.tag, child.text or "") for child in root] == [
        ("BackupStoreConnectionString", connection_string),
        ("BackupName", name),
    ]


def test_operations():
    for result in ("InProgress", "in progress", "INPROGRESS"):
        assert parse_operation(parse_xml(service_poll(result).encode()), DASHED_ID).result == "InProgress"
    parts = "<HttpCode>409</HttpCode><Message>No. AccountKey=canary</Message><ExtendedCode>Taken</ExtendedCode>"
    parts = f"<Error>{parts}</Error>"
    status = parse_operation(parse_xml(service_poll("Failed", parts).encode()), REQUEST_ID)
    assert status == Operation(REQUEST_ID, "Failed", 409, "Taken", "No. AccountKey=***")
    succeeded = parse_operation(parse_xml(subscription_poll("Succeeded").encode()), REQUEST_ID)
    assert succeeded == Operation(REQUEST_ID, "Succeeded")
    for result in ("", "Done", "200"):
        with pytest.raises(UnreadableError, match=r"operation result .* is unknown"):
            parse_operation(parse_xml(service_poll(result).encode()), REQUEST_ID)
    with pytest.raises(UnreadableError, match="got Resource"):
        parse_operation(parse_xml(resource().encode()), REQUEST_ID)


def test_service_with_an_unreadable_last_operation():
    xml = single(resource()).replace("<Result>Succeeded</Result>", "<Result>Perhaps</Result>")
    assert read(xml).last_operation is None


def test_operation_ids():
    assert bare_operation_id(f" {DASHED_ID.upper()} ") == REQUEST_ID
    for wrong in ("", "124", REQUEST_ID + "0", "z" * 32, "../" + REQUEST_ID):
        with pytest.raises(InvalidAddressError, match="is not an operation id"):
            bare_operation_id(wrong)


def test_addresses():
    assert str(ServiceRef.parse(" contoso-west / orders ")) == "contoso-west/orders"
    for wrong in ("orders", "/orders", "a/", "a/b/c", "../b", "a/..", "a/b?c", "a b/c", "a/b\n"):
        if wrong != "a/b\n":
            with pytest.raises(InvalidAddressError, match="is not the"):
                ServiceRef.parse(wrong)
    with pytest.raises(InvalidAddressError, match="is not the name of a service"):
        ServiceRef("a", "b\n")
    with pytest.raises(InvalidAddressError, match="is not the scope of a service"):
        ServiceRef("x" * 65, "orders")


def test_error_element_at_any_level():
    inner = "<Error><Code>C</Code><Message>M</Message></Error>"
    for body in (inner, f"<Wrapped>{inner}</Wrapped>", inner.replace("<Error>", f'<Error xmlns="{NAMESPACE}">')):
        assert (parse_error(body.encode()).code, parse_error(body.encode()).message) == ("C", "M")
    for body in (b"", b"<html/>", b"{}", b"\xff"):
        assert (parse_error(body).code, parse_error(body).message) == (None, None)


def test_other_resource_types_are_skipped():
    other = fleet(cloud_service(OTHER_RESOURCE, OTHER_RESOURCE.replace("<Type>Caching</Type>", "")))
    assert parse_services(parse_list(parse_xml(other.encode())), pytest.fail) == []


def test_retry_after_in_both_forms():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for text, seconds in {
        "7": 7.0,
        " 0 ": 0.0,
        "Thu, 01 Jan 2026 00:01:00 GMT": 60.0,
        "Wed, 31 Dec 2025 00:00:00 GMT": 0.0,
        "soon": None,
        "-1": None,
        "1.5": None,
        "": None,
        "9" * 500: 999999999.0,
    }.items():
        assert retry_after({"Retry-After": text}, now) == seconds, text


@pytest.mark.parametrize("clock", ["Thu, 01 Jan 2026 00:10:00 GMT", "Wed, 31 Dec 2025 23:50:00 GMT"])
def test_retry_after_date_is_relative_to_the_server_clock(clock):
    at = format_datetime(parsedate_to_datetime(clock) + timedelta(seconds=7), usegmt=True)
    assert retry_after({"Date": clock, "Retry-After": at}) == 7.0


@given(
    st.text(max_size=80),
    st.sampled_from(["AccountKey={};x", "Password: {}", '"Pwd" = "{}"', "?sv=1&sig={}&x", "<Password>{}</Password>"]),
)
def test_redaction_is_one_line_and_idempotent(noise, pattern):
    text = redact(noise + " " + pattern.format("canary"))
    assert "canary" not in text
    assert len(text.splitlines()) <= 1
    assert redact(text) == text


def test_looks_secret():
    assert looks_secret("AccountKey=abc")
    assert looks_secret("-----BEGIN PRIVATE KEY-----\nabc")
    assert not looks_secret(redact("AccountKey=abc; Password=x.") + ".")
    assert not looks_secret("The significance of a key: it opens.")
    assert looks_secret('Authorization: WRAP access_token="abc"')
    assert looks_secret("wrap_name=owner&wrap_password=abc")


@pytest.mark.parametrize(
    ("connection_string", "secrets"),
    [
        ("AccountName=a;AccountKey=abc==;BlobEndpoint=https://b/", ["abc=="]),
        ("BlobEndpoint=https://b/; SharedAccessSignature = sv=1&sig=x ", ["sv=1&sig=x"]),
        ('User ID=u; PASSWORD="a;b""c";Encrypt=True', ['a;b"c', 'a;b""c']),
        ("Pwd='it''s';", ["it's", "it''s"]),
        ("Password=open", ["open"]),
        ("Password='unclosed;x", ["'unclosed;x"]),
        ("Password=;AccountKey=", []),
        ("no pairs", []),
        ("", []),
    ],
)
def test_secrets_of_a_connection_string(connection_string, secrets):
    assert list(secrets_of(connection_string)) == [text for text in [connection_string, *secrets] if text]


def test_longer_secrets_are_redacted_first():
    assert redact("key abc-def.", ("abc", "abc-def")) == "key ***."


def test_exact_secrets_are_redacted_before_truncation():
    secret = "two words"
    for lead in ("Password=", "x" * 1995, ""):
        body = f"<Error><Code>{secret}</Code><Message>{lead}{secret}</Message></Error>"
        result = parse_error(body.encode(), (secret,))
        assert "words" not in f"{result}"
        assert "two" not in f"{result}"
