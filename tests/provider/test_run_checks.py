"""Runs that would do something else than what they were started for are refused before anything is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock
from uuid import uuid4

import pytest
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms
from biztalk_services.flows.restore_report import PLANNED, REFUSED
from biztalk_services.model.checks import RefusedError
from biztalk_services.provider.operators.backup import CheckBackupOperator
from biztalk_services.provider.operators.find import ALL_SERVICES, FindServicesOperator

from tests.provider.connections import NAME, SERVICE
from tests.provider.fakes import Run
from tests.provider.surroundings import Surroundings
from tests.provider.walk import Night, Restoration, ServiceBackup

LAST_YEAR = datetime.now(UTC) - timedelta(days=365)
NEXT_YEAR = datetime.now(UTC) + timedelta(days=365)

OTHER_MOMENTS = [
    {"run_type": "backfill", "logical_date": LAST_YEAR, "run_after": LAST_YEAR},
    {"run_type": "backfill", "logical_date": None},
    {"run_type": "asset_triggered"},
    {"run_type": "asset_materialization"},
    {"run_type": "of_a_newer_airflow"},
    {"run_type": "manual", "logical_date": LAST_YEAR},
    {"run_type": "manual", "logical_date": NEXT_YEAR},
    {"run_type": "manual", "logical_date": LAST_YEAR, "run_after": LAST_YEAR},
    {"run_type": "manual", "run_after": LAST_YEAR},
    {"run_type": "operator_triggered", "logical_date": LAST_YEAR},
]


def shown(of_run: dict[str, Any]) -> str:
    return ",".join(str(value.year) if isinstance(value, datetime) else str(value) for value in of_run.values())


@contextmanager
def in_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As ``airflow dags test`` carries steps out."""
    comms = InProcessSupervisorComms(supervisor=Mock())
    with monkeypatch.context() as patch:
        patch.setattr(task_runner, "SUPERVISOR_COMMS", comms, raising=False)
        yield


class TestBackup:
    pytestmark = pytest.mark.usefixtures("connections", "clock")

    @staticmethod
    def found(run: Run, form: dict[str, Any] | None = None) -> Night:
        """A night whose services were to be found."""
        return Night(run, NAME, container=f"archive-{uuid4().hex[:12]}", form=form)

    def refused(self, night: Night, *rules: str) -> str:
        """That a run was refused, with these rules, and nothing was done."""
        error = night.errors["find_services"]
        assert isinstance(error, RefusedError)
        assert [check.rule for check in error.broken] == list(rules)
        assert night.xcom("find_services", ALL_SERVICES) is None
        night.all()
        assert f"nothing was done. {error}" in night.failure
        return str(error)

    def test_a_run_of_now(self):
        for logical_date in (None, datetime.now(UTC)):
            assert self.found(Run(logical_date=logical_date)).errors == {}

    @pytest.mark.parametrize("of_run", OTHER_MOMENTS, ids=shown)
    def test_another_moment_is_refused_unless_asked_for(self, of_run, requests):
        night = self.found(Run(**of_run))
        assert "run_for_another_moment" in self.refused(night, "run-is-of-now")
        assert requests("suspend") == []
        assert self.found(Run(**of_run), {"run_for_another_moment": True}).errors == {}

    def test_a_dag_without_a_form_may_be_started_with_anything(self, run):
        run.conf = {"service": [NAME]}
        assert run.execute(FindServicesOperator(task_id="find"), map_index=-1)

    def test_a_field_that_does_not_exist(self):
        night = self.found(Run(), {})
        night.run.conf = {"service": [NAME], "lable": "x"}
        night.run.states.clear()
        night.run.xcoms.clear()
        night.step("find_services")
        assert "no field lable, service; it has services, run_for_another_moment, label" in self.refused(
            night, "form-fields"
        )

    def test_a_form_that_does_not_reach_the_run(self):
        """As with Airflow's option dag_run_conf_overrides_params set to False: all services would be backed up."""
        night = self.found(Run())
        night.run.params["services"] = None
        night.run.states.clear()
        night.run.xcoms.clear()
        night.step("find_services")
        assert "dag_run_conf_overrides_params" in self.refused(night, "form-agrees")

    def test_all_broken_rules_are_told_at_once(self, monkeypatch):
        night = self.found(Run(run_type="backfill"))
        night.run.conf = {"service": [NAME], "services": ["another"]}
        night.run.states.clear()
        night.run.xcoms.clear()
        with in_process(monkeypatch):
            night.step("find_services")
        self.refused(night, "form-fields", "form-agrees", "run-is-of-now", "real-run")

    def test_dags_test_is_refused(self, monkeypatch, requests):
        with in_process(monkeypatch):
            night = self.found(Run())
            assert "start a run by hand with one service" in self.refused(night, "real-run")
        assert requests("suspend") == []

    def test_dags_test_with_an_executor_is_refused(self):
        self.refused(self.found(Run(triggering_user_name="dag_test")), "real-run")

    def test_a_step_that_is_tried_alone_is_refused(self, run, monkeypatch):
        """By ``airflow tasks test``."""
        step = CheckBackupOperator(task_id="check", service=SERVICE, backup_name="never-taken")
        with in_process(monkeypatch), pytest.raises(RefusedError, match="real-run") as caught:
            run.execute(step)
        assert run.xcom("check", "failure") == str(caught.value)


