"""The client of the BizTalk Services management API (Windows Azure Service Management, 2013-04-26).

Reads are repeated a few times when the trouble looks passing. A change is sent once: again only when no connection came
about, so that nothing can have arrived. What the service does afterwards is asked with
:meth:`BizTalkServicesClient.operation_status` and
:meth:`BizTalkServicesClient.get_service`; a succeeded operation does not yet mean a settled service.
"""

from __future__ import annotations

import logging
import re
import string
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Literal, TypeVar
from urllib.parse import quote
from xml.etree.ElementTree import Element

from biztalk_services.rest.answers import refusal, request_id
from biztalk_services.rest.credentials import ManagementCredentials
from biztalk_services.rest.errors import (
    AddressUnusable,
    AuthenticationFailed,
    BizTalkServicesError,
    OperationNotFound,
    OutcomeUnknown,
    ServerNotTrusted,
    ServiceNotFound,
    UnexpectedAnswer,
    Unreachable,
)
from biztalk_services.rest.messages import (
    OperationStatus,
    Service,
    ServiceAddress,
    Unreadable,
    backup_body,
    bare_operation_id,
    parse_operation,
    parse_services,
    parse_xml,
)
from biztalk_services.rest.transport import Answer, AnswerLost, CertificateRefused, NotConnected, Transport

log = logging.getLogger(__name__)

DEFAULT_HOST = "management.core.windows.net"
DEFAULT_API_VERSION = "2013-04-26"
TRIES = 3
LONGEST_PAUSE = 30.0
"""Seconds of Retry-After that a call waits itself; when asked for more it raises, and the caller may wait."""

