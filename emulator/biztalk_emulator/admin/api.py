"""The admin port's requests."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from biztalk_emulator import json_text, pki, times
from biztalk_emulator.admin import edits, surroundings, views
from biztalk_emulator.business.errors import TrafficRefused
from biztalk_emulator.faults import EFFECTS, PORTAL_ONLY, REQUESTS, FaultError, Faults
from biztalk_emulator.http_server import Request, Response
from biztalk_emulator.journal import KINDS, Journal
from biztalk_emulator.lifecycle import STRAIGHT, Lifecycle, NotAllowed
from biztalk_emulator.management.api import SUBSCRIPTION
from biztalk_emulator.message_desk import MessageDesk, NotProcessing
from biztalk_emulator.operations import PORTAL_ACTIONS
from biztalk_emulator.settings import SettingsError
from biztalk_emulator.state_chart import STATES
from biztalk_emulator.store import Service
from biztalk_emulator.world import World

_SEND_NAMES = ("agreement", "messages", "size", "document_type", "control_number")
_HIGHEST = 2**63 - 1
"""The highest number that the store can hold."""

_LOCAL_ORIGIN = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?", re.IGNORECASE)


class Refused(Exception):
    """A request that is refused, with its status and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class AdminApi:
    """An application for :class:`biztalk_emulator.http_server.HttpServer`."""

    def __init__(self, lifecycle: Lifecycle, faults: Faults, journal: Journal, desk: MessageDesk, world: World) -> None:
        self._lifecycle = lifecycle
        self._store = lifecycle.store
        self._faults = faults
        self._journal = journal
        self._desk = desk
        self._world = world

    def __call__(self, request: Request) -> Response:
        """Answer a request."""
        try:
            return _json(*self._route(request))
        except Refused as refused:
            return _json(refused.status, {"error": str(refused)})
        except (SettingsError, FaultError, edits.EditError, surroundings.WorldOrderError) as error:
            return _json(400, {"error": str(error)})
        except (NotAllowed, NotProcessing, TrafficRefused) as error:
            return _json(409, {"error": str(error)})
        except Exception as error:
            print(f"an admin request failed with {type(error).__name__}: {error}", file=sys.stderr)
            return _json(
                500, {"error": "The emulator failed with an unexpected error; its standard error output names it."}
            )

    def _route(self, request: Request) -> tuple[int, Any]:
        origin = request.headers.get("origin")
        if origin is not None and not _LOCAL_ORIGIN.fullmatch(origin):
            raise Refused(403, "Requests from pages of other sites are refused.")
        if request.unread:
            raise Refused(request.unread.status, request.unread.sentence)
        known = False
        for method, pattern, handler in _ROUTES:
            match = pattern.fullmatch(request.path.rstrip("/") or "/")
            if match and method == request.method:
                answer = handler(self, request, *match.groups())
                return answer if isinstance(answer, tuple) else (200, answer)
            known = known or bool(match)
        if known:
            raise Refused(405, f"{request.method} is not possible here; GET / lists what is.")
        raise Refused(404, "There is nothing at this path; GET / lists what there is.")

    def _index(self, request: Request) -> Any:
        return {"requests": [f"{method} {_readable(pattern)}" for method, pattern, _ in _ROUTES]}

    def _health(self, request: Request) -> Any:
        with self._store.transaction():
            facts = {"subscription_id": self._store.fact(SUBSCRIPTION), **self._store.counts()}
        return {"status": "healthy", **facts, "time": times.iso()}

    # Services.

    def _services(self, request: Request) -> Any:
        with self._store.transaction():
            groups, services = self._store.cloud_services(), self._store.services()
            named = {group.key: group for group in groups}
            return {"services": [views.service(each, named[each.cloud_service], self._desk) for each in services]}

    def _service(self, request: Request, name: str) -> Any:
        service = self._find(name)
        return views.whole_service(service, self._store.cloud_service(service.cloud_service), self._desk)

    def _act(self, request: Request, name: str) -> Any:
        action = _object(request).get("action")
        if action not in PORTAL_ACTIONS:
            raise Refused(400, f"action is one of {', '.join(PORTAL_ACTIONS)}.")
        with self._store.transaction():
            service = self._find(name)
            fault = self._faults.find_for_action(action, service.name)
            payload = self._world.synchronized(service.settings) if action == "sync_keys" else None
            twist = fault.twist if fault else STRAIGHT
            operation = self._lifecycle.begin(action, service, payload=payload, twist=twist)
            if fault:
                self._faults.fire(fault)
            applied = {"id": fault.id, "kind": fault.effect} if fault else None
            self._record("action", service.name, action=action, operation_id=operation.id, fault=applied)
        self._lifecycle.wake()
        return 202, views.operation(operation)

    def _force_state(self, request: Request, name: str) -> Any:
        state = _object(request).get("state")
        if state not in STATES:
            raise Refused(400, f"state is one of {', '.join(STATES)}.")
        with self._store.transaction():
            service = self._find(name)
            self._lifecycle.force_state(service, state)
            self._record("force state", service.name, state=state)
        return self._service(request, name)

    def _edit(self, request: Request, name: str) -> Any:
        edit = _object(request)
        with self._store.transaction():
            service = self._find(name)
            edits.apply(service, edit)
            self._lifecycle.touch(service)
            entities = {kind: [entity["Name"] for entity in edit[kind]] for kind in edit}
            self._record("edit content", service.name, entities=entities, etag=service.etag)
        return {"etag": service.etag}

    def _send(self, request: Request, name: str) -> Any:
        order = _object(request)
        if unknown := set(order) - set(_SEND_NAMES):
            raise Refused(400, f"{', '.join(sorted(unknown))} is unknown; known are {', '.join(_SEND_NAMES)}.")
        if not isinstance(order.get("agreement"), str):
            raise Refused(400, "agreement is the name of an agreement of the service.")
        return self._desk.send(self._find(name).name, order)

    def _release_batch(self, request: Request, name: str) -> Any:
        order = _object(request)
        agreement, batch = order.get("agreement"), order.get("batch")
        if not isinstance(agreement, str) or not isinstance(batch, str):
            raise Refused(400, "agreement and batch are names; GET /services/{name} lists them under batches.")
        return self._desk.release(self._find(name).name, agreement, batch)

    def _duplicates(self, request: Request, name: str) -> Any:
        service = self._find(name)
        return {"duplicates": views.duplicates(service, self._desk)}

    def _find(self, name: str) -> Service:
        service = self._store.service(name)
        if service is None:
            raise Refused(404, f"There is no service {name}; GET /services lists them.")
        return service

    # The world around the services.

    def _show_world(self, request: Request) -> Any:
        return surroundings.view(self._world, self._store)

    def _put_database(self, request: Request, name: str) -> Any:
        with self._store.transaction():
            new = surroundings.put_database(self._world, self._store, name, _object(request))
            self._record("make database" if new else "change login", None, database=name)
        return 201 if new else 200, self._show_world(request)

    def _drop_database(self, request: Request, name: str) -> Any:
        with self._store.transaction():
            if not self._world.drop_database(name):
                raise Refused(404, f"There is no database {name}; GET /world lists them.")
            self._record("drop database", None, database=name)
        return self._show_world(request)

    def _put_namespace(self, request: Request, name: str) -> Any:
        with self._store.transaction():
            new = surroundings.put_namespace(self._world, self._store, name, _object(request))
            self._record("make namespace" if new else "change key", None, namespace=name)
        return 201 if new else 200, self._show_world(request)

    def _drop_namespace(self, request: Request, name: str) -> Any:
        with self._store.transaction():
            if not self._world.drop_namespace(name):
                raise Refused(404, f"There is no namespace {name}; GET /world lists them.")
            self._record("drop namespace", None, namespace=name)
        return self._show_world(request)

    # Operations and settings.

    def _operations(self, request: Request) -> Any:
        return {"operations": [views.operation(each) for each in self._store.operations()]}

    def _operation(self, request: Request, operation_id: str) -> Any:
        operation = self._store.operation(operation_id.replace("-", "").lower())
        if operation is None:
            raise Refused(404, "There is no such operation; GET /operations lists them.")
        return views.operation(operation)

    def _release_operation(self, request: Request, operation_id: str) -> Any:
        with self._store.transaction():
            operation = self._store.operation(operation_id.replace("-", "").lower())
            if operation is None or not operation.running:
                raise Refused(409, "There is no such running operation; GET /operations lists them.")
            self._lifecycle.release(operation)
            self._record("release operation", operation.service or None, operation_id=operation.id)
        return 202, views.operation(operation)

    def _settings(self, request: Request) -> Any:
        return self._lifecycle.settings

    def _change_settings(self, request: Request) -> Any:
        return self._lifecycle.change_settings(_object(request))

    # Faults.

    def _fault_list(self, request: Request) -> Any:
        return {"faults": self._faults.active(), "kinds": EFFECTS, "operations": ["any", *REQUESTS, *PORTAL_ONLY]}

    def _order_fault(self, request: Request) -> Any:
        order = _object(request)
        with self._store.transaction():
            fault = self._faults.order(order)
            self._record("order fault", fault["service"], fault=fault)
        return 201, fault

    def _clear_faults(self, request: Request, fault_id: str | None = None) -> Any:
        with self._store.transaction():
            cleared = self._faults.clear(int(fault_id) if fault_id else None)
            if fault_id and not cleared:
                raise Refused(404, "There is no such fault; GET /faults lists them.")
            self._record("clear faults", None, cleared=cleared)
        return {"cleared": cleared}

    # Journal.

    def _read_journal(self, request: Request) -> Any:
        query = dict(parse_qsl(request.query))
        if unknown := set(query) - {"after", "service", "kind", "limit"}:
            raise Refused(400, f"{', '.join(sorted(unknown))} is unknown; known are after, service, kind and limit.")
        if query.get("kind") not in (None, *KINDS):
            raise Refused(400, f"kind is one of {', '.join(KINDS)}.")
        try:
            after, limit = int(query.get("after", 0)), int(query.get("limit", 1000))
            after = max(0, min(after, _HIGHEST))
        except ValueError:
            raise Refused(400, "after and limit are whole numbers.") from None
        with self._store.transaction():
            entries = self._journal.read(
                after=after, service=query.get("service"), kind=query.get("kind"), limit=max(1, min(limit, 10_000))
            )
            newest = self._journal.newest()
        return {"entries": entries, "last": entries[-1]["seq"] if entries else after, "newest": newest}

    # Certificates.

    def _certificates(self, request: Request) -> Any:
        rows = self._store.rows("SELECT * FROM certificates ORDER BY added_at")
        return {"certificates": [dict(row) for row in rows]}

    def _add_certificate(self, request: Request) -> Any:
        pem = _object(request).get("certificate")
        try:
            certificate = pki.load(str(pem).encode())
        except ValueError:
            raise Refused(400, "certificate is the text of one certificate in PEM.") from None
        with self._store.transaction():
            trust(self._store, certificate)
            thumbprint = pki.thumbprint(certificate)
            self._record("add certificate", None, thumbprint=thumbprint)
        return 201, {"thumbprint": thumbprint}

    def _remove_certificate(self, request: Request, thumbprint: str) -> Any:
        with self._store.transaction():
            row = self._store.execute("DELETE FROM certificates WHERE thumbprint = ?", (thumbprint.upper(),))
            if not row.rowcount:
                raise Refused(404, "There is no such certificate; GET /certificates lists them.")
            self._record("remove certificate", None, thumbprint=thumbprint.upper())
        return {"removed": thumbprint.upper()}

    def _record(self, event: str, service: str | None, **entry: Any) -> None:
        self._journal.write("admin", service, event=event, **entry)


