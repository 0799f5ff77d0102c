"""The client of the BizTalk Services management API (Windows Azure Service Management, 2013-04-26).

Reads are repeated a few times when the trouble looks passing. A change is sent once: again only when no connection came
about, so that nothing can have arrived. What the service does afterwards is asked with
:meth:`BizTalkServicesClient.operation_status` and
:meth:`BizTalkServicesClient.get_service`; a succeeded operation does not yet mean a settled service.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar
from urllib.parse import quote
from xml.etree.ElementTree import Element

from biztalk_services.drivers.biztalk.wire.credentials import ManagementCredentials
from biztalk_services.drivers.biztalk.wire.messages import (
    backup_body,
    bare_operation_id,
    parse_operation,
    parse_services,
    parse_xml,
)
from biztalk_services.drivers.biztalk.wire.responses import MANAGEMENT, Refusals
from biztalk_services.drivers.biztalk.wire.restore_messages import RestoreValues, restore_body
from biztalk_services.drivers.biztalk.wire.server import Server, header_value, pause
from biztalk_services.model.errors import (
    InvalidAddressError,
    InvalidRequestError,
    OperationNotAllowedError,
    OperationNotFoundError,
    OutcomeUnknownError,
    ServiceNotFoundError,
)
from biztalk_services.model.redaction import secrets_of
from biztalk_services.model.service import OperationStatus, Service, ServiceRef

DEFAULT_HOST = "management.core.windows.net"
DEFAULT_API_VERSION = "2013-04-26"
_PROVIDER = "biztalkservices"
_TYPE = "biztalk"
_NO_SERVICE = "00000000-0000-0000-0000-000000000000"
"""An ETag that no service has."""

_NAME_HELD = re.compile(r"(?i)\b(held|holds?|reserved|released?|recently|was deleted|been deleted|not yet|again)\b")
_NAME_TAKEN = re.compile(r"(?i)\b(exists?|existing|in use|taken|alive|living)\b")
"""How plain English tells the two apart; the documents print no message for either."""

T = TypeVar("T")


class BizTalkServicesClient:
    """Speaks to one subscription's BizTalk services. Use it as a context manager; not for several threads at once.

    :param subscription_id: id of the subscription.
    :param credentials: management certificate that the subscription trusts.
    :param host: management host.
    :param port: its port.
    :param ca_bundle: path or PEM text of the CAs to trust instead of the public ones.
    :param api_version: ``x-ms-version`` to ask for; "2012-08-01 or later" (dn232427).
    :param timeout: seconds to connect, seconds until the whole answer is there.
    :raises InvalidCertificateError: the certificate cannot be used or is out of its dates; nothing was sent.
    :raises InvalidAddressError: subscription id or host cannot stand in an address.
    """

    def __init__(
        self,
        subscription_id: str,
        credentials: ManagementCredentials,
        *,
        host: str = DEFAULT_HOST,
        port: int = 443,
        ca_bundle: str | Path | None = None,
        api_version: str = DEFAULT_API_VERSION,
        timeout: tuple[float, float] = (10.0, 30.0),
    ) -> None:
        if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", subscription_id or ""):
            raise InvalidAddressError(
                f"{subscription_id!r} is not a subscription id: it is a GUID, as the portal's dashboard shows it."
            )
        if not re.fullmatch(r"[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:.]+\]?", host):
            raise InvalidAddressError(f"{host!r} is not a host name: give it without scheme, port and path.")
        credentials.check_validity()
        self.subscription_id = subscription_id
        self._credentials = credentials
        bracketed = f"[{host.strip('[]')}]" if ":" in host else host
        self._headers = {
            "x-ms-version": api_version,
            "User-Agent": f"biztalk-services-airflow/{_own_version()}",
            "Accept": "application/xml",
            "Content-Type": "application/xml",
        }
        context = credentials.ssl_context(ca_bundle)
        self._server = Server(f"https://{bracketed}:{port}", context, timeout, handshake=self._handshake)

    def __repr__(self) -> str:
        return f"<BizTalkServicesClient {self._server.origin}/{self.subscription_id}>"

    def __enter__(self) -> BizTalkServicesClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The client may still be used; it opens new ones."""
        self._server.close()

    # --- reading -----------------------------------------------------------------------------------------------------

    def list_services(self) -> list[Service]:
        """All BizTalk services of the subscription, over all cloud services, in the order of their addresses.

        :raises BackupServiceError: the service refused, or could not be reached or understood.
        """
        asked = f"list the services of subscription {self.subscription_id}"
        return sorted(
            self._services("/cloudservices", asked),
            key=lambda service: service.address,
        )

    def get_service(self, address: ServiceRef) -> Service:
        """One service as its cloud service shows it.

        One request gives state, settings, ETag and region together, in the form that wire recordings show. An absence
        is looked at twice, for what one part of a subscription knows another may not show yet.

        :raises ServiceNotFoundError: no such cloud service, or no such service in it.
        :raises BackupServiceError: the service refused, or could not be reached or understood.
        """
        try:
            return self._shown(address)
        except ServiceNotFoundError as absent:
            pause(1, 2, absent)
        return self._shown(address)

    def operation_status(self, address: ServiceRef, operation_id: str) -> OperationStatus:
        """How an operation stands.

        Asked of the service (dn232425), and of the subscription (ee460783) where the service does not know it.

        :param operation_id: what a change returned (``suspend``, ``begin_backup``, ``restore``, ...); with or without
            dashes.
        :raises OperationNotFoundError: neither knows it.
        :raises BackupServiceError: the service refused, or could not be reached or understood.
        :raises InvalidAddressError: the id is no operation id.
        """
        bare = bare_operation_id(operation_id)
        asked = f"poll operation {bare} of service {address}"
        for target in (f"{_resource(address)}?OperationStatus/{bare}", f"/operations/{bare}"):
            try:
                return self._read(target, asked, lambda root: parse_operation(root, bare))
            except ServiceNotFoundError:
                continue
        raise OperationNotFoundError(
            f"Asked {self._server.origin} to {asked}; neither the service nor the subscription knows it (404). "
            "Look at the service's state to learn what became of it.",
            status=404,
        )

    def check_connection(self) -> str:
        """One sentence on what this connection reaches; made of a real answer.

        :raises BackupServiceError: it does not work; the message says why.
        """
        services = self.list_services()
        sentence = (
            f"{self._server.origin} accepts the management certificate {self._credentials.subject} for subscription "
            f"{self.subscription_id}. BizTalk services there: {_names(services) or 'none'}."
        )
        warning = self._credentials.expiry_warning()
        return f"{sentence} {warning}" if warning else sentence

    # --- changing ----------------------------------------------------------------------------------------------------

    def suspend(self, address: ServiceRef, *, client_request_id: str) -> str:
        """Ask for suspension (dn232419); a suspended service takes it as done.

        :param client_request_id: our name for the request, sent as ``x-ms-client-request-id``.
        :returns: operation id, 32 hex digits.
        :raises OutcomeUnknownError: sent, but the answer was lost; look at the state.
        :raises BackupServiceError: refused, or not reached.
        """
        target = f"{_resource(address)}?comp=suspend"
        return self._change("POST", target, f"suspend service {address}", client_request_id)

    def resume(self, address: ServiceRef, *, client_request_id: str) -> str:
        """Ask for resumption. Parameters, return and errors as :meth:`suspend`."""
        target = f"{_resource(address)}?comp=resume"
        return self._change("POST", target, f"resume service {address}", client_request_id)

    def begin_backup(
        self,
        address: ServiceRef,
        *,
        store_connection_string: str,
        backup_name: str,
        client_request_id: str,
        if_match: str | None = None,
    ) -> str:
        """Ask for a backup into a new container (dn232427).

        :param store_connection_string: of the storage account, with its key; goes into the body and nowhere else.
        :param backup_name: name of backup and container.
        :param client_request_id: our name for the request.
        :param if_match: ETag that the service must still have, bare; None: whatever it has.
        :returns: operation id, 32 hex digits.
        :raises PreconditionFailedError: the service has another ETag.
        :raises OutcomeUnknownError: sent, but the answer was lost; look at operation, state and container.
        :raises BackupServiceError: refused, or not reached.
        """
        return self._change(
            "POST",
            f"{_resource(address)}?comp=backup",
            f"back up service {address}",
            client_request_id,
            body=backup_body(store_connection_string, backup_name),
            if_match=if_match,
            secrets=secrets_of(store_connection_string),
        )

    def restore(
        self,
        address: ServiceRef,
        *,
        store_connection_string: str,
        backup_name: str,
        values: RestoreValues,
        client_request_id: str,
    ) -> str:
        """Ask for a service to be restored from a backup (dn232344); it will be ``Suspended``, or ``RestoreFailed``.

        The page demands an ``If-Match``, which means nothing for a name that is free; the one that is sent fits no
        service, so that one which exists is not replaced.

        :param address: where the service shall live; its name must be free, its cloud service must exist.
        :param store_connection_string: of the storage account that holds the backup, with its key; goes into the body
            and nowhere else.
        :param backup_name: name of backup and container.
        :param values: what is not to be taken from the backup; what is given is checked at once, what is not given
            only when it is used.
        :param client_request_id: our name for the request; required.
        :returns: operation id, 32 hex digits.
        :raises InvalidRequestError: something cannot be sent as it is given; nothing was sent.
        :raises BadRequestError: the backup cannot be reached or restored so, or given values are refused.
        :raises OperationNotAllowedError: the name is taken by a service, or still held after one was deleted.
        :raises OutcomeUnknownError: sent, but the answer was lost; look whether the service exists.
        :raises BackupServiceError: refused, or not reached.
        """
        if not client_request_id.strip():
            raise InvalidRequestError(
                f"The restore of service {address} has no client request id, which a restore requires. Give it one "
                "that is derived from the run."
            )
        return self._change(
            "PUT",
            _resource(address, passing_through=False),
            f"restore service {address}",
            client_request_id,
            body=restore_body(store_connection_string, backup_name, values),
            if_match=_NO_SERVICE,
            secrets=secrets_of(store_connection_string) + values.secrets(),
            refusals=_RESTORE,
        )

    def delete(self, address: ServiceRef, *, client_request_id: str, if_match: str | None = None) -> str:
        """Ask for a service to be deleted with everything deployed to it; its public address goes to somebody else.

        The name is not free at once when the operation has succeeded.

        :param client_request_id: our name for the request.
        :param if_match: ETag that the service must still have, bare; None: whatever it has.
        :returns: operation id, 32 hex digits.
        :raises ServiceNotFoundError: there is no such service (any more).
        :raises PreconditionFailedError: the service has another ETag.
        :raises OutcomeUnknownError: sent, but the answer was lost; look whether the service exists.
        :raises BackupServiceError: refused, or not reached.
        """
        target = _resource(address, passing_through=False)
        asked = f"delete service {address}"
        return self._change("DELETE", target, asked, client_request_id, if_match=if_match, refusals=_DELETE)

    # --- how ---------------------------------------------------------------------------------------------------------

    def _shown(self, address: ServiceRef) -> Service:
        asked = f"read service {address}"
        services = self._services(f"/cloudservices/{quote(address.cloud_service, safe='')}", asked)
        found = next((s for s in services if s.address.name.lower() == address.name.lower()), None)
        if found is None:
            there = ", ".join(service.address.name for service in services) or "none"
            raise ServiceNotFoundError(
                f"Cloud service {address.cloud_service} holds no BizTalk service {address.name} (it holds: {there}). "
                "Correct the address; the service may also have been deleted."
            )
        return found

    def _services(self, target: str, asked: str) -> list[Service]:
        return self._read(target, asked, parse_services)

    def _read(self, target: str, asked: str, parse: Callable[[Element], T]) -> T:
        return self._server.read(
            f"/{self.subscription_id}{target}", asked, self._headers, lambda answer: parse(parse_xml(answer.body))
        )

    def _change(
        self,
        method: Literal["POST", "PUT", "DELETE"],
        target: str,
        asked: str,
        client_request_id: str,
        *,
        body: bytes | None = None,
        if_match: str | None = None,
        secrets: tuple[str, ...] = (),
        refusals: Refusals = MANAGEMENT,
    ) -> str:
        headers = self._headers | {"x-ms-client-request-id": header_value(client_request_id)}
        if if_match:
            headers["If-Match"] = header_value(if_match)
        target = f"/{self.subscription_id}{target}"
        answer = self._server.change(method, target, asked, headers, body, secrets=secrets, refusals=refusals)
        try:
            return bare_operation_id(answer.headers.get("x-ms-request-id", ""))
        except InvalidAddressError:
            raise OutcomeUnknownError(
                f"Asked {self._server.origin} to {asked}; it answered {answer.status} without a usable "
                f"x-ms-request-id. {refusals.look} to learn whether it was begun.",
                status=answer.status,
            ) from None

    def _handshake(self, reason: str) -> str:
        return (
            f"it refused the management certificate {self._credentials.subject} in the TLS handshake ({reason}). "
            "Check that this certificate is uploaded to the subscription and not expired."
        )


