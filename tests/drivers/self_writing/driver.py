"""A driver for an invented kind of service that writes its backup itself: a relay that is switched on and off.

Everything that the library has to know of relays is in this folder.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from typing import Any

from biztalk_services.archive.errors import BackupDamagedError
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.drivers.base import BackupTarget, DriverInfo, FindService, RestoreProposal
from biztalk_services.drivers.registry import Connections, ConnectionValues
from biztalk_services.model.backup import BackupContent, BackupReference, NotIncluded, StoredBlob
from biztalk_services.model.checks import Check
from biztalk_services.model.control_numbers import NumberPlan, UseReport
from biztalk_services.model.drain import DrainStatus
from biztalk_services.model.errors import (
    OperationNotAllowedError,
    OperationNotFoundError,
    ServiceNotFoundError,
    UnexpectedResponseError,
)
from biztalk_services.model.inventory import Inventory, Item
from biztalk_services.model.plan import RestorePlan, RestoreTarget
from biztalk_services.model.requests import RestoreRequest
from biztalk_services.model.service import Operation, Phase, Service, ServiceRef, Verb

log = logging.getLogger(__name__)

INFO = DriverInfo(
    kind="relay",
    title="relay",
    running_state="on",
    quiesced_state="off",
    capabilities=frozenset(),
    not_included=(NotIncluded("messages in flight", "Messages on their way are not in it."),),
)
_ALLOWED: dict[str, frozenset[Verb]] = {
    "on": frozenset({"suspend", "backup", "delete"}),
    "off": frozenset({"resume", "backup", "delete"}),
}
DESCRIPTOR = "relay.json"


@dataclass
class Rack:
    """The relays of a subscription, as a real platform would hold them."""

    relays: dict[str, dict[str, Any]] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    numbers: Any = field(default_factory=count)

    def add(self, name: str, **routes: str) -> None:
        self.relays[name] = {"state": "on", "routes": routes, "etag": f"e{next(self.numbers)}"}

    def succeed(self, request: str, operation_type: str) -> Operation:
        """Carry a request out at once."""
        self.requests.append(request)
        operation = Operation(f"{next(self.numbers):032x}", "Succeeded", operation_type=operation_type)
        self.operations[str(operation.operation_id)] = operation
        return operation


RACKS: dict[str, Rack] = {}
"""By the host of the connection."""


def connect(connection: ConnectionValues, connections: Connections, options: Mapping[str, Any]) -> RelayDriver:
    return RelayDriver(RACKS[connection.host or ""], connection.login or "")


class RelayDriver:
    """The :class:`biztalk_services.drivers.base.Driver` of relays."""

    info = INFO

    def __init__(self, rack: Rack, subscription_id: str) -> None:
        self._rack = rack
        self.subscription_id = subscription_id

    def check_connection(self) -> str:
        return f"{len(self._rack.relays)} relays."

    def list_services(self, on_unread: Callable[[str], None] | None = None) -> list[Service]:
        services = []
        for name in sorted(self._rack.relays):
            try:
                services.append(self.get_service(ServiceRef("rack", name)))
            except UnexpectedResponseError as error:
                (on_unread or log.warning)(str(error))
        return services

    def get_service(self, ref: ServiceRef) -> Service:
        relay = self._rack.relays.get(ref.name)
        if relay is None:
            raise ServiceNotFoundError(f"There is no relay {ref}.")
        state = relay["state"]
        if state not in _ALLOWED:
            raise UnexpectedResponseError(f"Relay {ref} cannot be read: it has no such state as {state}.")
        return Service(
            ref,
            state,
            phase=Phase.RUNNING if state == "on" else Phase.QUIESCED,
            allows=_ALLOWED[state],
            has_backups=True,
            edition="plain",
            version="1",
            etag=relay["etag"],
            raw_state=state,
        )

    def read_services(self, scope: str | None) -> FindService:
        return self.get_service

    def get_operation(self, ref: ServiceRef, operation_id: str) -> Operation:
        if operation_id not in self._rack.operations:
            raise OperationNotFoundError(f"There is no operation {operation_id}.")
        return self._rack.operations[operation_id]

    def check_backup(self, service: Service, target: BackupTarget) -> list[Check]:
        return [Check("relay-exists", True, f"Relay {service.ref} exists.", "rack")]

    def drain_status(self, name: str) -> DrainStatus:
        return DrainStatus(answer="empty", source="a relay has no batches", checked_at=datetime.now(UTC))

    def drain_source(self, name: str) -> str | None:
        return None

    def check_queries(self, name: str) -> None:
        return None

    def suspend(self, ref: ServiceRef, *, request_id: str) -> Operation:
        self._rack.relays[ref.name]["state"] = "off"
        return self._rack.succeed(f"suspend {ref.name}", "Suspend")

    def resume(self, ref: ServiceRef, *, request_id: str) -> Operation:
        self._rack.relays[ref.name]["state"] = "on"
        return self._rack.succeed(f"resume {ref.name}", "Resume")

    def start_backup(
        self, ref: ServiceRef, target: BackupTarget, *, request_id: str, if_match: str | None
    ) -> Operation:
        relay = self._rack.relays[ref.name]
        assert relay["etag"] == if_match
        container = target.account.client.create_container(target.name)
        container.upload_blob(DESCRIPTOR, json.dumps({"name": ref.name, "routes": relay["routes"]}))
        return self._rack.succeed(f"back up {ref.name}", "Backup")

    def advance(self, ref: ServiceRef, operation: Operation, account: StorageAccount) -> Operation:
        raise AssertionError("a relay writes its backup itself")

    def verify_backup(self, target: BackupTarget, service_name: str) -> BackupContent:
        content = self._content(target)
        if json.loads(content)["name"] != service_name:
            raise BackupDamagedError(target.name, ["it is of another relay"])
        blob = StoredBlob(DESCRIPTOR, len(content), sha256(content).hexdigest())
        return BackupContent((blob,), {"routes": len(json.loads(content)["routes"])}, "matched")

    def inventory(self, service: Service, overrides: Mapping[str, Any] | None = None) -> Inventory:
        routes = self._rack.relays[service.ref.name]["routes"]
        items = tuple(Item("route", name, {"to": to}) for name, to in sorted(routes.items()))
        return Inventory(
            service=service.ref.name,
            edition=service.edition,
            product_version=service.version,
            taken_at=datetime.now(UTC),
            items=items,
        )

    def propose_restore(
        self,
        request: RestoreRequest,
        backup: BackupReference,
        stored: Mapping[str, str],
        target: ServiceRef,
        services: Sequence[Service],
    ) -> RestoreProposal:
        checks = (Check("relay-kind", backup.service_kind == "relay", "The backup is of a relay.", "rack"),)
        return RestoreProposal(RestoreTarget(str(target), "plain", {}), checks, ())

    def start_restore(self, plan: RestorePlan, account: StorageAccount, *, request_id: str) -> Operation:
        name = plan.target.name
        if name in self._rack.relays:
            raise OperationNotAllowedError(f"Relay {name} exists.")
        self._rack.add(name, **json.loads(self._content(BackupTarget(account, plan.backup.container)))["routes"])
        self._rack.relays[name]["state"] = "off"
        return self._rack.succeed(f"restore {name}", "Restore")

    def delete(self, ref: ServiceRef, *, request_id: str, if_match: str | None) -> Operation:
        assert self._rack.relays.pop(ref.name)["etag"] == if_match
        return self._rack.succeed(f"delete {ref.name}", "Delete")

    def expected_differences(self, plan: RestorePlan) -> set[str]:
        return set()

    def deviations(self, plan: RestorePlan, service: Service) -> list[str]:
        return []

    def same_overrides(self, plan: RestorePlan, settings: Mapping[str, str]) -> dict[str, Any]:
        return {}

    def sent_interchanges(self, inventory: Inventory, since: datetime) -> None:
        return None

    def control_numbers_since(self, name: str, since: datetime) -> UseReport:
        return UseReport(source="a relay has no control numbers", since=since, checked_at=datetime.now(UTC))

    def plan_control_numbers(self, recorded: Inventory, used: UseReport, *, margin: int, apply: bool) -> NumberPlan:
        raise AssertionError("a relay has no control numbers")

    def advance_control_numbers(
        self, service: Service, plan: RestorePlan, recorded: Inventory | None, used: UseReport, *, apply: bool
    ) -> NumberPlan:
        raise AssertionError("a relay has no control numbers")

    @staticmethod
    def _content(target: BackupTarget) -> bytes:
        return target.account.client.get_blob_client(target.name, DESCRIPTOR).download_blob().readall()
