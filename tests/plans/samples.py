"""A plan with everything in it, and a world of plain Python to make plans in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from biztalk_services.drivers.biztalk.restore_rules import PROJECT, SEED
from biztalk_services.drivers.biztalk.values import GivenValue, StoredValue, Value
from biztalk_services.model.backup import BackupReference
from biztalk_services.model.checks import Verdict
from biztalk_services.model.control_numbers import ControlNumberUse, UseReport
from biztalk_services.model.drain import DrainStatus
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.inventory import Inventory
from biztalk_services.model.plan import PlannedValue, RestorePlan
from biztalk_services.model.records import Lock
from biztalk_services.model.requests import RestoreRequest
from biztalk_services.model.service import Service

from tests.catalog.samples import NOW, reference
from tests.rules import inventories

SUBSCRIPTION = reference().subscription_id
TRACKING = "TrackingStoreConnectionString"
DATABASE = "Data Source=tcp:sql.example;Initial Catalog=Tracking"
OTHER_DATABASE = "Data Source=sql.example;Initial Catalog=Tracking2"


def plan(**changes: Any) -> RestorePlan:
    complete = RestorePlan(
        made_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        backup={
            "place": "backups/orders-20260101-020000",
            "service": "orders",
            "cloud_service": "contoso-west",
            "edition": "premium",
            "product_version": "1.1.0",
            "finished_at": "2026-01-01T02:05:00+00:00",
            "items": 12,
            "drained": True,
        },
        target={"service": "contoso-west/orders", "edition": "premium", "unit_count": 2},
        living={"state": "Active", "etag": "2f2f"},
        choices={
            "control_numbers": "raise",
            "margin": 100,
            "resume_afterwards": False,
            "replace": True,
            "safety_backup": True,
        },
        rules=(Verdict("same-version", True, "It is.", SEED), Verdict("one-job", True, "No other run.", PROJECT)),
        values=(PlannedValue("AccessControlNamespace", "contosoacs", "connection acs", "passed", "It gives a token."),),
        losses=("The backup is 25 h old.",),
        differences=("Agreement A was added.", "Agreement B was added."),
        control_numbers=(
            {
                "agreement": "Fabrikam",
                "kind": "interchange",
                "backup": 10,
                "highest": 20,
                "next": 121,
                "done": True,
                "sentence": "It has given out 10.",
            },
        ),
        steps=("Delete it.", "Restore it.", "Leave it Suspended."),
        expected_seconds=90.0,
    )
    return replace(complete, **changes)


def given(setting: str = TRACKING, shown: str = DATABASE, check: Callable[[], str] = lambda: "It answers.") -> Value:
    return GivenValue(setting, shown, "connection sql", {"tracking_store": f"{shown};Password=canary"}, check)


def used(*uses: ControlNumberUse, trouble: str | None = None) -> UseReport:
    return UseReport(uses=uses, source="tracking database", trouble=trouble, since=NOW, checked_at=datetime.now(UTC))


@dataclass
class World:
    """What a plan looks at; what is an error is raised."""

    living: list[Service] = field(default_factory=list)
    recorded: Inventory | Exception | None = field(default_factory=lambda: inventories.inventory(counts={}))
    now: Inventory | Exception = field(default_factory=lambda: inventories.inventory(counts={}))
    whole: str | Exception = "All blobs are what was recorded."
    use: UseReport | Exception = field(default_factory=used)
    waiting: DrainStatus | Exception = field(
        default_factory=lambda: DrainStatus(answer="empty", source="tracking database", checked_at=NOW)
    )
    found: list[Value] = field(
        default_factory=lambda: [given(), StoredValue("ServiceCertificate", "certificate of the backup", "")]
    )
    other_job: Lock | None = None
    durations: list[float] = field(default_factory=list)
    subscription_id: str = SUBSCRIPTION
    asked: dict[str, Any] = field(default_factory=dict)

    def services(self) -> list[Service]:
        return self.living

    def read_back(self, reference: BackupReference) -> str:
        return _answer(self.whole)

    def inventory(self, reference: BackupReference) -> Inventory | None:
        return _answer(self.recorded)

    def inventory_now(self, service: Service) -> Inventory:
        self.asked["inventory_now"] = str(service.address)
        return _answer(self.now)

    def control_numbers_since(self, service: str, since: datetime) -> UseReport:
        self.asked["control_numbers_since"] = (service, since)
        return _answer(self.use)

    def batches(self, service: str) -> DrainStatus:
        self.asked["batches"] = service
        return _answer(self.waiting)

    def values(
        self, request: RestoreRequest, stored: dict[str, str], target: str, living: Sequence[Service]
    ) -> list[Value]:
        self.asked["values"] = (request, stored, target)
        return self.found

    def claim(self, service: str) -> Lock | None:
        self.asked["claim"] = service
        return self.other_job

    def earlier_durations(self, service: str) -> list[float]:
        return self.durations


def trouble(sentence: str = "It does not answer.") -> BackupServiceError:
    return BackupServiceError(sentence)


def _answer(value: Any) -> Any:
    if isinstance(value, Exception):
        raise value
    return value