_PROVIDER = "biztalkservices"
_TYPE = "biztalk"
_PRINTABLE = string.punctuation + " "
_ACTIONS = {"suspend": "suspend", "resume": "resume", "backup": "back up"}

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
    :raises CertificateUnusable: the certificate cannot be used or is out of its dates; nothing was sent.
    :raises AddressUnusable: subscription id or host cannot stand in an address.
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
            raise AddressUnusable(
                f"{subscription_id!r} is not a subscription id: it is a GUID, as the portal's dashboard shows it."
            )
        if not re.fullmatch(r"[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:.]+\]?", host):
            raise AddressUnusable(f"{host!r} is not a host name: give it without scheme, port and path.")
        credentials.check_validity()
        self.subscription_id = subscription_id
        self._credentials = credentials
        bracketed = f"[{host.strip('[]')}]" if ":" in host else host
        self._origin = f"https://{bracketed}:{port}"
        self._headers = {
            "x-ms-version": api_version,
            "User-Agent": f"biztalk-services-airflow/{_own_version()}",
            "Accept": "application/xml",
            "Content-Type": "application/xml",
        }
        self._transport = Transport(self._origin, credentials.ssl_context(ca_bundle), timeout)

    def __repr__(self) -> str:
        return f"<BizTalkServicesClient {self._origin}/{self.subscription_id}>"

    def __enter__(self) -> BizTalkServicesClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The client may still be used; it opens new ones."""
        self._transport.close()

    # --- reading -----------------------------------------------------------------------------------------------------

    def list_services(self) -> list[Service]:
        """All BizTalk services of the subscription, over all cloud services, in the order of their addresses.

        :raises BizTalkServicesError: the service refused, or could not be reached or understood.
        """
        asked = f"list the services of subscription {self.subscription_id}"
        return sorted(
            self._services("/cloudservices", asked),
            key=lambda service: service.address,
        )

    def get_service(self, address: ServiceAddress) -> Service:
        """One service as its cloud service shows it.

        One request gives state, settings, ETag and region together, in the form that wire recordings show.

        :raises ServiceNotFound: no such cloud service, or no such service in it.
        :raises BizTalkServicesError: the service refused, or could not be reached or understood.
        """
        asked = f"read service {address}"
        services = self._services(f"/cloudservices/{quote(address.cloud_service, safe='')}", asked)
        found = next((s for s in services if s.address.name.lower() == address.name.lower()), None)
        if found is None:
            there = ", ".join(service.address.name for service in services) or "none"
            raise ServiceNotFound(
                f"Cloud service {address.cloud_service} holds no BizTalk service {address.name} (it holds: {there}). "
                "Correct the address; the service may also have been deleted."
            )
        return found

    def operation_status(self, address: ServiceAddress, operation_id: str) -> OperationStatus:
        """How an operation stands.

        Asked of the service (dn232425), and of the subscription (ee460783) where the service does not know it.

        :param operation_id: what ``suspend``, ``resume`` or ``begin_backup`` returned; with or without dashes.
        :raises OperationNotFound: neither knows it.
        :raises BizTalkServicesError: the service refused, or could not be reached or understood.
        :raises AddressUnusable: the id is no operation id.
        """
        bare = bare_operation_id(operation_id)
        asked = f"poll operation {bare} of service {address}"
        for target in (f"{_resource(address)}?OperationStatus/{bare}", f"/operations/{bare}"):
            try:
                return self._read(target, asked, lambda root: parse_operation(root, bare))
            except ServiceNotFound:
                continue
        raise OperationNotFound(
            f"Asked {self._origin} to {asked}; neither the service nor the subscription knows it (404). "
            "Look at the service's state to learn what became of it.",
            status=404,
        )

    def check_connection(self) -> str:
        """One sentence on what this connection reaches; made of a real answer.

        :raises BizTalkServicesError: it does not work; the message says why.
        """
        services = self.list_services()
        sentence = (
            f"{self._origin} accepts the management certificate {self._credentials.subject} for subscription "
            f"{self.subscription_id}. BizTalk services there: {_names(services) or 'none'}."
        )
        warning = self._credentials.expiry_warning()
        return f"{sentence} {warning}" if warning else sentence

    # --- changing ----------------------------------------------------------------------------------------------------

    def suspend(self, address: ServiceAddress, *, client_request_id: str) -> str:
        """Ask for suspension (dn232419); a suspended service takes it as done.

        :param client_request_id: our name for the request, sent as ``x-ms-client-request-id``.
        :returns: operation id, 32 hex digits.
        :raises OutcomeUnknown: sent, but the answer was lost; look at the state.
        :raises BizTalkServicesError: refused, or not reached.
        """
        return self._change(address, "suspend", client_request_id)

    def resume(self, address: ServiceAddress, *, client_request_id: str) -> str:
        """Ask for resumption. Parameters, return and errors as :meth:`suspend`."""
        return self._change(address, "resume", client_request_id)

    def begin_backup(
        self,
        address: ServiceAddress,
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
        :raises PreconditionFailed: the service has another ETag.
        :raises OutcomeUnknown: sent, but the answer was lost; look at operation, state and container.
        :raises BizTalkServicesError: refused, or not reached.
        """
        return self._change(
            address,
            "backup",
            client_request_id,
            body=backup_body(store_connection_string, backup_name),
            if_match=if_match,
            secrets=_secrets_of(store_connection_string),
        )

    # --- how ---------------------------------------------------------------------------------------------------------

    def _services(self, target: str, asked: str) -> list[Service]:
        return self._read(target, asked, parse_services)

    def _read(self, target: str, asked: str, parse: Callable[[Element], T]) -> T:
        for attempt in range(1, TRIES + 1):
            try:
                answer = self._exchange("GET", target, asked, self._headers)
                try:
                    return parse(parse_xml(answer.body))
                except Unreadable as error:
                    raise UnexpectedAnswer(
                        f"Asked {self._origin} to {asked}; it answered {answer.status}, but {error}. "
                        "Ask again later; if it stays so, check host, port and proxies.",
                        status=answer.status,
                        request_id=request_id(answer.headers),
                    ) from None
            except BizTalkServicesError as error:
                if error.advice != "retry" or attempt == TRIES or (error.retry_after or 0) > LONGEST_PAUSE:
                    raise
                self._pause(attempt, error)
        raise AssertionError("unreachable")

    def _change(
        self,
        address: ServiceAddress,
        action: Literal["suspend", "resume", "backup"],
        client_request_id: str,
        *,
        body: bytes | None = None,
        if_match: str | None = None,
        secrets: tuple[str, ...] = (),
    ) -> str:
        asked = f"{_ACTIONS[action]} service {address}"
        headers = self._headers | {"x-ms-client-request-id": quote(client_request_id, safe=_PRINTABLE)}
        if if_match:
            headers["If-Match"] = quote(if_match, safe=_PRINTABLE)
        target = f"{_resource(address)}?comp={action}"
        for attempt in range(1, TRIES + 1):
            try:
                answer = self._exchange("POST", target, asked, headers, body, secrets)
                break
            except Unreachable as error:
                if error.advice != "retry" or attempt == TRIES:
                    raise
                self._pause(attempt, error)
        try:
            return bare_operation_id(answer.headers.get("x-ms-request-id", ""))
        except AddressUnusable:
            raise OutcomeUnknown(
                f"Asked {self._origin} to {asked}; it answered {answer.status} without a usable x-ms-request-id. "
                "Look at the service's state to learn whether it was begun.",
                status=answer.status,
            ) from None

    def _exchange(
        self,
        method: Literal["GET", "POST"],
        target: str,
        asked: str,
        headers: dict[str, str],
        body: bytes | None = None,
        secrets: tuple[str, ...] = (),
    ) -> Answer:
        """One request; its answer if it is a success, else the error that it means."""
        change = method != "GET"
        began = monotonic()
        failure: BizTalkServicesError | None = None
        try:
            answer = self._transport.exchange(method, f"/{self.subscription_id}{target}", headers, body)
        except NotConnected as error:
            kind = ServerNotTrusted if error.untrusted else Unreachable
            what_to_do = (
                "Its certificate is not one that we trust; set ca_bundle in the connection to the CA that signed it."
                if error.untrusted
                else "Nothing was sent. Check host, port and network; it may be down for the moment."
            )
            failure = kind(f"Could not connect to {self._origin} to {asked} ({error.reason}). {what_to_do}")
        except CertificateRefused as error:
            failure = AuthenticationFailed(
                f"Asked {self._origin} to {asked}; it refused the management certificate "
                f"{self._credentials.subject} in the TLS "
                f"handshake ({error}). Check that this certificate is uploaded to the subscription and not expired."
            )
        except AnswerLost as error:
            what_to_do = "Look at the service's state before asking again." if change else "Ask again later."
            failure = (OutcomeUnknown if change else UnexpectedAnswer)(
                f"Asked {self._origin} to {asked}; no whole answer came back ({error.reason}). {what_to_do}"
            )
        else:
            failure = refusal(f"Asked {self._origin} to {asked}", answer, change=change, secrets=secrets)
        log.debug(
            "%s %s: %s in %.3f s", method, target, failure or f"{answer.status} {request_id(answer.headers)}",
            monotonic() - began,
        )  # fmt: skip
        if failure:
            raise failure
        return answer

    def _pause(self, attempt: int, error: BizTalkServicesError) -> None:
        seconds = error.retry_after if error.retry_after is not None else 0.25 * 4 ** (attempt - 1)
        log.info("Try %s of %s failed, next in %.2f s: %s", attempt, TRIES, seconds, error)
        sleep(seconds)


def _resource(address: ServiceAddress) -> str:
    """Path of a service behind the resource provider: POST and poll go through ``~`` (dn232419, dn232425)."""
    cloud_service, name = quote(address.cloud_service, safe=""), quote(address.name, safe="")
    return f"/cloudservices/{cloud_service}/resources/{_PROVIDER}/~/{_TYPE}/{name}"


def _names(services: list[Service]) -> str:
    return ", ".join(str(service.address) for service in services)


def _secrets_of(connection_string: str) -> tuple[str, ...]:
    pairs = (part.partition("=") for part in connection_string.split(";"))
    keys = tuple(value for name, _, value in pairs if name.strip().lower() in ("accountkey", "sharedaccesssignature"))
    return (connection_string, *keys)


def _own_version() -> str:
    try:
        return version("biztalk-services-airflow")
    except PackageNotFoundError:
        return "source"