def _restore_words(status: int, said: str) -> str | None:
    if status == 404:
        return "A service is restored into a cloud service that exists; check subscription id and cloud service."
    if status not in (409, 412):
        return None
    held, taken = bool(_NAME_HELD.search(said)), status == 412 or bool(_NAME_TAKEN.search(said))
    if taken and not held:
        return (
            "A service of this name exists, and a restore never replaces one. Restore under another name, or back the "
            "service up and delete it first."
        )
    if held and not taken:
        return (
            "The name is still held after the service that had it was deleted, for a time that nobody documents. Ask "
            "again later, or restore under another name."
        )
    return (
        "A name is refused while a service has it, and for a time after that service was deleted. List the services to "
        "tell which; restore under another name, or ask again later."
    )


_RESTORE = Refusals(
    look="Look whether the service exists and in which state",
    kinds={412: OperationNotAllowedError},
    words=_restore_words,
)
_DELETE = Refusals(look="Look whether the service still exists")


def _resource(address: ServiceRef, *, passing_through: bool = True) -> str:
    """Path of a service behind the resource provider: POST and poll go through ``~`` (dn232419, dn232425), PUT and
    DELETE do not (dn232416, dn232344)."""
    cloud_service, name = quote(address.cloud_service, safe=""), quote(address.name, safe="")
    return f"/cloudservices/{cloud_service}/resources/{_PROVIDER}/{'~/' if passing_through else ''}{_TYPE}/{name}"


def _names(services: list[Service]) -> str:
    return ", ".join(str(service.address) for service in services)


def _own_version() -> str:
    try:
        return version("biztalk-services-airflow")
    except PackageNotFoundError:
        return "source"
