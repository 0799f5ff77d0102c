"""A driver for an invented kind of service that cannot back itself up: the client exports it, page by page, with a
cursor, and imports it in the same way.

Everything that the library has to know of registers is in this folder.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from typing import Any

from azure.core.exceptions import ResourceExistsError
from biztalk_services.archive.errors import BackupDamagedError
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.drivers.base import BackupTarget, Capability, DriverInfo, FindService, RestoreProposal
from biztalk_services.drivers.registry import Connections, ConnectionValues
from biztalk_services.model.backup import BackupContent, BackupReference, NotIncluded, StoredBlob
from biztalk_services.model.checks import Check
from biztalk_services.model.control_numbers import NumberPlan, NumberRow, UseReport
from biztalk_services.model.drain import DrainStatus
from biztalk_services.model.errors import (
    OperationNotAllowedError,
    OperationNotFoundError,
    ServiceNotFoundError,
    UnexpectedResponseError,
)
from biztalk_services.model.inventory import Inventory, Item
from biztalk_services.model.plan import PlannedValue, RestorePlan, RestoreTarget
from biztalk_services.model.requests import RestoreRequest
from biztalk_services.model.service import Operation, Phase, Service, ServiceRef, Verb

log = logging.getLogger(__name__)

INFO = DriverInfo(
    kind="register",
    title="register",
    running_state="Enabled",
    quiesced_state="Paused",
    capabilities=frozenset({Capability.CONTROL_NUMBERS}),
    not_included=(NotIncluded("history", "What was rung up before is not in it."),),
)
_ALLOWED: dict[str, frozenset[Verb]] = {
    "Enabled": frozenset({"suspend", "backup", "delete"}),
    "Paused": frozenset({"resume", "backup", "delete"}),
}
MANIFEST = "manifest.json"
_OURS = "client-"
"""Operations that the client carries out: they have succeeded when their last piece is done."""


@dataclass
class Shop:
    """The registers of a subscription, as a real platform would hold them: it can list and change keys, not more."""

    registers: dict[str, dict[str, Any]] = field(default_factory=dict)
    reads: list[tuple[str, int]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    numbers: Any = field(default_factory=count)

    def add(self, name: str, *pages: dict[str, str]) -> None:
        self.registers[name] = {
            "state": "Enabled",
            "pages": [dict(page) for page in pages],
            "etag": f"e{next(self.numbers)}",
            "next": 1,
        }

    def page(self, name: str, number: int) -> dict[str, str] | None:
        """One page of a register's keys, None behind the last."""
        self.reads.append((name, number))
        pages = self.registers[name]["pages"]
        return pages[number] if number < len(pages) else None


SHOPS: dict[str, Shop] = {}
"""By the host of the connection."""


def connect(connection: ConnectionValues, connections: Connections, options: Mapping[str, Any]) -> RegisterDriver:
    return RegisterDriver(SHOPS[connection.host or ""], connection.login or "")