class TestServiceRun:
    """The run of one service, which a nightly run or a person has started."""

    pytestmark = pytest.mark.usefixtures("connections", "clock")

    @staticmethod
    def check(
        form: dict[str, Any] | None = None, options: dict[str, Any] | None = None, **of_run: Any
    ) -> ServiceBackup:
        """A run whose first step was carried out."""
        service = {"conn_id": "biztalk_default", "service": SERVICE, "backup_name": f"{NAME}-{uuid4().hex[:12]}"}
        run = Run(**{"run_type": "operator_triggered", "conf": service | (form or {})} | of_run)
        archive = f"biztalk_backup_storage/archive-{uuid4().hex[:12]}"
        return ServiceBackup(run, archive, {"check_backup": options or {}}).until("wait_for_slot")

    def refused(self, walk: ServiceBackup, *rules: str) -> str:
        """That a run was refused, with these rules, and none of its steps was carried out."""
        error = walk.errors["check_backup"]
        assert isinstance(error, RefusedError)
        assert [check.rule for check in error.broken] == list(rules)
        walk.all()
        assert set(walk.errors) == {"check_backup"}
        assert walk.run.state == "failed"
        return str(error)

    def test_a_run_of_now(self):
        assert self.check({"start_before": NEXT_YEAR.isoformat(timespec="seconds")}).errors == {}
        assert self.check(run_type="manual").errors == {}

    def test_one_that_waited_too_long_is_refused(self, requests):
        late = {"start_before": LAST_YEAR.isoformat(timespec="seconds")}
        assert "was to start before" in self.refused(self.check(late), "start-window")
        assert requests("suspend") == []

    @pytest.mark.parametrize("of_run", [OTHER_MOMENTS[0], OTHER_MOMENTS[-1]], ids=shown)
    def test_another_moment_is_refused(self, of_run):
        self.refused(self.check(**of_run), "run-is-of-now")

    def test_bad_options_are_refused(self):
        problems = {"problems": ["Option resume_deadline_minutes is 'soon', which is no number."]}
        assert "resume_deadline_minutes" in self.refused(self.check(options=problems), "options")

    def test_a_field_that_does_not_exist(self):
        assert "no field services; it has conn_id, service" in self.refused(
            self.check({"services": [NAME]}), "form-fields"
        )

    def test_a_form_that_does_not_reach_the_run(self):
        walk = self.check()
        walk.run.params["service"] = None
        walk.states.clear()
        assert "dag_run_conf_overrides_params" in self.refused(walk.until("wait_for_slot"), "form-agrees")

    def test_what_is_known_against_the_service_is_refused(self):
        assert "Two of this name." in self.refused(self.check({"problem": "Two of this name."}), "batches-told-apart")

    def test_dags_test_is_refused(self, monkeypatch, requests):
        with in_process(monkeypatch):
            walk = self.check()
        assert "real-run" in str(walk.errors["check_backup"])
        assert requests("suspend") == []


class TestRestore:
    pytestmark = pytest.mark.usefixtures("around")

    @staticmethod
    def refused(restoration: Restoration, around: Surroundings) -> str:
        since = around.mark()
        restoration.all()
        assert isinstance(restoration.errors["plan"], RefusedError)
        assert restoration.xcom("plan") is None
        assert restoration.outcome["outcome"] == REFUSED
        assert around.changes(since) == []
        return restoration.failure

    @pytest.mark.parametrize("of_run", OTHER_MOMENTS, ids=shown)
    def test_another_moment_is_refused(self, of_run, around):
        assert "run-is-of-now" in self.refused(Restoration(Run(**of_run), service=NAME), around)

    @pytest.mark.parametrize("of_run", [OTHER_MOMENTS[0], OTHER_MOMENTS[2]], ids=shown)
    def test_any_run_may_plan(self, of_run, around, origin):
        form = form_of(origin, plan_only=True)
        assert Restoration(Run(**of_run), **form).all().outcome["outcome"] == PLANNED

    def test_a_form_that_does_not_reach_the_run(self, around):
        restoration = Restoration(Run(), service=NAME)
        restoration.run.conf |= {"servce": NAME, "target_name": "copy"}
        failure = self.refused(restoration, around)
        assert "no field servce" in failure
        assert "What the form says of target_name does not reach the steps" in failure

    def test_dags_test_may_only_plan(self, around, origin, monkeypatch):
        with in_process(monkeypatch):
            assert "set plan_only" in self.refused(Restoration(Run(), service=NAME), around)
            assert Restoration(Run(), **form_of(origin, plan_only=True)).all().outcome["outcome"] == PLANNED

    def test_the_confirmation_is_refused_in_dags_test_too(self, around, origin, monkeypatch):
        restoration = Restoration(Run(), **form_of(origin)).until("confirm_plan")
        with in_process(monkeypatch):
            restoration.all()
        assert "real-run" in restoration.failure
        assert restoration.failure.endswith("Nothing was changed.")


def form_of(origin: dict[str, Any], **form: Any) -> dict[str, Any]:
    """Of a restore to the same name, of the backup that the world around is as at."""
    return {"service": NAME, "backup": origin["container"], "existing_service_policy": "replace"} | form
