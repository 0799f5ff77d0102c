"""The client of a BizTalk service's partner management: partners, agreements and their settings, over OData.

It speaks to the service itself, not to the management API, with a token of the Access Control Service (ACS). Reads take
all pages; a change (MERGE) is sent once, as in :mod:`biztalk_services.drivers.biztalk.wire.client`.

Sources: the pages on the partner management entities (dn232408, dn232365, dn232356, dn232372, dn606264, dn232373),
OAuth WRAP v0.9 and verbose JSON of OData 2; what no page says is agreed with the emulator.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from biztalk_services.drivers.biztalk.errors import AccessControlError
from biztalk_services.drivers.biztalk.wire.access_control import AccessControl
from biztalk_services.drivers.biztalk.wire.credentials import trusting_context
from biztalk_services.drivers.biztalk.wire.odata import MEDIA_TYPE, Page, parse_odata_error
from biztalk_services.drivers.biztalk.wire.partner_addresses import PartnerAddresses
from biztalk_services.drivers.biztalk.wire.partner_reading import Reading
from biztalk_services.drivers.biztalk.wire.responses import Refusals
from biztalk_services.drivers.biztalk.wire.server import Server, header_value
from biztalk_services.drivers.biztalk.wire.transport import Response
from biztalk_services.model.errors import AuthenticationError, InvalidAddressError, InvalidRequestError
from biztalk_services.model.redaction import redact

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,127}")
_HEADERS = {"Accept": MEDIA_TYPE, "MaxDataServiceVersion": "3.0"}

T = TypeVar("T")


class PartnerManagementClient:
    """Speaks to one service's partner management. Use it as a context manager; not for several threads at once; not
    pickled.

    :param service: name of the BizTalk service.
    :param namespace: its Access Control Service namespace.
    :param key: password of the namespace's service identity; goes to ACS and nowhere else.
    :param issuer: name of that identity.
    :param endpoint: None for the real hosts; else an origin (``https://127.0.0.1:18445``) under which the name of the
        real host is the first segment of the path.
    :param ca_bundle: path or PEM text of the CAs to trust instead of the public ones.
    :param timeout: seconds to connect, seconds until the whole answer is there.
    :raises InvalidAddressError: service, namespace or endpoint cannot stand in an address.
    :raises AccessControlError: the key or the issuer is empty.
    :raises InvalidCertificateError: the CA bundle cannot be read.
    """

    def __init__(
        self,
        service: str,
        *,
        namespace: str,
        key: str,
        issuer: str = "owner",
        endpoint: str | None = None,
        ca_bundle: str | Path | None = None,
        timeout: tuple[float, float] = (10.0, 30.0),
    ) -> None:
        self._addresses = PartnerAddresses(service, namespace, endpoint)
        if not (key or "").strip() or not (issuer or "").strip():
            raise AccessControlError(
                f"There is no issuer or no key to ask ACS namespace {namespace} for a token with. Put both into the "
                "connection; the issuer is usually 'owner'."
            )
        context = trusting_context(ca_bundle)
        self._server = Server(self._addresses.origin, context, timeout, handshake=_handshake)
        self._acs = Server(self._addresses.acs_origin, context, timeout, handshake=_handshake)
        self._access = AccessControl(
            self._acs,
            self._addresses.acs_target,
            namespace=namespace,
            issuer=issuer,
            key=key,
            scope=self._addresses.scope,
        )

    def __repr__(self) -> str:
        return f"<PartnerManagementClient {self._addresses.origin} of service {self._addresses.service}>"

    def __reduce__(self) -> Any:
        raise TypeError("A partner management client holds a key and is not pickled.")

    def __enter__(self) -> PartnerManagementClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The client may still be used; it opens new ones."""
        self._server.close()
        self._acs.close()

    def check(self) -> str:
        """One sentence on the token that the Access Control Service gives; made of a real answer.

        :raises AccessControlError: it gives none.
        :raises BackupServiceError: it could not be reached or understood.
        """
        token = self._access.renew()
        return (
            f"{self._acs.origin} gives a token of namespace {self._addresses.namespace} for partner management of "
            f"service {self._addresses.service}; it holds for {token.lifetime:.0f} seconds."
        )

    def all_entities(self, wanted: Mapping[str, Collection[str]]) -> dict[str, list[dict[str, Any]]]:
        """The entities of several sets, by set.

        :param wanted: set -> links to follow; raises as :meth:`entities`.
        """
        return {entity_set: self.entities(entity_set, expand=links) for entity_set, links in wanted.items()}

    def entities(self, entity_set: str, *, expand: Collection[str] = ()) -> list[dict[str, Any]]:
        """All entities of a set in the service's order, in the form of :mod:`biztalk_services.drivers.biztalk.wire.odata`.

        :param entity_set: ``Agreements``, ``ProtocolSettings``, ...
        :param expand: links to follow, one level (``BatchDescriptions``); others are left out.
        :raises AccessControlError: there is no token.
        :raises ServiceNotFoundError: no such service or set, or a service that cannot be managed now.
        :raises BackupServiceError: refused, or could not be reached or understood.
        :raises InvalidAddressError: a name is none.
        """
        for name in (entity_set, *expand):
            if not _NAME.fullmatch(name):
                raise InvalidAddressError(
                    f"{redact(name, limit=64)!r} is not the name of an entity set or link: it takes letters and digits."
                )
        asked = f"read {entity_set} of service {self._addresses.service}"

        def page(target: str, parse: Callable[[Response], Page]) -> Page:
            return self._authorized(
                _HEADERS,
                lambda headers, secrets: self._server.read(
                    target, asked, headers, parse, secrets=secrets, refusals=_READ_REFUSALS
                ),
            )

        reading = Reading(self._addresses, f"Asked {self._server.origin} to {asked}", page)
        return reading.all(entity_set, f"$expand={','.join(expand)}" if expand else "")

    def merge(self, entity_uri_or_set_and_id: str, changes: Mapping[str, Any], etag: str | None) -> None:
        """Change some properties of an entity and leave the others.

        :param entity_uri_or_set_and_id: ``@id`` of an entity of this service, or ``ProtocolSettings(7)``.
        :param changes: property -> text, number, truth value or None.
        :param etag: ``@etag`` that the entity must still have; None: whatever it has.
        :raises PreconditionFailedError: the entity has another ETag.
        :raises BadRequestError: a rule forbids the values; the message names it.
        :raises OutcomeUnknownError: sent, but the answer was lost; read the entity again.
        :raises InvalidAddressError: no entity, or one of another service.
        :raises InvalidRequestError: the changes cannot be sent as they are given.
        :raises BackupServiceError: refused, or not reached.
        """
        path = self._addresses.path_of(entity_uri_or_set_and_id, "entity")
        asked = f"change {path} of service {self._addresses.service}"
        body = _merge_body(changes, path)
        headers = {**_HEADERS, "Content-Type": MEDIA_TYPE}
        if etag:
            headers["If-Match"] = header_value(etag)
        self._authorized(
            headers,
            lambda headers, secrets: self._server.change(
                "MERGE", self._addresses.target(path), asked, headers, body, secrets=secrets, refusals=_MERGE_REFUSALS
            ),
        )

    def _authorized(self, headers: Mapping[str, str], ask: Callable[[dict[str, str], tuple[str, ...]], T]) -> T:
        """Ask with a token; with a new one once more where it is not accepted, which certainly changed nothing."""
        try:
            return ask(_with_token(headers, self._access.token()), self._access.secrets())
        except AuthenticationError as error:
            if error.status != 401:
                raise
        log.info("The token for service %s is not accepted (any more); taking a new one", self._addresses.service)
        return ask(_with_token(headers, self._access.renew().text), self._access.secrets())


def _with_token(headers: Mapping[str, str], token: str) -> dict[str, str]:
    return {**headers, "Authorization": f'WRAP access_token="{token}"'}


def _merge_body(changes: Mapping[str, Any], path: str) -> bytes:
    if not changes:
        raise InvalidRequestError(f"There is nothing to change of {path}. Give at least one property.")
    for name, value in changes.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidRequestError(
                f"{redact(str(name), limit=64)!r} is not the name of a property of {path}: it takes letters and digits."
            )
        if not isinstance(value, str | int | float | None) or (isinstance(value, float) and not math.isfinite(value)):
            raise InvalidRequestError(
                f"The new value of {name} of {path} cannot be sent: give text, a number, a truth value or None."
            )
    return json.dumps(dict(changes)).encode("ascii")


def _handshake(reason: str) -> str:
    return (
        f"it wants a client certificate in the TLS handshake ({reason}), which partner management never does. Check "
        "the endpoint."
    )


def _words(status: int, said: str) -> str | None:
    if status in (401, 403):
        return (
            "The token was just issued; check that the connection names the ACS namespace and the service that belong "
            "together."
        )
    if status == 404:
        return (
            "Check service and entity; partner management answers only for a service that can be managed, not while it "
            "is created, restored or deleted."
        )
    if status == 412:
        return "The entity was changed meanwhile. Read it again and decide again."
    return None


_READ_REFUSALS = Refusals(
    api="partner management",
    look="Read the entity again to see whether it has the new values",
    successes=(200,),
    said=parse_odata_error,
    words=_words,
)
_MERGE_REFUSALS = replace(_READ_REFUSALS, successes=(200, 204))
