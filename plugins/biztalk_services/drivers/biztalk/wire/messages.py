"""What is said on the wire: addresses, services, operations, and the XML they come and go in.

Reading is lenient (any namespace, any order, extra elements, any case of names); what is read is checked. XML is parsed
with defusedxml and refuses document types and entities.

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

from biztalk_services.drivers.biztalk.states import canonical_state
from biztalk_services.model.errors import InvalidAddressError
from biztalk_services.model.redaction import redact
from biztalk_services.model.service import OperationStatus, Result, Service, ServiceRef

LARGEST_ANSWER = 4 * 1024 * 1024
"""Bytes of the largest answer that is read."""

LONGEST_MESSAGE = 2000
"""Characters of an error message that are kept; a restore is refused with all its violations in one."""

_RESULTS: dict[str, Result] = {"inprogress": "InProgress", "succeeded": "Succeeded", "failed": "Failed"}


class UnreadableError(ValueError):
    """A text from the wire is not what this API says; the message says what is wrong with it."""


@dataclass(frozen=True)
class ErrorBody:
    """The body of an error answer: code and message, each None when absent."""

    code: str | None
    message: str | None


# --- reading ---------------------------------------------------------------------------------------------------------


def parse_xml(body: bytes) -> Element:
    """The root of an XML answer.

    :raises UnreadableError: empty, too large, malformed, or with a document type or entities.
    """
    if not body.strip():
        raise UnreadableError("the body is empty")
    if len(body) > LARGEST_ANSWER:
        raise UnreadableError(f"the body is larger than {LARGEST_ANSWER} bytes")
    try:
        return fromstring(body, forbid_dtd=True)
    except DefusedXmlException:
        raise UnreadableError("the XML carries a document type or entities, which this API never sends") from None
    except (ParseError, ValueError, LookupError):
        kind = "an HTML page" if body.lstrip()[:200].lower().startswith((b"<!doctype html", b"<html")) else "not XML"
        raise UnreadableError(f"the body is {kind}") from None


def parse_services(root: Element) -> list[Service]:
    """All BizTalk services below a ``CloudServices`` or ``CloudService`` element, without other kinds of resources.

    :raises UnreadableError: when the root is another element, or a service has no name or no state.
    """
    if _tag(root) not in ("cloudservices", "cloudservice"):
        raise UnreadableError(f"expected CloudServices or CloudService, got {_shown_tag(root)}")
    cloud_services = [root] if _tag(root) == "cloudservice" else list(_children(root, "CloudService"))
    return [
        _service(resource, cloud_service)
        for cloud_service in cloud_services
        for resource in _children(_child(cloud_service, "Resources"), "Resource")
        if _is_biztalk(resource)
    ]


def parse_operation(root: Element, operation_id: str) -> OperationStatus:
    """An ``Operation`` (subscription level) or ``OperationStatus`` (service level) element.

    :param operation_id: the id that was asked for; an answer about another one is refused.
    :raises UnreadableError: another element, another operation, or a result that this API does not have.
    """
    if _tag(root) not in ("operation", "operationstatus"):
        raise UnreadableError(f"expected Operation or OperationStatus, got {_shown_tag(root)}")
    asked = bare_operation_id(operation_id)
    answered = _text(root, "ID")
    if answered and bare_operation_id(answered) != asked:
        raise UnreadableError(f"asked for operation {asked}, got {redact(answered, limit=64)}")
    return _operation(root, asked)


def parse_error(body: bytes, secrets: tuple[str, ...] = ()) -> ErrorBody:
    """Code and message of an error body; both None when it is no error body. Never raises.

    :param secrets: exact values that the message must not repeat.
    """
    try:
        root = parse_xml(body)
    except UnreadableError:
        return ErrorBody(None, None)
    error = root if _tag(root) == "error" else _child(root, "Error")
    if error is None:
        return ErrorBody(None, None)
    message = _text(error, "Message")
    code = _text(error, "Code") or _text(error, "ExtendedCode")
    return ErrorBody(code and redact(code, secrets, limit=64), message and redact(message, secrets, LONGEST_MESSAGE))


def bare_operation_id(operation_id: str) -> str:
    """The 32 lower-case hex digits of a request id, which the wire spells with and without dashes.

    :raises InvalidAddressError: when the text is no request id.
    """
    bare = operation_id.strip().replace("-", "").lower()
    if not re.fullmatch(r"[0-9a-f]{32}", bare):
        raise InvalidAddressError(
            f"{redact(operation_id, limit=64)!r} is not an operation id: it has 32 hexadecimal digits."
        )
    return bare


# --- writing ---------------------------------------------------------------------------------------------------------


def backup_body(store_connection_string: str, backup_name: str) -> bytes:
    """The body of a backup request, as printed in dn232427 (no namespace). Holds the account key."""
    settings = Element("ServiceBackupSettings")
    SubElement(settings, "BackupStoreConnectionString").text = store_connection_string
    SubElement(settings, "BackupName").text = backup_name
    return tostring(settings, encoding="utf-8", xml_declaration=True)


# --- parts -----------------------------------------------------------------------------------------------------------


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""


def _shown_tag(element: Element) -> str:
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
        address = ServiceRef(_text(cloud_service, "Name") or "", _text(resource, "Name") or "")
    except InvalidAddressError as error:
        raise UnreadableError(f"a service has no usable address: {redact(str(error))}") from None
    state, sub_state = _text(resource, "State"), _text(resource, "SubState")
    if not (state or sub_state):
        raise UnreadableError(f"service {address} has neither State nor SubState")
    intrinsic = _child(resource, "IntrinsicSettings")
    settings = _child(intrinsic, "ServiceSettings")
    edition, etag = _text(settings, "Edition"), _text(resource, "ETag")
    return Service(
        address=address,
        state=canonical_state(sub_state or state or ""),
        edition=edition and edition.lower(),
        version=_text(settings, "ServiceVersion"),
        region=_text(cloud_service, "GeoRegion"),
        etag=etag and etag.strip('"'),
        unit_count=_int(_text(settings, "UnitCount")),
        settings=_harmless_settings(settings),
        last_operation=_last_operation(resource),
        raw_state="/".join(redact(part, limit=64) for part in (state, sub_state) if part),
    )


def _last_operation(resource: Element) -> OperationStatus | None:
    element = _child(resource, "OperationStatus")
    try:
        return None if element is None else _operation(element, None)
    except UnreadableError:
        return None


def _operation(element: Element, operation_id: str | None) -> OperationStatus:
    result_text = _text(element, "Result") or _text(element, "Status") or ""
    result = _RESULTS.get(re.sub(r"[\s_-]", "", result_text).lower())
    if result is None:
        raise UnreadableError(
            f"the result of an operation is {redact(result_text, limit=64)!r}, which this API does not have"
        )
    error = _child(element, "Error")
    message = _text(error, "Message")
    return OperationStatus(
        operation_id=operation_id,
        result=result,
        http_code=_int(_text(error, "HttpCode") or _text(element, "HttpStatusCode")),
        code=_text(error, "Code") or _text(error, "ExtendedCode"),
        message=message and redact(message),
        operation_type=_text(element, "Type"),
    )


_HARMLESS_SETTINGS = ("CustomDomainUrl", "ServiceVersion", "Edition", "UnitCount", "AccessControlNamespace")
_HARMLESS_CONNECTION_PARTS = ("data source", "server", "initial catalog", "database", "accountname", "blobendpoint")


def _harmless_settings(settings: Element | None) -> dict[str, str]:
    """What may be shown of the settings: listed elements only, so that a new secret element stays out by default."""
    shown: dict[str, str] = {}
    for name in _HARMLESS_SETTINGS:
        if text := _text(settings, name):
            shown[name] = _without_user(redact(text)) if name == "CustomDomainUrl" else redact(text)
    for element in settings if settings is not None else ():
        name = str(element.tag).rpartition("}")[2]
        if _tag(element).endswith("connectionstring") and (element.text or "").strip():
            # The order of the parts says nothing; the same store is always shown the same.
            shown[name] = ";".join(
                sorted(
                    _without_user(redact(part.strip()))
                    for part in (element.text or "").split(";")
                    if part.partition("=")[0].strip().lower() in _HARMLESS_CONNECTION_PARTS
                )
            )
    return shown


def _without_user(text: str) -> str:
    """A text that may be or hold an address, without user, password and query."""
    return re.sub(r"(//)[^/@\s]*@", r"\1", text).partition("?")[0]
