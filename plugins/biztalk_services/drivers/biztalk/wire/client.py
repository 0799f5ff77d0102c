"""Client of the BizTalk Services management API (Windows Azure Service Management, 2013-04-26).

Reads are repeated after temporary failures. A change is sent once; it is repeated only when the connection failed, so
that nothing was sent. Changes are asynchronous: poll them with :meth:`BizTalkServicesClient.get_operation` and
:meth:`BizTalkServicesClient.get_service`; an operation can succeed before the service has settled.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import quote
from xml.etree.ElementTree import Element

from biztalk_services.drivers.biztalk.wire.credentials import ManagementCredentials
from biztalk_services.drivers.biztalk.wire.hosts import read_host, read_subscription
from biztalk_services.drivers.biztalk.wire.messages import (
    UnreadableError,
    backup_body,
    bare_operation_id,
    parse_operation,
    parse_xml,
)
from biztalk_services.drivers.biztalk.wire.responses import MANAGEMENT, ErrorMapping
from biztalk_services.drivers.biztalk.wire.restore_messages import RestoreValues, restore_body
from biztalk_services.drivers.biztalk.wire.server import Request, Server, header_value, pause
from biztalk_services.drivers.biztalk.wire.service_list import ServiceList
from biztalk_services.drivers.biztalk.wire.transport import MAX_RESPONSE_BYTES
from biztalk_services.model.errors import (
    InvalidAddressError,
    InvalidRequestError,
    OperationNotAllowedError,
    OperationNotFoundError,
    OutcomeUnknownError,
    ServiceNotFoundError,
    UnexpectedResponseError,
)
from biztalk_services.model.redaction import secrets_of
from biztalk_services.model.service import Operation, Service, ServiceRef

log = logging.getLogger(__name__)

DEFAULT_HOST = "management.core.windows.net"
DEFAULT_API_VERSION = "2013-04-26"
MAX_LIST_BYTES = 32 * 1024 * 1024
"""Largest list of services that is read; a service takes about 2 KB of it."""
_NO_SERVICE = "00000000-0000-0000-0000-000000000000"
"""An ETag that matches no service."""

_NAME_RESERVED = re.compile(r"(?i)\b(held|holds?|reserved|released?|recently|was deleted|been deleted|not yet|again)\b")
_NAME_IN_USE = re.compile(r"(?i)\b(exists?|existing|in use|taken|alive|living)\b")
"""Words that distinguish the two causes of a rejected name; the documents print no message for either."""

T = TypeVar("T")


class BizTalkServicesClient:
    """Client for the BizTalk services of one subscription. A context manager; not thread-safe.

    :param subscription_id: quotation marks, braces and blanks around it do not count.
    :param host: ``https://`` before it, quotation marks and blanks around it do not count.
    :param subscription_id: GUID; also in braces, quotes, blanks or upper case.
    :param credentials: management certificate that is uploaded to the subscription.
    :param host: also with ``https://`` and with its port.
    :param port: None for that of the host, or 443.
    :param ca_bundle: path or PEM text of the CAs to trust instead of the public ones.
    :param api_version: "2012-08-01 or later" (dn232427).
    :param timeout: connect timeout and total response timeout, seconds.
    :raises InvalidCertificateError: the certificate is unusable or outside its validity period; nothing was sent.
    :raises InvalidAddressError: subscription id or host is invalid.
    """

    def __init__(
        self,
        subscription_id: str,
        credentials: ManagementCredentials,
        *,
        host: str = DEFAULT_HOST,
        port: int | None = None,
        ca_bundle: str | Path | None = None,
        api_version: str = DEFAULT_API_VERSION,
        timeout: tuple[float, float] = (10.0, 30.0),
    ) -> None:
        self.subscription_id = read_subscription(subscription_id or "")
        origin = read_host(host or "", "the management API", port).origin()
        credentials.check_validity()
        self._credentials = credentials
        self._headers = {
            "x-ms-version": api_version,
            "User-Agent": f"biztalk-services-airflow/{_own_version()}",
            "Accept": "application/xml",
            "Content-Type": "application/xml",
        }
        context = credentials.ssl_context(ca_bundle)
        self._server = Server(origin, context, timeout, handshake=self._handshake)

    def __repr__(self) -> str:
        return f"<BizTalkServicesClient {self._server.origin}/{self.subscription_id}>"

    def __enter__(self) -> BizTalkServicesClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The client remains usable and opens new ones."""
        self._server.close()

    def list_services(self, on_unread: Callable[[str], None] | None = None) -> list[Service]:
        """All BizTalk services of the subscription, over all cloud services, sorted by address.

        :param on_unread: called with one sentence for each entry that cannot be read; default: a warning in the log.
        :raises BackupServiceError: the request was rejected, the service is unreachable or the response is no list;
            so every read.
        """
        services, unread = self._list().all()
        for entry in unread:
            (on_unread or log.warning)(str(entry))
        return sorted(services, key=lambda service: service.ref)

    def get_service(self, address: ServiceRef) -> Service:
        """One service, read from its cloud service.

        One request returns state, settings, ETag and region, in the format of wire recordings. A missing service is
        read a second time, as the parts of a subscription are only eventually consistent.

        :raises ServiceNotFoundError: the cloud service, or the service in it, does not exist.
        :raises UnexpectedResponseError: its entry cannot be read, or one without a usable name may be its own.
        """
        try:
            return self._get_service(address)
        except ServiceNotFoundError as error:
            pause(1, 2, error)
        return self._get_service(address)

    def read_services(self, cloud_service: str | None) -> Callable[[ServiceRef], Service]:
        """All services of a cloud service, None: of the subscription, in one request. What is returned gives each as
        it was then, and raises as :meth:`get_service`; nothing is read a second time.

        :raises ServiceNotFoundError: there is no such cloud service.
        """
        services = self._list() if cloud_service is None else self._cloud_service(cloud_service)

        def find(address: ServiceRef) -> Service:
            try:
                return services.find(address)
            except UnreadableError as error:
                action = self._server.describe(f"read service {address}")
                raise UnexpectedResponseError(f"{action} failed: {error}. Retry later.") from None

        return find

    def get_operation(self, address: ServiceRef, operation_id: str) -> Operation:
        """Status of an operation, from the service (dn232425), or the subscription (ee460783) when that returns 404.

        :param operation_id: return value of a change (``suspend``, ``start_backup``, ...); with or without dashes.
        :raises OperationNotFoundError: both addresses returned 404.
        :raises InvalidAddressError: the id is not an operation id.
        """
        bare = bare_operation_id(operation_id)
        action = f"poll operation {bare} of service {address}"
        for target in (_resource(address, f"OperationStatus/{bare}"), f"/operations/{bare}"):
            try:
                return self._read(target, action, lambda root: parse_operation(root, bare))
            except ServiceNotFoundError:
                continue
        raise OperationNotFoundError(
            f"{self._server.describe(action)} failed: HTTP 404 for both the service and the subscription. "
            "Check the service's state to determine the outcome.",
            status=404,
        )

    def check_connection(self) -> str:
        """One sentence about the subscription, from a real response."""
        unread: list[str] = []
        names = ", ".join(str(service.ref) for service in self.list_services(unread.append))
        sentence = (
            f"{self._server.origin} accepts the management certificate {self._credentials.subject} for subscription "
            f"{self.subscription_id}. BizTalk services: {names or 'none'}."
        )
        return " ".join(filter(None, (sentence, *unread, self._credentials.expiry_warning())))

    def suspend(self, address: ServiceRef, *, client_request_id: str) -> str:
        """Start suspending a service (dn232419); for a suspended service the operation succeeds without effect.

        What holds for every change:

        :param client_request_id: sent as ``x-ms-client-request-id``.
        :returns: operation id, 32 hex digits.
        :raises OutcomeUnknownError: sent, but the response was lost; check operation and state.
        :raises BackupServiceError: the request was rejected, or the service is unreachable.
        """
        return self._change("POST", _resource(address, "comp=suspend"), f"suspend service {address}", client_request_id)

    def resume(self, address: ServiceRef, *, client_request_id: str) -> str:
        """Start resuming a service."""
        return self._change("POST", _resource(address, "comp=resume"), f"resume service {address}", client_request_id)

    def start_backup(
        self,
        address: ServiceRef,
        *,
        store_connection_string: str,
        backup_name: str,
        client_request_id: str,
        if_match: str | None = None,
    ) -> str:
        """Start a backup into a new container (dn232427).

        :param store_connection_string: of the storage account, with its key; sent in the body only.
        :param if_match: required ETag of the service, without quotes; None: any.
        :raises PreconditionFailedError: the service has another ETag.
        """
        return self._change(
            "POST",
            _resource(address, "comp=backup"),
            f"back up service {address}",
            client_request_id,
            body=backup_body(store_connection_string, backup_name),
            if_match=if_match,
            secrets=secrets_of(store_connection_string),
        )

    def start_restore(
        self,
        address: ServiceRef,
        *,
        store_connection_string: str,
        backup_name: str,
        values: RestoreValues,
        client_request_id: str,
    ) -> str:
        """Start restoring a service from a backup (dn232344); its final state is ``Suspended`` or ``RestoreFailed``.

        The document requires ``If-Match``, which has no meaning for an unused name; the value sent matches no service,
        so that an existing service is not replaced.

        :param address: the name must be unused, the cloud service must exist.
        :param store_connection_string: of the storage account with the backup, with its key; sent in the body only.
        :param client_request_id: required.
        :raises InvalidRequestError: a value is invalid; nothing was sent.
        :raises BadRequestError: the backup is unreachable or cannot be restored, or a value was rejected.
        :raises OperationNotAllowedError: a service uses the name, or the name is reserved after a deletion.
        """
        if not client_request_id.strip():
            raise InvalidRequestError(
                f"The restore of service {address} has no client request id, which a restore requires. Set one that is "
                "derived from the run."
            )
        return self._change(
            "PUT",
            _resource(address),
            f"restore service {address}",
            client_request_id,
            body=restore_body(store_connection_string, backup_name, values),
            if_match=_NO_SERVICE,
            secrets=secrets_of(store_connection_string) + values.secrets(),
            mapping=_RESTORE,
        )

    def delete(self, address: ServiceRef, *, client_request_id: str, if_match: str | None = None) -> str:
        """Start deleting a service with everything deployed to it; its public IP address is released.

        The name stays reserved for some time after the operation has succeeded.

        :param if_match: required ETag of the service, without quotes; None: any.
        :raises ServiceNotFoundError: the service does not exist (any more).
        :raises PreconditionFailedError: the service has another ETag.
        """
        target, action = _resource(address), f"delete service {address}"
        return self._change("DELETE", target, action, client_request_id, if_match=if_match, mapping=_DELETE)

    def _get_service(self, address: ServiceRef) -> Service:
        def parse(root: Element) -> Service:
            return ServiceList(root).find(address)

        return self._read(_cloud_service(address.scope), f"read service {address}", parse)

    def _cloud_service(self, name: str) -> ServiceList:
        action = f"read the services of cloud service {name}"
        return self._read(_cloud_service(name), action, ServiceList, max_bytes=MAX_LIST_BYTES)

    def _list(self) -> ServiceList:
        action = f"list the services of subscription {self.subscription_id}"
        return self._read("/cloudservices", action, ServiceList, max_bytes=MAX_LIST_BYTES)

    def _read(
        self, target: str, action: str, parse: Callable[[Element], T], *, max_bytes: int = MAX_RESPONSE_BYTES
    ) -> T:
        request = Request("GET", f"/{self.subscription_id}{target}", action, self._headers, max_bytes=max_bytes)
        return self._server.read(request, lambda response: parse(parse_xml(response.body)))

    def _change(
        self,
        method: Literal["POST", "PUT", "DELETE"],
        target: str,
        action: str,
        client_request_id: str,
        *,
        body: bytes | None = None,
        if_match: str | None = None,
        secrets: tuple[str, ...] = (),
        mapping: ErrorMapping = MANAGEMENT,
    ) -> str:
        headers = self._headers | {"x-ms-client-request-id": header_value(client_request_id)}
        if if_match:
            headers["If-Match"] = header_value(if_match)
        target = f"/{self.subscription_id}{target}"
        response = self._server.change(Request(method, target, action, headers, body, secrets, mapping))
        try:
            return bare_operation_id(response.headers.get("x-ms-request-id", ""))
        except InvalidAddressError:
            raise OutcomeUnknownError(
                f"{self._server.describe(action)} returned HTTP {response.status} without a valid x-ms-request-id. The "
                f"operation may or may not have started. {mapping.recheck}.",
                status=response.status,
            ) from None

    def _handshake(self, reason: str) -> str:
        return (
            f"the server rejected the management certificate {self._credentials.subject} in the TLS handshake "
            f"({reason}). Check that this certificate is uploaded to the subscription and has not expired."
        )


