"""Client of the partner management of a BizTalk service: partners, agreements and their settings, over OData.

Partner management is an endpoint of the service itself, separate from the management API, and requires a token of the
Access Control Service (ACS). Reads return all pages; a change (MERGE) is sent once, as in
:mod:`biztalk_services.drivers.biztalk.wire.client`.

Sources: the pages on the partner management entities (dn232408, dn232365, dn232356, dn232372, dn606264, dn232373),
OAuth WRAP v0.9 and verbose JSON of OData 2; undocumented parts are as agreed with the emulator.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from biztalk_services.drivers.biztalk.errors import AccessControlError
from biztalk_services.drivers.biztalk.wire.access_control import AccessControl, Token
from biztalk_services.drivers.biztalk.wire.credentials import client_context
from biztalk_services.drivers.biztalk.wire.hosts import ACS_HOST, SERVICE_HOST, read_namespace
from biztalk_services.drivers.biztalk.wire.odata import MEDIA_TYPE, Page, parse_odata_error
from biztalk_services.drivers.biztalk.wire.partner_addresses import PartnerAddresses
from biztalk_services.drivers.biztalk.wire.partner_reading import MAX_PAGE_BYTES, EntitySetReader
from biztalk_services.drivers.biztalk.wire.responses import ErrorMapping
from biztalk_services.drivers.biztalk.wire.server import Request, Server, header_value
from biztalk_services.drivers.biztalk.wire.transport import Response
from biztalk_services.model.errors import AuthenticationError, InvalidAddressError, InvalidRequestError
from biztalk_services.model.redaction import redact

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,127}")
_HEADERS = {"Accept": MEDIA_TYPE, "MaxDataServiceVersion": "3.0"}

T = TypeVar("T")


class PartnerManagementClient:
    """Client for the partner management of one service. A context manager; not thread-safe, not pickled.

    :param namespace: its name, or its host (``contosoacs.accesscontrol.chinacloudapi.cn``).
    :param key: password of the namespace's service identity; sent to ACS only.
    :param endpoint: None for the real hosts; else an origin (``https://127.0.0.1:18445``) where the name of the real
        host is the first path segment.
    :param access_control_host: host of ACS where the namespace names none; with the next two as
        :class:`biztalk_services.drivers.biztalk.wire.partner_addresses.PartnerAddresses`.
    :param custom_domain: the certificate of the service may be for it.
    :param ca_bundle: path or PEM text of the CAs to trust instead of the public ones.
    :param timeout: connect timeout and total response timeout, seconds.
    :raises InvalidAddressError: service, namespace or endpoint is invalid.
    :raises AccessControlError: the key or the issuer is empty.
    :raises InvalidCaBundleError: the CA bundle cannot be read.
    """

    def __init__(
        self,
        service: str,
        *,
        namespace: str,
        key: str,
        issuer: str = "owner",
        endpoint: str | None = None,
        access_control_host: str = ACS_HOST,
        service_host: str = SERVICE_HOST,
        custom_domain: str = "",
        ca_bundle: str | Path | None = None,
        timeout: tuple[float, float] = (10.0, 30.0),
    ) -> None:
        namespace, access_control_host = read_namespace(namespace or "", access_control_host)
        self._addresses = PartnerAddresses(
            service, namespace, endpoint, access_control_host, service_host, custom_domain
        )
        if not (key or "").strip() or not (issuer or "").strip():
            raise AccessControlError(
                f"The issuer or the key of ACS namespace {namespace} is missing. Set both in the connection; the "
                "issuer is usually 'owner'."
            )
        context = client_context(ca_bundle)
        names = () if endpoint or not custom_domain else (custom_domain, self._addresses.host)
        self._server = Server(self._addresses.origin, context, timeout, handshake=_handshake, tls_names=names)
        self._acs = Server(self._addresses.acs_origin, context, timeout, handshake=_handshake)
        self._access = AccessControl(self._acs, self._addresses, issuer=issuer, key=key)

    def __repr__(self) -> str:
        return f"<PartnerManagementClient {self._addresses.origin} of service {self._addresses.service}>"

    def __reduce__(self) -> Any:
        raise TypeError("A partner management client contains a key and is not pickled.")

    def __enter__(self) -> PartnerManagementClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The client remains usable and opens new ones."""
        self._server.close()
        self._acs.close()

    def check(self) -> str:
        """One sentence about a token of the Access Control Service, from a real response.

        :raises AccessControlError: the service issued no token.
        """
        token = self._access.renew()
        return (
            f"{self._acs.origin} issued a token of namespace {self._addresses.namespace} for partner management of "
            f"service {self._addresses.service}; it is valid for {token.lifetime:.0f} seconds."
        )

    def all_entities(self, expand: Mapping[str, Collection[str]]) -> dict[str, list[dict[str, Any]]]:
        """The entities of several sets, by set; entity set -> links to expand, and errors, as :meth:`entities`."""
        return {entity_set: self.entities(entity_set, expand=links) for entity_set, links in expand.items()}

    def entities(self, entity_set: str, *, expand: Collection[str] = ()) -> list[dict[str, Any]]:
        """All entities of a set in the service's order, as in :mod:`biztalk_services.drivers.biztalk.wire.odata`.

        :param entity_set: ``Agreements``, ``ProtocolSettings``, ...
        :param expand: links to expand, one level (``BatchDescriptions``); others are omitted.
        :raises AccessControlError: the Access Control Service issued no token.
        :raises ServiceNotFoundError: service or set does not exist, or partner management is unavailable in its state.
        :raises BackupServiceError: the request was rejected, the service is unreachable or the response unreadable.
        :raises InvalidAddressError: a name is invalid.
        """
        for name in (entity_set, *expand):
            if not _NAME.fullmatch(name):
                raise InvalidAddressError(
                    f"{redact(name, limit=64)!r} is not the name of an entity set or link: use letters and digits."
                )
        action = f"read {entity_set} of service {self._addresses.service}"

        def fetch(target: str, parse: Callable[[Response], Page]) -> Page:
            request = Request("GET", target, action, _HEADERS, mapping=_READ, max_bytes=MAX_PAGE_BYTES)
            return self._authorized(request, lambda authorized: self._server.read(authorized, parse))

        reader = EntitySetReader(self._addresses, self._server.describe(action), fetch)
        return reader.read_all(entity_set, f"$expand={','.join(expand)}" if expand else "")

    def merge(self, entity_uri_or_set_and_id: str, changes: Mapping[str, Any], etag: str | None) -> None:
        """Change some properties of an entity; the others are unchanged.

        :param entity_uri_or_set_and_id: ``@id`` of an entity of this service, or ``ProtocolSettings(7)``.
        :param changes: property -> text, number, boolean or None.
        :param etag: required ``@etag`` of the entity; None: any.
        :raises PreconditionFailedError: the entity has another ETag.
        :raises BadRequestError: the values violate a rule; the message names it.
        :raises OutcomeUnknownError: sent, but the response was lost; read the entity again.
        :raises InvalidAddressError: the address is not an entity of this service.
        :raises InvalidRequestError: the changes are invalid.
        """
        path = self._addresses.path_of(entity_uri_or_set_and_id, "entity")
        headers = {**_HEADERS, "Content-Type": MEDIA_TYPE} | ({"If-Match": header_value(etag)} if etag else {})
        action = f"change {path} of service {self._addresses.service}"
        body = _merge_body(changes, path)
        request = Request("MERGE", self._addresses.target(path), action, headers, body, mapping=_MERGE)
        self._authorized(request, self._server.change)

    def _authorized(self, request: Request, send: Callable[[Request], T]) -> T:
        """Send a request with a token, once more with a new token after a 401, which has no effect on the service."""
        try:
            return send(self._with_token(request, self._access.token()))
        except AuthenticationError as error:
            if error.status != 401:
                raise
        log.info("Service %s rejected the token; renewing it", self._addresses.service)
        return send(self._with_token(request, self._access.renew()))

    def _with_token(self, request: Request, token: Token) -> Request:
        headers = {**request.headers, "Authorization": f'WRAP access_token="{token.text}"'}
        return replace(request, headers=headers, secrets=self._access.secrets())


def _merge_body(changes: Mapping[str, Any], path: str) -> bytes:
    if not changes:
        raise InvalidRequestError(f"The change of {path} is empty. Set at least one property.")
    for name, value in changes.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidRequestError(
                f"{redact(str(name), limit=64)!r} is not the name of a property of {path}: use letters and digits."
            )
        if not isinstance(value, str | int | float | None) or (isinstance(value, float) and not math.isfinite(value)):
            raise InvalidRequestError(
                f"The new value of {name} of {path} is invalid: set text, a number, a boolean or None."
            )
    return json.dumps(dict(changes)).encode("ascii")


def _handshake(reason: str) -> str:
    return (
        f"the server requires a client certificate in the TLS handshake ({reason}), which partner management never "
        "does. Check the endpoint."
    )


_REJECTED_TOKEN = (
    "The token is newly issued; check that the ACS namespace and the service in the connection belong together."
)
_REMEDIES = {
    401: _REJECTED_TOKEN,
    403: _REJECTED_TOKEN,
    404: (
        "Check service and entity; partner management is unavailable while the service is created, restored or deleted."
    ),
    412: "The entity has changed since its ETag was read. Read it again and decide again.",
}
_READ = ErrorMapping(
    api="partner management",
    recheck="Read the entity again to check whether it has the new values",
    successes=(200,),
    parse=parse_odata_error,
    remedy=lambda status, message: _REMEDIES.get(status),
)
_MERGE = replace(_READ, successes=(200, 204))