class RegisterDriver:
    """The :class:`biztalk_services.drivers.base.Driver` of registers."""

    info = INFO

    def __init__(self, shop: Shop, subscription_id: str) -> None:
        self._shop = shop
        self.subscription_id = subscription_id

    def check_connection(self) -> str:
        return f"{len(self._shop.registers)} registers."

    def list_services(self, on_unread: Callable[[str], None] | None = None) -> list[Service]:
        services = []
        for name in sorted(self._shop.registers):
            try:
                services.append(self.get_service(ServiceRef("shop", name)))
            except UnexpectedResponseError as error:
                (on_unread or log.warning)(str(error))
        return services

    def get_service(self, ref: ServiceRef) -> Service:
        register = self._shop.registers.get(ref.name)
        if register is None:
            raise ServiceNotFoundError(f"There is no register {ref}.")
        state = register["state"]
        if state not in _ALLOWED:
            raise UnexpectedResponseError(f"Register {ref} cannot be read: it has no such state as {state}.")
        return Service(
            ref,
            state,
            phase=Phase.RUNNING if state == "Enabled" else Phase.QUIESCED,
            allows=_ALLOWED[state],
            has_backups=True,
            edition="till",
            version="3",
            etag=register["etag"],
            raw_state=state,
        )

    def read_services(self, scope: str | None) -> FindService:
        return self.get_service

    def get_operation(self, ref: ServiceRef, operation_id: str) -> Operation:
        if operation_id.startswith(_OURS):
            return Operation(operation_id, "Succeeded")
        raise OperationNotFoundError(f"There is no operation {operation_id}.")

    def check_backup(self, service: Service, target: BackupTarget) -> list[Check]:
        return [Check("register-exists", True, f"Register {service.ref} exists.", "shop")]

    def drain_status(self, name: str) -> DrainStatus:
        return DrainStatus(answer="empty", source="a register has no batches", checked_at=datetime.now(UTC))

    def drain_source(self, name: str) -> str | None:
        return None

    def check_queries(self, name: str) -> None:
        return None

    def suspend(self, ref: ServiceRef, *, request_id: str) -> Operation:
        self._shop.requests.append(f"suspend {ref.name}")
        self._shop.registers[ref.name]["state"] = "Paused"
        return Operation(f"{_OURS}suspend")

    def resume(self, ref: ServiceRef, *, request_id: str) -> Operation:
        self._shop.requests.append(f"resume {ref.name}")
        self._shop.registers[ref.name]["state"] = "Enabled"
        return Operation(f"{_OURS}resume")

    def start_backup(
        self, ref: ServiceRef, target: BackupTarget, *, request_id: str, if_match: str | None
    ) -> Operation:
        self._shop.requests.append(f"back up {ref.name}")
        return Operation(f"{_OURS}export", cursor={"export": target.name, "page": 0, "blobs": []})

    def advance(self, ref: ServiceRef, operation: Operation, account: StorageAccount) -> Operation:
        cursor = dict(operation.cursor or {})
        step = self._export if "export" in cursor else self._import
        return Operation(operation.operation_id, cursor=step(ref, cursor, account))

    def verify_backup(self, target: BackupTarget, service_name: str) -> BackupContent:
        content = self._blob(target.account, target.name, MANIFEST)
        manifest = json.loads(content)
        if manifest["service"] != service_name:
            raise BackupDamagedError(target.name, ["it is of another register"])
        blobs = [StoredBlob(**blob) for blob in manifest["blobs"]]
        for blob in blobs:
            page = self._blob(target.account, target.name, blob.name)
            if sha256(page).hexdigest() != blob.sha256:
                raise BackupDamagedError(target.name, [f"{blob.name} has another content"])
        blobs.append(StoredBlob(MANIFEST, len(content), sha256(content).hexdigest()))
        return BackupContent(tuple(sorted(blobs)), {"pages": len(blobs) - 1}, "matched")

    def inventory(self, service: Service, overrides: Mapping[str, Any] | None = None) -> Inventory:
        keys = {key: text for page in self._shop.registers[service.ref.name]["pages"] for key, text in page.items()}
        return Inventory(
            service=service.ref.name,
            edition=service.edition,
            product_version=service.version,
            taken_at=datetime.now(UTC),
            items=tuple(Item("key", key, {"text": text}) for key, text in sorted(keys.items())),
        )

    def propose_restore(
        self,
        request: RestoreRequest,
        backup: BackupReference,
        stored: Mapping[str, str],
        target: ServiceRef,
        services: Sequence[Service],
    ) -> RestoreProposal:
        value = PlannedValue("Keys", f"{backup.item_count} pages", "backup", "passed", "They are in the backup.")
        return RestoreProposal(RestoreTarget(str(target), "till", {"pages": backup.items["pages"]}), (), (value,))

    def start_restore(self, plan: RestorePlan, account: StorageAccount, *, request_id: str) -> Operation:
        name = plan.target.name
        if name in self._shop.registers:
            raise OperationNotAllowedError(f"Register {name} exists.")
        self._shop.requests.append(f"restore {name}")
        cursor = {"import": plan.backup.container, "page": 0, "pages": plan.target.settings["pages"]}
        return Operation(f"{_OURS}import", cursor=cursor)

    def delete(self, ref: ServiceRef, *, request_id: str, if_match: str | None) -> Operation:
        self._shop.requests.append(f"delete {ref.name}")
        assert self._shop.registers.pop(ref.name)["etag"] == if_match
        return Operation(f"{_OURS}delete")

    def expected_differences(self, plan: RestorePlan) -> set[str]:
        return set()

    def deviations(self, plan: RestorePlan, service: Service) -> list[str]:
        return []

    def same_overrides(self, plan: RestorePlan, settings: Mapping[str, str]) -> dict[str, Any]:
        return {}

    def sent_interchanges(self, inventory: Inventory, since: datetime) -> None:
        return None

    def control_numbers_since(self, name: str, since: datetime) -> UseReport:
        return UseReport(source="receipts", since=since, checked_at=datetime.now(UTC))

    def plan_control_numbers(self, recorded: Inventory, used: UseReport, *, margin: int, apply: bool) -> NumberPlan:
        return NumberPlan((NumberRow("receipts", "interchange", 1, None, 1 + margin, apply, "Receipts go on."),))

    def advance_control_numbers(
        self, service: Service, plan: RestorePlan, recorded: Inventory | None, used: UseReport, *, apply: bool
    ) -> NumberPlan:
        if apply:
            self._shop.registers[service.ref.name]["next"] = 1 + plan.request.margin
        return self.plan_control_numbers(
            recorded or self.inventory(service), used, margin=plan.request.margin, apply=apply
        )

    def _export(self, ref: ServiceRef, cursor: dict[str, Any], account: StorageAccount) -> dict[str, Any] | None:
        page = self._shop.page(ref.name, cursor["page"])
        if page is None:
            self._write(account, cursor["export"], MANIFEST, {"service": ref.name, "blobs": cursor["blobs"]})
            return None
        if cursor["page"] == 0:
            with suppress(ResourceExistsError):
                account.client.create_container(cursor["export"])
        name = f"page-{cursor['page']}.json"
        content = self._write(account, cursor["export"], name, page)
        blob = {"name": name, "size": len(content), "sha256": sha256(content).hexdigest()}
        return cursor | {"page": cursor["page"] + 1, "blobs": [*cursor["blobs"], blob]}

    def _import(self, ref: ServiceRef, cursor: dict[str, Any], account: StorageAccount) -> dict[str, Any] | None:
        number = cursor["page"]
        if ref.name not in self._shop.registers:
            self._shop.add(ref.name)
            self._shop.registers[ref.name]["state"] = "Paused"
        if number == cursor["pages"]:
            return None
        pages = self._shop.registers[ref.name]["pages"]
        pages[number : number + 1] = [json.loads(self._blob(account, cursor["import"], f"page-{number}.json"))]
        return cursor | {"page": number + 1}

    @staticmethod
    def _write(account: StorageAccount, container: str, name: str, values: dict[str, Any]) -> bytes:
        content = json.dumps(values, sort_keys=True).encode()
        with suppress(ResourceExistsError):  # written by an earlier try of the same piece
            account.client.get_blob_client(container, name).upload_blob(content)
        return content

    @staticmethod
    def _blob(account: StorageAccount, container: str, name: str) -> bytes:
        return account.client.get_blob_client(container, name).download_blob().readall()
