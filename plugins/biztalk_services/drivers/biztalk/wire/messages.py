"""XML messages of the management API: services, operations, errors, backup requests.

The parser is lenient (any namespace, any order, extra elements, any case of names) and validates the values. defusedxml
rejects document types and entities.

Sources: Backup BizTalk Service (dn232427), Poll on an Async Operation (dn232425), Get Operation Status (ee460783), Get
Cloud Service (dn495649, same front end) and wire recordings of the front end with a sibling resource provider.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from biztalk_services.drivers.biztalk.states import biztalk_service, canonical_state
from biztalk_services.model.errors import InvalidAddressError
from biztalk_services.model.redaction import redact
from biztalk_services.model.service import Operation, Result, Service, ServiceRef

MAX_RESPONSE_BYTES = 4 * 1024 * 1024

MAX_MESSAGE_LENGTH = 2000
"""Characters kept of an error message; a rejected restore reports all its violations in one message."""

_RESULTS: dict[str, Result] = {"inprogress": "InProgress", "succeeded": "Succeeded", "failed": "Failed"}


class UnreadableError(ValueError):
    """A response body does not follow this API; the message is a clause with the reason."""


@dataclass(frozen=True)
class ErrorBody:
    """Code and message of an error response, each None when absent."""

    code: str | None
    message: str | None


def check_size(body: bytes) -> None:
    """:raises UnreadableError: the body is empty or larger than ``MAX_RESPONSE_BYTES``."""
    if not body.strip():
        raise UnreadableError("the body is empty")
    if len(body) > MAX_RESPONSE_BYTES:
        raise UnreadableError(f"the body is larger than {MAX_RESPONSE_BYTES} bytes")


def malformed(body: bytes, expected: str) -> str:
    """The clause for a body that is not in the expected format (``XML``)."""
    is_html = body.lstrip()[:200].lower().startswith((b"<!doctype html", b"<html"))
    return "the body is an HTML page" if is_html else f"the body is not {expected}"


def parse_xml(body: bytes) -> Element:
    """The root element of an XML body.

    :raises UnreadableError: empty, too large, malformed, or with a document type or entities.
    """
    check_size(body)
    try:
        root: Element = fromstring(body, forbid_dtd=True)
    except DefusedXmlException:
        raise UnreadableError("the XML contains a document type or entities, which this API never uses") from None
    except (ParseError, ValueError, LookupError):
        raise UnreadableError(malformed(body, "XML")) from None
    return root


def parse_services(root: Element) -> list[Service]:
    """All BizTalk services in a ``CloudServices`` or ``CloudService`` element; other resource types are skipped.

    :raises UnreadableError: the root is another element, or a service has no name or no state.
    """
    if _tag(root) not in ("cloudservices", "cloudservice"):
        raise UnreadableError(f"expected CloudServices or CloudService, got {_printable_tag(root)}")
    cloud_services = [root] if _tag(root) == "cloudservice" else list(_children(root, "CloudService"))
    return [
        _service(resource, cloud_service)
        for cloud_service in cloud_services
        for resource in _children(_child(cloud_service, "Resources"), "Resource")
        if _is_biztalk(resource)
    ]


def parse_operation(root: Element, operation_id: str) -> Operation:
    """An ``Operation`` (subscription level) or ``OperationStatus`` (service level) element.

    :param operation_id: the requested id; the status of another operation is rejected.
    :raises UnreadableError: another element, another operation, or an unknown result.
    """
    if _tag(root) not in ("operation", "operationstatus"):
        raise UnreadableError(f"expected Operation or OperationStatus, got {_printable_tag(root)}")
    requested = bare_operation_id(operation_id)
    actual = _text(root, "ID")
    if actual and bare_operation_id(actual) != requested:
        raise UnreadableError(f"expected operation {requested}, got {redact(actual, limit=64)}")
    return _operation(root, requested)


def parse_error(body: bytes, secrets: tuple[str, ...] = ()) -> ErrorBody:
    """Code and message of an error body, without the secrets; both None for any other body. Never raises."""
    try:
        root = parse_xml(body)
    except UnreadableError:
        return ErrorBody(None, None)
    error = root if _tag(root) == "error" else _child(root, "Error")
    if error is None:
        return ErrorBody(None, None)
    message = _text(error, "Message")
    code = _text(error, "Code") or _text(error, "ExtendedCode")
    return ErrorBody(code and redact(code, secrets, limit=64), message and redact(message, secrets, MAX_MESSAGE_LENGTH))


def bare_operation_id(operation_id: str) -> str:
    """The 32 lower-case hex digits of a request id, which the API writes with and without dashes.

    :raises InvalidAddressError: the text is not a request id.
    """
    bare = operation_id.strip().replace("-", "").lower()
    if not re.fullmatch(r"[0-9a-f]{32}", bare):
        raise InvalidAddressError(
            f"{redact(operation_id, limit=64)!r} is not an operation id: expected 32 hexadecimal digits."
        )
    return bare


def backup_body(store_connection_string: str, backup_name: str) -> bytes:
    """The body of a backup request, as printed in dn232427 (no namespace). Contains the account key."""
    settings = Element("ServiceBackupSettings")
    SubElement(settings, "BackupStoreConnectionString").text = store_connection_string
    SubElement(settings, "BackupName").text = backup_name
    body: bytes = tostring(settings, encoding="utf-8", xml_declaration=True)
    return body


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""


def _printable_tag(element: Element) -> str:
    return redact(str(element.tag).rpartition("}")[2], limit=64)


def _children(parent: Element | None, name: str) -> Iterator[Element]:
    return (child for child in (parent if parent is not None else ()) if _tag(child) == name.lower())


def _child(parent: Element | None, name: str) -> Element | None:
    return next(_children(parent, name), None)


def _text(parent: Element | None, name: str) -> str | None:
    element = _child(parent, name)
    text = (element.text or "").strip() if element is not None else ""
    return text or None


def _int(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"\d{1,9}", text, re.ASCII) else None


def _is_biztalk(resource: Element) -> bool:
    namespace, kind = _text(resource, "ResourceProviderNamespace"), _text(resource, "Type")
    return (kind or "").lower() == "biztalk" and (namespace or "biztalkservices").lower() == "biztalkservices"


def _service(resource: Element, cloud_service: Element) -> Service:
    try:
        ref = ServiceRef(_text(cloud_service, "Name") or "", _text(resource, "Name") or "")
    except InvalidAddressError as error:
        raise UnreadableError(f"a service has no valid address: {redact(str(error))}") from None
    state, sub_state = _text(resource, "State"), _text(resource, "SubState")
    if not (state or sub_state):
        raise UnreadableError(f"service {ref} has neither State nor SubState")
    intrinsic = _child(resource, "IntrinsicSettings")
    settings = _child(intrinsic, "ServiceSettings")
    edition, etag = _text(settings, "Edition"), _text(resource, "ETag")
    return biztalk_service(
        ref,
        canonical_state(sub_state or state or ""),
        edition and edition.lower(),
        version=_text(settings, "ServiceVersion"),
        region=_text(cloud_service, "GeoRegion"),
        etag=etag and etag.strip('"'),
        unit_count=_int(_text(settings, "UnitCount")),
        settings=_public_settings(settings),
        last_operation=_last_operation(resource),
        raw_state="/".join(redact(part, limit=64) for part in (state, sub_state) if part),
    )


def _last_operation(resource: Element) -> Operation | None:
    element = _child(resource, "OperationStatus")
    try:
        return None if element is None else _operation(element, None)
    except UnreadableError:
        return None


def _operation(element: Element, operation_id: str | None) -> Operation:
    result_text = _text(element, "Result") or _text(element, "Status") or ""
    result = _RESULTS.get(re.sub(r"[\s_-]", "", result_text).lower())
    if result is None:
        raise UnreadableError(f"the operation result {redact(result_text, limit=64)!r} is unknown")
    error = _child(element, "Error")
    message = _text(error, "Message")
    return Operation(
        operation_id=operation_id,
        result=result,
        http_code=_int(_text(error, "HttpCode") or _text(element, "HttpStatusCode")),
        code=_text(error, "Code") or _text(error, "ExtendedCode"),
        message=message and redact(message),
        operation_type=_text(element, "Type"),
    )


_PUBLIC_SETTINGS = ("CustomDomainUrl", "ServiceVersion", "Edition", "UnitCount", "AccessControlNamespace")
_PUBLIC_CONNECTION_PARTS = ("data source", "server", "initial catalog", "database", "accountname", "blobendpoint")


def _public_settings(settings: Element | None) -> dict[str, str]:
    """The settings without secrets: an allow list, so that new secret elements are excluded by default."""
    public: dict[str, str] = {}
    for name in _PUBLIC_SETTINGS:
        if text := _text(settings, name):
            public[name] = _without_user(redact(text)) if name == "CustomDomainUrl" else redact(text)
    for element in settings if settings is not None else ():
        name = str(element.tag).rpartition("}")[2]
        if _tag(element).endswith("connectionstring") and (element.text or "").strip():
            # Sorted: the order of the parts is not significant, and equal stores must compare equal.
            public[name] = ";".join(
                sorted(
                    _without_user(redact(part.strip()))
                    for part in (element.text or "").split(";")
                    if part.partition("=")[0].strip().lower() in _PUBLIC_CONNECTION_PARTS
                )
            )
    return public


def _without_user(text: str) -> str:
    """A text with or without an address: user, password and query removed."""
    return re.sub(r"(//)[^/@\s]*@", r"\1", text).partition("?")[0]