def trust(store: Any, certificate: Any) -> None:
    """Let the subscription accept a management certificate."""
    store.execute(
        "REPLACE INTO certificates VALUES (?, ?, ?, ?)",
        (
            pki.thumbprint(certificate),
            certificate.subject.rfc4514_string(),
            certificate.not_valid_after_utc.isoformat().replace("+00:00", "Z"),
            times.iso(),
        ),
    )


def _route(method: str, path: str, handler: Callable[..., Any]) -> tuple[str, re.Pattern[str], Callable[..., Any]]:
    return method, re.compile(path.replace("{}", "([^/]+)")), handler


_ROUTES = [
    _route("GET", "/", AdminApi._index),
    _route("GET", "/health", AdminApi._health),
    _route("GET", "/services", AdminApi._services),
    _route("GET", "/services/{}", AdminApi._service),
    _route("POST", "/services/{}/actions", AdminApi._act),
    _route("PUT", "/services/{}/state", AdminApi._force_state),
    _route("POST", "/services/{}/content", AdminApi._edit),
    _route("POST", "/services/{}/messages", AdminApi._send),
    _route("POST", "/services/{}/batches/release", AdminApi._release_batch),
    _route("GET", "/services/{}/duplicates", AdminApi._duplicates),
    _route("GET", "/world", AdminApi._show_world),
    _route("PUT", "/world/databases/{}", AdminApi._put_database),
    _route("DELETE", "/world/databases/{}", AdminApi._drop_database),
    _route("PUT", "/world/namespaces/{}", AdminApi._put_namespace),
    _route("DELETE", "/world/namespaces/{}", AdminApi._drop_namespace),
    _route("GET", "/operations", AdminApi._operations),
    _route("GET", "/operations/{}", AdminApi._operation),
    _route("POST", "/operations/{}/release", AdminApi._release_operation),
    _route("GET", "/settings", AdminApi._settings),
    _route("PATCH", "/settings", AdminApi._change_settings),
    _route("GET", "/faults", AdminApi._fault_list),
    _route("POST", "/faults", AdminApi._order_fault),
    _route("DELETE", "/faults", AdminApi._clear_faults),
    _route("DELETE", r"/faults/(\d{1,18})", AdminApi._clear_faults),
    _route("GET", "/journal", AdminApi._read_journal),
    _route("GET", "/certificates", AdminApi._certificates),
    _route("POST", "/certificates", AdminApi._add_certificate),
    _route("DELETE", "/certificates/{}", AdminApi._remove_certificate),
]


def _readable(pattern: re.Pattern[str]) -> str:
    return pattern.pattern.replace("([^/]+)", "{}").replace(r"(\d{1,18})", "{}")


def _object(request: Request) -> dict[str, Any]:
    if not request.body:
        return {}
    try:
        document = json_text.read(request.body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Refused(400, "The body must be a JSON object.")
    return document


def _json(status: int, document: Any) -> Response:
    body = json.dumps(document, indent=2, default=str).encode() + b"\n"
    return Response(status, body, {"Content-Type": "application/json"})
