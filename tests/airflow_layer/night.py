"""The steps of one service in a night, as dags/biztalk_nightly_backup.py strings them, one after another in here."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator
from biztalk_services.provider.operators.backup import (
    CheckBackupOperator,
    PublishBackupOperator,
    RecheckBatchesOperator,
    RecordInventoryOperator,
    StartBackupOperator,
    VerifyBackupOperator,
)
from biztalk_services.provider.operators.find import FindServicesOperator
from biztalk_services.provider.operators.report import ReportBackupsOperator
from biztalk_services.provider.operators.suspend import ResumeServiceOperator, SuspendServiceOperator
from biztalk_services.provider.sensors import DrainSensor, OperationSensor, ServiceStateSensor
from biztalk_services.provider.triggers import told

from tests.airflow_layer.fakes import Run

STEPS = [
    "check",
    "drain",
    "suspend",
    "still",
    "look_again",
    "record",
    "back_up",
    "ended",
    "resume",
    "verify",
    "publish",
]
NEEDS = {
    "drain": ["check"],
    "suspend": ["drain"],
    "still": ["suspend"],
    "look_again": ["still"],
    "record": ["still"],
    "back_up": ["still"],
    "ended": ["back_up"],
    "verify": ["ended"],
    "publish": ["verify", "look_again", "record"],
}
"""Steps that must have succeeded before each; the resume is a teardown and needs the suspend only."""


class Night:
    """One run over some services.

    :param catalog: container of the catalog
    :param options: further arguments of a step, by its name
    """

    catalog = "biztalk-backup-catalog"

    def __init__(self, run: Run, services: str, catalog: str, **options: dict[str, Any]) -> None:
        self.run, self.catalog, self.options = run, catalog, options
        self.troubles: dict[tuple[str, int], Exception] = {}
        self.targets = run.execute(FindServicesOperator(task_id="find", services=services), map_index=-1)

    def all(self, *, until: str | None = None) -> Night:
        """Every step of every service, up to one of them."""
        for index in range(len(self.targets)):
            for name in STEPS[: STEPS.index(until)] if until else STEPS:
                self.step(name, index)
        return self

    def go_on(self, name: str) -> Night:
        """From a step to the end."""
        for index in range(len(self.targets)):
            for later in STEPS[STEPS.index(name) :]:
                self.step(later, index)
        return self

    def step(self, name: str, index: int = 0) -> Any:
        """One step, unless one that it needs did not succeed."""
        if not self._may_run(name, index):
            self.run.states[f"{name}_{index}"] = "upstream_failed"
            return None
        try:
            return self.run.execute(self.operator(name, index), map_index=index)
        except Exception as error:
            self.troubles[name, index] = error
            return None

    def _may_run(self, name: str, index: int) -> bool:
        needs = ["suspend"] if name == "resume" else NEEDS.get(name, [])
        return all(self.run.states.get(f"{need}_{index}") == "success" for need in needs)

    def operator(self, name: str, index: int = 0) -> BaseOperator:
        target = self.targets[index]
        at = {"task_id": name, "service": target["service"]}
        catalog = {"catalog_container": self.catalog}
        backup = {"backup_name": target["backup_name"], **catalog}
        batches = {"tracking_conn_id": target["tracking_conn_id"]}
        waits = {"deadline_minutes": 15}

        def said(step: str) -> Any:
            return told(self.run.xcom(step, map_index=index))

        def make(kind: type[BaseOperator], **arguments: Any) -> BaseOperator:
            return kind(**at, **arguments | self.options.get(name, {}))

        match name:
            case "check":
                return make(CheckBackupOperator, **backup)
            case "drain":
                return make(DrainSensor, **batches, deadline_minutes=1)
            case "suspend":
                return make(SuspendServiceOperator, **backup)
            case "still":
                suspended = said("suspend")
                operation_id = suspended["operation_id"]
                return make(
                    ServiceStateSensor, expected=suspended["expected_state"], operation_id=operation_id, **waits
                )
            case "look_again":
                return make(RecheckBatchesOperator, **batches)
            case "record":
                return make(RecordInventoryOperator, **backup)
            case "back_up":
                return make(StartBackupOperator, still=self.run.xcom("still", map_index=index), **backup)
            case "ended":
                operation_id = said("back_up")["operation_id"]
                return make(OperationSensor, operation_id=operation_id, operation_type="Backup", **waits)
            case "resume":
                return make(ResumeServiceOperator, suspension=said("suspend"), **catalog, **waits)
            case "verify":
                return make(VerifyBackupOperator, **backup)
            case "publish":
                evidence = {
                    "checked": "check",
                    "drained": "drain",
                    "still": "still",
                    "looked_again": "look_again",
                    "begun": "back_up",
                    "ended": "ended",
                    "recorded": "record",
                    "verified": "verify",
                }
                return make(PublishBackupOperator, evidence=evidence, **backup)
        raise KeyError(name)

    def report(self) -> list[dict[str, Any]]:
        """What the report says; the error with which it fails the run is kept in ``troubles``."""
        task = ReportBackupsOperator(
            task_id="report",
            find="find",
            steps=STEPS,
            still="still",
            back="resume",
            published="publish",
            catalog_container=self.catalog,
        )
        try:
            self.run.execute(task, map_index=-1)
        except Exception as error:
            self.troubles["report", -1] = error
        return self.run.xcom("report", map_index=-1)

    @property
    def verdict(self) -> str | None:
        """With which words the report failed the run; None: it did not."""
        error = self.troubles.get(("report", -1))
        return str(error) if error else None