def _restore_remedy(status: int, message: str) -> str | None:
    if status == 404:
        return "A restore requires a cloud service that exists; check subscription id and cloud service."
    if status not in (409, 412):
        return None
    reserved, in_use = bool(_NAME_RESERVED.search(message)), status == 412 or bool(_NAME_IN_USE.search(message))
    if in_use and not reserved:
        return (
            "A service with this name exists, and a restore never replaces a service. Restore under another name, or "
            "back up and delete the existing service first."
        )
    if reserved and not in_use:
        return (
            "The name is still reserved after the deletion of its service, for an undocumented time. Retry later, or "
            "restore under another name."
        )
    return (
        "A name is unavailable while a service uses it, and for some time after that service was deleted. List the "
        "services to determine the cause; restore under another name, or retry later."
    )


_RESTORE = ErrorMapping(
    recheck="Check whether the service exists and in which state it is",
    kinds={412: OperationNotAllowedError},
    remedy=_restore_remedy,
)
_DELETE = ErrorMapping(recheck="Check whether the service still exists")


def _cloud_service(name: str) -> str:
    return f"/cloudservices/{quote(name, safe='')}"


def _resource(address: ServiceRef, query: str = "") -> str:
    """Path of a service in the resource provider: POST and poll, which have a query, use ``~`` (dn232419, dn232425),
    PUT and DELETE do not (dn232416, dn232344)."""
    cloud_service, name = quote(address.scope, safe=""), quote(address.name, safe="")
    proxied, query = ("~/", f"?{query}") if query else ("", "")
    return f"/cloudservices/{cloud_service}/resources/biztalkservices/{proxied}biztalk/{name}{query}"


def _own_version() -> str:
    for wheel in ("biztalk-services-airflow", "biztalk-services-cli"):
        with suppress(PackageNotFoundError):
            return version(wheel)
    return "source"
