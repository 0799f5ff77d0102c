"""XML messages of the management API: services, operations, errors, backup requests.

The parser is lenient (any namespace, any order, extra elements, any case of names) and validates the values. defusedxml
rejects document types and entities.

Sources: Backup BizTalk Service (dn232427), Poll on an Async Operation (dn232425), Get Operation Status (ee460783), Get
Cloud Service (dn495649, same front end) and wire recordings of the front end with a sibling resource provider.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from biztalk_services.drivers.biztalk.connection_strings import shown, without_user
from biztalk_services.drivers.biztalk.states import biztalk_service, canonical_state
from biztalk_services.model.errors import InvalidAddressError
from biztalk_services.model.redaction import redact
from biztalk_services.model.service import Operation, Result, Service, ServiceRef

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


@dataclass(frozen=True)
class Entry:
    """An entry of a list of services as it was received.

    :param resource: None: the cloud service itself, which has no usable name; ``name`` is empty then.
    """

    scope: str
    name: str
    cloud_service: Element
    resource: Element | None


@dataclass(frozen=True)
class Unread:
    """An entry of a list of services that cannot be read; what is not known of its address is empty.

    :param reason: clause with the reason, without secrets.
    """

    scope: str
    name: str
    reason: str

    def __str__(self) -> str:
        """One sentence on the entry."""
        if self.name:
            what = f"service {self.name} of cloud service {self.scope or '(without a name)'}"
        else:
            what = f"a service of cloud service {self.scope}" if self.scope else "a cloud service"
        return f"{what[0].upper()}{what[1:]} in the list of services cannot be read: {self.reason}."


def is_resource_name(text: str) -> bool:
    """Whether a service or a cloud service can have this name."""
    try:
        ServiceRef(text, text)
    except InvalidAddressError:
        return False
    return True


def check_not_empty(body: bytes) -> None:
    """:raises UnreadableError: the body is empty."""
    if not body.strip():
        raise UnreadableError("the body is empty")


def malformed(body: bytes, expected: str) -> str:
    """The clause for a body that is not in the expected format (``XML``)."""
    is_html = body.lstrip()[:200].lower().startswith((b"<!doctype html", b"<html"))
    return "the body is an HTML page" if is_html else f"the body is not {expected}"


def parse_xml(body: bytes) -> Element:
    """The root element of an XML body.

    :raises UnreadableError: empty, malformed, or with a document type or entities.
    """
    check_not_empty(body)
    try:
        root: Element = fromstring(body, forbid_dtd=True)
    except DefusedXmlException:
        raise UnreadableError("the XML contains a document type or entities, which this API never uses") from None
    except (ParseError, ValueError, LookupError):
        raise UnreadableError(malformed(body, "XML")) from None
    return root


def parse_list(root: Element) -> list[Entry]:
    """The entries of a ``CloudServices`` or ``CloudService`` element, none of them read yet.

    :raises UnreadableError: the root is another element.
    """
    if _tag(root) not in ("cloudservices", "cloudservice"):
        raise UnreadableError(f"expected CloudServices or CloudService, got {_printable_tag(root)}")
    entries = []
    for cloud_service in [root] if _tag(root) == "cloudservice" else _children(root, "CloudService"):
        scope = redact(_text(cloud_service, "Name") or "", limit=64)
        if not is_resource_name(scope):
            entries.append(Entry(scope, "", cloud_service, None))
            continue
        for resources in _children(cloud_service, "Resources"):
            for resource in _children(resources, "Resource"):
                entries.append(Entry(scope, _text(resource, "Name") or "", cloud_service, resource))
    return entries


def parse_services(entries: Iterable[Entry], on_unread: Callable[[Unread], None]) -> list[Service]:
    """All BizTalk services among some entries; other resource types are skipped.

    A state or edition that no document has can be read: the service has no known phase, or no known edition. An entry
    that comes twice is taken once.

    :param on_unread: called with each entry that cannot be read: without a usable name or a state, of a wrong type, in
        a cloud service without a usable name, or there twice with two contents. The others are returned all the same.
    """
    services: dict[str, Service] = {}
    for entry in entries:
        if entry.resource is None:
            on_unread(Unread(entry.scope, "", f"the name of the cloud service is {_quoted(entry.scope)}"))
            continue
        try:
            service = _service(entry.resource, entry.cloud_service) if _is_biztalk(entry.resource) else None
            if service and services.setdefault(str(service.ref).lower(), service) != service:
                raise UnreadableError("it is there twice, with two contents; the first one is taken")
        except UnreadableError as error:
            on_unread(Unread(entry.scope, redact(entry.name, limit=64), str(error)))
    return list(services.values())


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
    """Whether a resource is a BizTalk service.

    :raises UnreadableError: provider and type do not fit together, so it may be one.
    """
    namespace, kind = _text(resource, "ResourceProviderNamespace"), _text(resource, "Type")
    ours = (namespace or "").lower() == "biztalkservices", (kind or "").lower() == "biztalk"
    if ours[1] and namespace is None:
        return True
    if ours[0] != ours[1] or not (namespace or kind):
        provider, kind = redact(namespace or "none", limit=64), redact(kind or "none", limit=64)
        raise UnreadableError(f"its provider is {provider} and its type is {kind}, not biztalkservices and biztalk")
    return all(ours)


def _quoted(text: str) -> str:
    return repr(text) if text else "missing"


def _service(resource: Element, cloud_service: Element) -> Service:
    name = _text(resource, "Name") or ""
    if not is_resource_name(name):
        raise UnreadableError(f"its name is {_quoted(redact(name, limit=64))}")
    ref = ServiceRef(_text(cloud_service, "Name") or "", name)
    state, sub_state = _text(resource, "State"), _text(resource, "SubState")
    if not (state or sub_state):
        raise UnreadableError("it has neither State nor SubState")
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


def _public_settings(settings: Element | None) -> dict[str, str]:
    """The settings without secrets: an allow list, so that new secret elements are excluded by default."""
    public: dict[str, str] = {}
    for name in _PUBLIC_SETTINGS:
        if text := _text(settings, name):
            public[name] = without_user(redact(text)) if name == "CustomDomainUrl" else redact(text)
    for element in settings if settings is not None else ():
        name = str(element.tag).rpartition("}")[2]
        if _tag(element).endswith("connectionstring") and (element.text or "").strip():
            public[name] = shown(element.text or "")
    return public
