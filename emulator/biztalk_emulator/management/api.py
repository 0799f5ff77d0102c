"""The management API: answers each request, in one transaction with its journal entry."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from biztalk_emulator import connection_strings, pki, times
from biztalk_emulator.backups import BackupRunner
from biztalk_emulator.business.content import new_content, new_runtime
from biztalk_emulator.business.errors import TrafficRefused
from biztalk_emulator.failures import OperationFailure
from biztalk_emulator.faults import Fault, Faults
from biztalk_emulator.http_server import Delivery, Request, Response
from biztalk_emulator.journal import Journal
from biztalk_emulator.lifecycle import Lifecycle, NotAllowed, new_etag
from biztalk_emulator.management import answers, bodies, envelopes, restoring
from biztalk_emulator.management.call import Call, operation_id
from biztalk_emulator.management.errors import (
    ManagementError,
    authentication_failed,
    bad_request,
    conflict,
    invalid_query,
    not_allowed,
    not_found,
    unread_body,
)
from biztalk_emulator.management.paths import Route
from biztalk_emulator.message_desk import MessageDesk
from biztalk_emulator.restores import RestoreRunner
from biztalk_emulator.state_chart import ACTIVE, SUSPENDED
from biztalk_emulator.store import Operation, Service
from biztalk_emulator.world import World

REGISTERED = "registered"
SUBSCRIPTION = "subscription_id"
PROVIDER_TYPE = "biztalkservices.biztalk"


class ManagementApi:
    """An application for :class:`biztalk_emulator.http_server.HttpServer`."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        faults: Faults,
        journal: Journal,
        backups: BackupRunner,
        restores: RestoreRunner,
        desk: MessageDesk,
        world: World,
    ) -> None:
        self._lifecycle = lifecycle
        self._store = lifecycle.store
        self._faults = faults
        self._journal = journal
        self._backups = backups
        self._restores = restores
        self._desk = desk
        self._world = world

    def __call__(self, request: Request) -> Response:
        """Answer a request."""
        call = Call(request)
        try:
            response = self._answer_and_record(call)
        except Exception as error:
            print(f"request {call.request_id} failed with {type(error).__name__}: {error}", file=sys.stderr)
            call.afterwards.clear()
            internal = ManagementError(500, "InternalError", "The server encountered an internal error.")
            response = answers.refusal(internal)
            answers.add_headers(response, call.request_id, passed_through=call.route.passed_through)
            with self._store.transaction():
                self._record(call, response, None)
        for step in call.afterwards:
            step()
        return response

    def _answer_and_record(self, call: Call) -> Response:
        try:
            with self._store.transaction():
                response, fault = self._answer(call)
                self._record(call, response, fault)
        except restoring.AccountsNotChecked as pending:
            call.findings = pending.check()
            return self._answer_and_record(call)
        return response

    def _answer(self, call: Call) -> tuple[Response, Fault | None]:
        fault = response = None
        try:
            self._authenticate(call)
            if call.request.unread:
                raise unread_body(call.request.unread)
            unidentified = call.identify(
                service_exists=self._store.service(call.route.service) is not None,
                restores=call.route.kind == "service" and bodies.is_restore(call.request),
            )
            fault = self._faults.find(call.kind, call.route.service or None)
            response = answers.fault_answer(fault) if fault else None
            if response is None:
                call.check_version(self._profile("version_minimum"))
                if unidentified:
                    raise unidentified
                call.twist = fault.twist if fault else call.twist
                with self._store.undoing():
                    response = self._HANDLERS[call.kind](self, call)
        except NotAllowed:
            response = answers.refusal(not_allowed())
        except ManagementError as refused:
            response = answers.refusal(refused)
        if fault and fault.changes_operation and not call.began:
            fault = None
        answers.add_headers(response, call.request_id, passed_through=call.route.passed_through)
        if fault:
            answers.apply_fault(response, fault)
            self._faults.fire(fault)
        return response, fault

    def _authenticate(self, call: Call) -> None:
        certificate = call.request.client_certificate
        known = certificate is not None and self._store.rows(
            "SELECT 1 FROM certificates WHERE thumbprint = ?", (pki.thumbprint(certificate),)
        )
        ours = call.route.subscription.lower() == str(self._store.fact(SUBSCRIPTION)).lower()
        if not known or not ours or not pki.valid_now(certificate):
            raise authentication_failed()

    def _record(self, call: Call, response: Response, fault: Fault | None) -> None:
        self._journal.write(
            "request",
            call.route.service or None,
            port="management",
            method=call.request.method,
            path=call.request.path + call.safe_query(),
            operation=call.kind,
            status=None if response.delivery is Delivery.RESET else response.status,
            request_id=call.request_id,
            client_request_id=call.request.headers.get("x-ms-client-request-id"),
            fault={"id": fault.id, "kind": fault.effect} if fault else None,
        )

    def _profile(self, switch: str) -> str:
        return self._lifecycle.settings["profile"][switch]

    # Subscription and cloud services.

    def _register(self, call: Call) -> Response:
        if call.query.get("action", "").lower() != "register":
            raise invalid_query("The query parameter action is required and must be register.")
        if call.query.get("service", "").lower() != PROVIDER_TYPE:
            raise invalid_query(f"The query parameter service is required and must be {PROVIDER_TYPE}.")
        if self._store.fact(REGISTERED, False):
            raise conflict(f"The subscription is already registered for {PROVIDER_TYPE}.")
        self._store.save_fact(REGISTERED, True)
        return Response(200)

    def _list(self, call: Call) -> Response:
        groups = [(group, self._store.listed(group.key)) for group in self._store.cloud_services()]
        return Response(200, envelopes.cloud_services(groups))

    def _get_cloud_service(self, call: Call) -> Response:
        group = self._cloud_service(call)
        body = envelopes.cloud_service(group, self._store.listed(group.key))
        return Response(200, body, {"ETag": group.etag})

    def _create_cloud_service(self, call: Call) -> Response:
        bodies.content_kind(call.request)
        order = bodies.cloud_service_order(call.route.cloud_service, call.request)
        if self._store.cloud_service(call.route.cloud_service):
            raise conflict("A cloud service of this name already exists.")
        self._lifecycle.create_cloud_service(call.route.cloud_service, order.label, order.description, order.geo_region)
        return self._accept_for_cloud_service(call)

    def _delete_cloud_service(self, call: Call) -> Response:
        group = self._cloud_service(call)
        if self._store.listed(group.key):
            raise conflict("The cloud service still holds BizTalk services; delete those first.")
        self._store.remove_cloud_service(group)
        return self._accept_for_cloud_service(call)

    def _accept_for_cloud_service(self, call: Call) -> Response:
        self._lifecycle.begin_on_cloud_service(call.kind, call.route.cloud_service, operation_id=call.request_id)
        call.afterwards.append(self._lifecycle.wake)
        return Response(202)

    # One BizTalk service.

    def _get(self, call: Call) -> Response:
        service = self._service(call)
        return Response(200, envelopes.resource(service.listed), {"ETag": service.etag})

    def _create(self, call: Call) -> Response:
        settings = bodies.service_settings(call.request)
        group, name = self._cloud_service(call), call.route.service
        bodies.check_service_name(name)
        bodies.check_settings(settings)
        if not self._store.fact(REGISTERED, False):
            raise bad_request(f"The subscription is not registered for {PROVIDER_TYPE}; register it first.")
        self._check_name_is_not_held(name)
        self._check_tracking_is_free(settings)
        self._world.introduce(settings)
        service = Service(
            name=name,
            cloud_service=group.key,
            state=ACTIVE,
            etag=new_etag(),
            created_at=times.now(),
            settings=settings,
            content=new_content(),
            runtime=new_runtime(),
        )
        try:
            self._desk.open_tracking(service)
        except TrafficRefused as refused:
            raise bad_request(str(refused)) from None
        self._begin(call, "create", service)
        return Response(202, headers={"ETag": service.etag})

    def _restore(self, call: Call) -> Response:
        order = bodies.restore_order(call.request)
        group, name = self._cloud_service(call), call.route.service
        if self._store.service(name):
            raise conflict(f"The name {name} is not available: a service of this name exists; delete it, then restore.")
        self._check_name_is_not_held(name)
        if call.findings is None:
            raise restoring.AccountsNotChecked(lambda: restoring.check_accounts(order))
        problems = bodies.service_name_problems(name)
        if not self._store.fact(REGISTERED, False):
            problems.append(f"The subscription is not registered for {PROVIDER_TYPE}; register it first.")
        if not call.request.headers.get("x-ms-client-request-id", "").strip():
            problems.append("The header x-ms-client-request-id is required to restore.")
        equality = self._profile("version_equality")
        problems += restoring.problems(order, call.findings, self._world, version_equality=equality)
        if problems:
            raise bad_request(" ".join(problems))
        service = Service(
            name=name,
            cloud_service=group.key,
            state=SUSPENDED,
            etag=new_etag(),
            created_at=times.now(),
            settings=restoring.shown_meanwhile(restoring.settings_of(order, call.findings)),
            content=new_content(),
            runtime=new_runtime(),
        )
        payload = {
            "backup_name": order.backup_name,
            "connection_string": order.connection_string,
            "overrides": order.overrides,
        }
        operation = self._begin_operation(call, "restore", service, payload)
        call.afterwards.append(lambda: self._restores.start(operation))
        return Response(202, headers={"ETag": service.etag})

    def _update(self, call: Call) -> Response:
        changes, service = bodies.service_settings(call.request), self._service(call)
        call.check_match(service.etag, required=True)
        settings = _updated(service.settings, changes)
        bodies.check_settings(settings)
        if settings["Edition"] != service.edition:
            raise bad_request("The edition of a service cannot be changed; back it up and restore it into another.")
        self._check_tracking_is_free(settings, service)
        self._world.introduce(settings, service.settings)
        self._begin(call, _kind_of_update(service.settings, settings), service, {"settings": settings})
        return Response(202, headers={"ETag": service.etag})

    def _delete(self, call: Call) -> Response:
        service = self._service(call)
        call.check_match(service.etag)
        return self._begin(call, "delete", service)

    def _suspend(self, call: Call) -> Response:
        service = self._service(call)
        self._refuse_free(service, "suspended")
        if service.visible_state == SUSPENDED:
            self._lifecycle.begin_without_effect("suspend", service, operation_id=call.request_id)
            return Response(202)
        return self._begin(call, "suspend", service)

    def _resume(self, call: Call) -> Response:
        return self._begin(call, "resume", self._service(call))

    def _restart(self, call: Call) -> Response:
        return self._begin(call, "restart", self._service(call))

    def _sync_keys(self, call: Call) -> Response:
        service = self._service(call)
        self._refuse_free(service, "synchronized with its Access Control keys")
        return self._begin(call, "sync_keys", service, self._world.synchronized(service.settings))

    def _backup(self, call: Call) -> Response:
        service = self._service(call)
        self._refuse_free(service, "backed up")
        if service.edition == "developer" and self._profile("developer_backup") == "no":
            raise bad_request("A service of the developer edition cannot be backed up.")
        order = bodies.backup_order(call.request)
        call.check_match(service.etag)
        if service.visible_state == ACTIVE and self._profile("backup_precondition") == "strict-rest":
            raise not_allowed()
        payload = {
            "backup_name": order.backup_name,
            "connection_string": order.connection_string,
            **self._backups.snapshot(service, self._cloud_service(call).geo_region),
        }
        operation = self._begin_operation(call, "backup", service, payload)
        call.afterwards.append(lambda: self._backups.start(operation))
        return Response(int(self._profile("backup_status")))

    # Status of operations.

    def _poll(self, call: Call) -> Response:
        if call.route.kind == "operation":
            return Response(200, envelopes.envelope_operation(self._operation(call.route.operation)))
        text = call.status_query()
        if not self._was_deleted(call):
            self._refuse_free(self._service(call), "polled")
        if not text:
            raise invalid_query("The query must be OperationStatus/{request-id}.")
        operation = self._operation(text)
        if not _is_of(operation, call.route):
            raise not_found(f"The operation {text} of this service")
        return Response(int(self._profile("poll_status")), envelopes.operation_status(operation))

    def _was_deleted(self, call: Call) -> bool:
        """Whether the path names a service that was there once: its operations are still reported."""
        service = self._store.service(call.route.service)
        if service and service.cloud_service == call.route.cloud_service.lower():
            return False
        return any(_is_of(operation, call.route) for operation in self._store.operations())

    def _operation(self, text: str) -> Operation:
        identifier = operation_id(text)
        operation = self._store.operation(identifier) if identifier else None
        if operation is None or operation.forgotten:
            raise not_found(f"The operation {identifier or 'with this id'}")
        return operation

    # What several of them do.

    def _cloud_service(self, call: Call) -> Any:
        group = self._store.cloud_service(call.route.cloud_service)
        if group is None:
            raise not_found(f"The cloud service {call.route.cloud_service}")
        return group

    def _service(self, call: Call) -> Service:
        group, service = self._cloud_service(call), self._store.service(call.route.service)
        if service is None or service.cloud_service != group.key:
            if service is not None and call.kind == "update":
                raise conflict(f"The name {call.route.service} is not available: another cloud service has it.")
            raise not_found(f"The BizTalk service {call.route.service}")
        return service

    def _refuse_free(self, service: Service, done: str) -> None:
        if service.edition == "free":
            raise bad_request(f"A service of the free edition cannot be {done}.")

    def _check_name_is_not_held(self, name: str) -> None:
        given_up = self._store.deleted_at(name)
        if given_up is not None and given_up + self._lifecycle.settings["name_hold_seconds"] > times.now():
            raise conflict(f"The name {name} is not available yet: a service of this name was deleted recently.")

    def _check_tracking_is_free(self, settings: dict[str, Any], itself: Service | None = None) -> None:
        text = settings.get("TrackingStoreConnectionString")
        try:
            if text:
                self._world.check_database_is_free(text, itself.name if itself else "")
        except OperationFailure as failure:
            raise bad_request(failure.error["message"]) from None

    def _begin(self, call: Call, kind: str, service: Service, payload: dict[str, Any] | None = None) -> Response:
        self._begin_operation(call, kind, service, payload)
        return Response(202)

    def _begin_operation(
        self, call: Call, kind: str, service: Service, payload: dict[str, Any] | None = None
    ) -> Operation:
        call.afterwards.append(self._lifecycle.wake)
        operation = self._lifecycle.begin(
            kind, service, operation_id=call.request_id, payload=payload, twist=call.twist
        )
        call.began = True
        return operation

    _HANDLERS: ClassVar = {
        "register": _register,
        "list": _list,
        "get_cloud_service": _get_cloud_service,
        "create_cloud_service": _create_cloud_service,
        "delete_cloud_service": _delete_cloud_service,
        "get": _get,
        "create": _create,
        "restore": _restore,
        "update": _update,
        "delete": _delete,
        "suspend": _suspend,
        "resume": _resume,
        "restart": _restart,
        "sync_keys": _sync_keys,
        "backup": _backup,
        "poll": _poll,
    }


def _is_of(operation: Operation, route: Route) -> bool:
    of = operation.cloud_service.lower(), operation.service.lower()
    return of == (route.cloud_service.lower(), route.service.lower())


def _updated(old: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Settings after an update: what is not sent, or sent back as GET showed it without its secrets, stays."""
    settings = old | changes
    for name in envelopes.CONNECTION_STRINGS:
        if old.get(name) and changes.get(name) == connection_strings.without_secrets(old[name]):
            settings[name] = old[name]
    return settings


def _kind_of_update(old: dict[str, Any], new: dict[str, Any]) -> str:
    changed = {name for name in new if new[name] != old.get(name)}
    if "ServiceVersion" in changed:
        return "service_update"
    return "scale" if changed == {"UnitCount"} else "update"
