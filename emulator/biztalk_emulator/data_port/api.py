"""The data port: answers each request, in one transaction with its journal entry."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from biztalk_emulator import times
from biztalk_emulator.data_port import addresses, changes, odata, tokens
from biztalk_emulator.data_port.addresses import NAMESPACE_DOMAIN, SERVICE_DOMAIN, Address
from biztalk_emulator.data_port.errors import DataError
from biztalk_emulator.data_port.tpm import SETS, Entity, Model
from biztalk_emulator.faults import Fault, Faults
from biztalk_emulator.http_server import Delivery, Request, Response
from biztalk_emulator.journal import Journal
from biztalk_emulator.lifecycle import Lifecycle, new_id
from biztalk_emulator.management import answers
from biztalk_emulator.state_chart import CREATED_FAILED, RESTORE_FAILED
from biztalk_emulator.store import Service
from biztalk_emulator.world import World

_BASE = ("default", "$partnermanagement")
_ENTITY = re.compile(r"([a-z]+)(?:\((\d{1,10})\))?", re.IGNORECASE)
_NOT_THERE_WHILE = ("create", "restore", "delete")
_HARMLESS_QUERY = re.compile(r"\$[a-z]+=[A-Za-z0-9,]{0,200}")


@dataclass
class _Call:
    """A request with what was found about it so far.

    :param kind: kind of request as in the journal and in faults.
    :param service: name of the service that it is about.
    :param changed: what it changed, for the journal.
    """

    request: Request
    address: Address
    request_id: str = field(default_factory=new_id)
    kind: str = "unknown"
    service: str | None = None
    changed: dict[str, Any] | None = None

    @property
    def method(self) -> str:
        """The verb; a POST may carry another one in a header."""
        tunneled = self.request.headers.get("x-http-method", "").upper()
        return tunneled if self.request.method == "POST" and tunneled else self.request.method


class DataApi:
    """An application for :class:`biztalk_emulator.http_server.HttpServer`."""

    def __init__(self, lifecycle: Lifecycle, faults: Faults, journal: Journal, world: World) -> None:
        self._lifecycle = lifecycle
        self._store = lifecycle.store
        self._faults = faults
        self._journal = journal
        self._world = world

    def __call__(self, request: Request) -> Response:
        """Answer a request."""
        call = _Call(request, addresses.parse(request))
        try:
            with self._store.transaction():
                response, fault = self._answer(call)
                self._record(call, response, fault)
        except Exception as error:
            print(f"request {call.request_id} failed with {type(error).__name__}: {error}", file=sys.stderr)
            response = odata.refusal(DataError(500, "The service encountered an internal error."))
            with self._store.transaction():
                self._record(call, response, None)
        return response

    def _answer(self, call: _Call) -> tuple[Response, Fault | None]:
        fault = None
        try:
            if call.request.unread:
                raise DataError(call.request.unread.status, call.request.unread.sentence)
            if call.address.domain == NAMESPACE_DOMAIN:
                work = self._token(call)
            elif call.address.domain == SERVICE_DOMAIN:
                work = self._partner_management(call)
            else:
                raise DataError(
                    404,
                    "There is no such host here; the path begins with {service}.biztalk.windows.net or "
                    "{namespace}.accesscontrol.windows.net.",
                )
            fault = self._faults.find(call.kind, call.service)
            response = _fault_answer(fault) if fault else None
            if response is None:
                with self._store.undoing():
                    response = work()
        except DataError as refused:
            response = _text(refused) if call.address.domain == NAMESPACE_DOMAIN else odata.refusal(refused)
        standard = {"Cache-Control": "no-cache", "x-ms-request-id": call.request_id}
        if call.address.domain == SERVICE_DOMAIN:
            standard["DataServiceVersion"] = "3.0;"
        response.headers = standard | response.headers
        if fault:
            answers.apply_fault(response, fault)
            self._faults.fire(fault)
        return response, fault

    def _record(self, call: _Call, response: Response, fault: Fault | None) -> None:
        self._journal.write(
            "request",
            call.service,
            port="data",
            method=call.request.method,
            path=call.request.path + _safe_query(call.request.query),
            operation=call.kind,
            status=None if response.delivery is Delivery.RESET else response.status,
            request_id=call.request_id,
            client_request_id=call.request.headers.get("x-ms-client-request-id"),
            fault={"id": fault.id, "kind": fault.effect} if fault else None,
            **({"changed": call.changed} if call.changed else {}),
        )

    # Access Control.

    def _token(self, call: _Call) -> Any:
        if [part.lower() for part in call.address.parts] != ["wrapv0.9"]:
            raise DataError(404, "There is nothing at this path; tokens are at /WRAPv0.9/.")
        if call.request.method != "POST":
            raise DataError(405, "A token is requested with POST.", {"Allow": "POST"})
        call.kind = "token"
        form = dict(parse_qsl(call.request.body.decode("utf-8", "replace"), keep_blank_values=True))
        scope = form.get("wrap_scope", "")
        name = addresses.service_of(scope)
        service = self._store.service(name) if name else None
        call.service = service.name if service else None

        def work() -> Response:
            if missing := [part for part in ("wrap_name", "wrap_password", "wrap_scope") if not form.get(part)]:
                raise DataError(400, f"The form lacks {', '.join(missing)}.")
            namespace = self._world.namespace(call.address.name)
            if namespace is None or form["wrap_name"] != tokens.OWNER or form["wrap_password"] != namespace.key:
                raise DataError(401, "The namespace has no service identity with this name and password.")
            trusted = service.settings.get("AccessControlNamespace") if service else None
            if str(trusted).lower() != namespace.name.lower():
                raise DataError(400, "The namespace issues no tokens for this scope.")
            seconds = int(self._lifecycle.settings["token_seconds"])
            token = tokens.issue(namespace, scope, expires_on=int(times.now()) + seconds)
            body = urlencode({"wrap_access_token": token, "wrap_access_token_expires_in": seconds})
            return Response(200, body.encode(), {"Content-Type": "application/x-www-form-urlencoded; charset=us-ascii"})

        return work

    # Trading partner management.

    def _partner_management(self, call: _Call) -> Any:
        service = self._store.service(call.address.name)
        call.service = service.name if service else None
        parts = call.address.parts
        if service is None or tuple(part.lower() for part in parts[:2]) != _BASE:
            raise DataError(404, "There is no such service, or nothing at this path of it.")
        call.kind = "merge_protocol_settings" if call.method == "MERGE" else "partner_management"
        self._check_is_there(service)
        self._check_token(call, service)
        if call.method not in ("GET", "MERGE"):
            raise DataError(405, f"{call.method} is not possible here.", {"Allow": "GET, MERGE"})

        def work() -> Response:
            model = Model(service.content)
            root = call.address.root + "/" + "/".join(parts[:2])
            if call.method == "MERGE":
                return self._merge(call, service, model, parts[2:])
            odata.require_verbose(call.request.headers.get("accept", ""))
            paging = self._lifecycle.settings["profile"]["paging"]
            writer = odata.Writer(root, odata.PAGE_SIZE if paging == "pages" else None)
            return _read(model, writer, parts[2:], call.request.query, paging)

        return work

    def _check_is_there(self, service: Service) -> None:
        running = service.running_operation
        if running and running.kind in _NOT_THERE_WHILE:
            raise DataError(503, f"The service is {service.visible_state}; try again later.", {"Retry-After": "5"})
        if service.state in (CREATED_FAILED, RESTORE_FAILED):
            raise DataError(404, f"The service is {service.state} and holds nothing.")

    def _check_token(self, call: _Call, service: Service) -> None:
        token = tokens.carried(call.request.headers.get("authorization", ""))
        namespace = self._world.namespace(service.settings.get("AccessControlNamespace") or "")
        if token and namespace and tokens.opens(token, service.name, namespace, now=times.now()):
            return
        raise DataError(
            401,
            "The token is missing, expired or not for this service; send one of its namespace in the header "
            'Authorization: WRAP access_token="...".',
            {"WWW-Authenticate": "WRAP"},
        )

    def _merge(self, call: _Call, service: Service, model: Model, parts: tuple[str, ...]) -> Response:
        entity = _named(model, parts[0]) if len(parts) == 1 else None
        if not isinstance(entity, Entity) or entity.set != "ProtocolSettings":
            raise DataError(405, "Only one entity of ProtocolSettings can be changed.", {"Allow": "GET"})
        sent = call.request.headers.get("if-match", "").strip()
        if sent not in ("", "*", entity.etag):
            raise DataError(412, "The ETag in the If-Match header is not the ETag of the entity.")
        (name,) = entity.key
        wanted = changes.read(call.request)
        agreements = [
            changes.merged(each, entity.id, wanted) if each["Name"] == name else each
            for each in service.content["agreements"]
        ]
        service.content = {**service.content, "agreements": agreements}
        self._lifecycle.touch(service)
        call.changed = {"agreement": name, "properties": wanted, "etag": service.etag}
        changed = Model(service.content).find(entity.set, entity.id)
        return Response(204, headers={"ETag": changed.etag})


def _read(model: Model, writer: odata.Writer, parts: tuple[str, ...], query: str, paging: str) -> Response:
    if not parts:
        return writer.service_document(SETS)
    found = _named(model, parts[0])
    path = found.set if isinstance(found, Entity) else _set_named(parts[0])
    if len(parts) == 2 and isinstance(found, Entity):
        wanted = next((name for name in found.leads_to if name.lower() == parts[1].lower()), None)
        path = f"{found.set}({found.id})/{wanted}"
        found = found.leads_to[wanted] if wanted else None
    elif len(parts) > 1:
        found = None
    if found is None:
        raise DataError(404, "There is no such entity set, entity or navigation property.")
    several = isinstance(found, list)
    chosen = odata.options(query, several=several, paging=paging)
    return writer.several(found, path, chosen) if several else writer.one(found, chosen)


def _named(model: Model, segment: str) -> Entity | list[Entity] | None:
    match = _ENTITY.fullmatch(segment)
    name = _set_named(segment)
    if name is None:
        return None
    return model.find(name, int(match.group(2))) if match.group(2) else model.sets[name]


def _set_named(segment: str) -> str | None:
    match = _ENTITY.fullmatch(segment)
    return next((name for name in SETS if match and name.lower() == match.group(1).lower()), None)


def _fault_answer(fault: Fault) -> Response | None:
    """As :func:`biztalk_emulator.management.answers.fault_answer`, in the form of this port."""
    response = answers.fault_answer(fault)
    if response is None or fault.effect != "status":
        return response
    refusal = odata.refusal(DataError(fault.parameters["status"], fault.parameters["message"]))
    refusal.headers |= response.headers
    return refusal


def _text(error: DataError) -> Response:
    return Response(error.status, f"{error}\n".encode(), {"Content-Type": "text/plain; charset=utf-8", **error.headers})


def _safe_query(query: str) -> str:
    """The query as the journal may hold it: plain query options only."""
    parts = [part if _HARMLESS_QUERY.fullmatch(part) else "..." for part in query.split("&") if part]
    return "?" + "&".join(parts) if parts else ""
