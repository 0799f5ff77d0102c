"""Everything that a plan of a restore reads, in plain Python: the real driver and planner with fake surroundings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from biztalk_services.archive.errors import NotInCatalogError
from biztalk_services.drivers.biztalk.driver import BizTalkDriver
from biztalk_services.drivers.biztalk.sources import Sources
from biztalk_services.drivers.biztalk.values import StoredValue, Value
from biztalk_services.flows.plan_restore import Planner, find_backup
from biztalk_services.model.backup import BackupReference
from biztalk_services.model.control_numbers import ControlNumberUse, UseReport
from biztalk_services.model.drain import DrainStatus
from biztalk_services.model.errors import ServiceNotFoundError
from biztalk_services.model.inventory import Inventory
from biztalk_services.model.records import Lock
from biztalk_services.model.requests import RestoreRequest
from biztalk_services.model.run import Run, RunState
from biztalk_services.model.service import Service, ServiceKey, ServiceRef

from tests.archive.samples import NOW, reference
from tests.biztalk import inventories
from tests.biztalk.values import database_value

SUBSCRIPTION = reference().subscription_id
RUN = Run("biztalk_restore", "manual__1")


def used(*uses: ControlNumberUse, problem: str | None = None) -> UseReport:
    return UseReport(uses=uses, source="tracking database", problem=problem, since=NOW, checked_at=datetime.now(UTC))


@dataclass
class World:
    """What there is to read; what is an error is raised. ``calls`` has the arguments of each method's last call."""

    existing: list[Service] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    behind_unread: Service | Exception = field(default_factory=lambda: ServiceNotFoundError("There is none."))
    recorded: Inventory | Exception | None = field(default_factory=inventories.inventory)
    now: Inventory | Exception = field(default_factory=inventories.inventory)
    whole: str | Exception = "All blobs are what was recorded."
    use: UseReport | Exception = field(default_factory=used)
    batches: DrainStatus | Exception = field(
        default_factory=lambda: DrainStatus(answer="empty", source="tracking database", checked_at=NOW)
    )
    restore_values: list[Value] = field(
        default_factory=lambda: [database_value(), StoredValue("ServiceCertificate", "certificate of the backup", "")]
    )
    lock: Lock | None = None
    seconds: list[float] = field(default_factory=list)
    subscription_id: str = SUBSCRIPTION
    backups: list[BackupReference] = field(default_factory=lambda: [reference()])
    calls: dict[str, Any] = field(default_factory=dict)

    def planner(self, at: datetime = NOW) -> Planner:
        return Planner(FakeDriver(self), "biztalk_default", FakeArchive(self), RUN, lambda run: RunState.ACTIVE, at)

    def found(self, form: Mapping[str, Any], *more: World) -> tuple[BackupReference, RestoreRequest]:
        """The backup and the request that a form means, where ``more`` are the subscriptions of further connections."""
        drivers = {f"biztalk_{number}": partial(FakeDriver, world) for number, world in enumerate(more, 2)}
        backup = find_backup(FakeArchive(self), form, {"biztalk_default": partial(FakeDriver, self)} | drivers)
        return backup, self.planner().request(form, backup)

    # client of the management API

    def list_services(self, on_unread: Callable[[str], None] | None = None) -> list[Service]:
        for sentence in self.unread:
            (on_unread or print)(sentence)
        return self.existing

    def get_service(self, ref: ServiceRef) -> Service:
        if isinstance(self.behind_unread, Exception):
            raise self.behind_unread
        return self.behind_unread

    def start_restore(self, ref: Any, **request: Any) -> str:
        self.calls["start_restore"] = (str(ref), request)
        return "operation-1"

    # archive

    def verify(self, backup: BackupReference) -> str:
        return _result(self.whole)

    def inventory_of(self, backup: BackupReference) -> Inventory | None:
        return _result(self.recorded)

    def read(self, service: str, name: str) -> BackupReference:
        for each in self.backups:
            if (each.service, each.container) == (service, name):
                return each
        raise NotInCatalogError(f"There is no backup {name} of {service}.")

    def latest(
        self, service: str, *, subscription_id: str | None, scope: str | None, kinds: Sequence[str]
    ) -> BackupReference:
        self.calls["latest"] = (service, subscription_id, scope, kinds)
        return next(each for each in self.backups if each.service == service and each.kind in kinds)

    def of(self, service: ServiceKey) -> Lock | None:
        self.calls["lock"] = service
        return self.lock

    def durations(self, service: str) -> list[float]:
        return self.seconds

    # surroundings of the services

    def control_numbers_since(self, name: str, since: datetime) -> UseReport:
        self.calls["control_numbers_since"] = (name, since)
        return _result(self.use)

    def drain_status(self, name: str) -> DrainStatus:
        self.calls["drain_status"] = name
        return _result(self.batches)

    def values(self, request: RestoreRequest, stored: Mapping[str, str], target: str) -> list[Value]:
        self.calls["values"] = (request, dict(stored), target)
        return self.restore_values


class FakeArchive:
    """An :class:`biztalk_services.archive.archive.Archive` whose parts are all the world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.catalog = self.locks = self.restores = world

    def verify(self, backup: BackupReference) -> str:
        return self.world.verify(backup)

    def check_writable(self) -> str:
        return "It can be written."


class FakeSources(Sources):
    """What surrounds the services of the world; their partner management is never opened."""

    def __init__(self, world: World) -> None:
        self.world = world

    def partner_management(self, service: Service, override: str | None = None) -> Any:
        raise NotImplementedError

    def value(self, *arguments: Any) -> Value:
        raise NotImplementedError

    def drain_status(self, name: str) -> DrainStatus:
        return self.world.drain_status(name)

    def control_numbers_since(self, name: str, since: datetime) -> UseReport:
        return self.world.control_numbers_since(name, since)

    def values(
        self, request: RestoreRequest, stored: Mapping[str, str], target: str, services: Sequence[Service] = ()
    ) -> list[Value]:
        return self.world.values(request, stored, target)


class FakeDriver(BizTalkDriver):
    """The driver of the world's services; only their inventory is canned."""

    def __init__(self, world: World) -> None:
        super().__init__(world, FakeSources(world))
        self.world = world

    def inventory(self, service: Service, overrides: Mapping[str, Any] | None = None) -> Inventory:
        self.world.calls["inventory"] = str(service.ref)
        return _result(self.world.now)


def _result(value: Any) -> Any:
    if isinstance(value, Exception):
        raise value
    return value
