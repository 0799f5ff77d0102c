"""The nightly backup: when it runs, what its form takes, and which step waits for which."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, CronTriggerTimetable
from airflow.sdk.bases.sensor import BaseSensorOperator
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import TimeRestriction
from biztalk_services.model.errors import AuthenticationError
from biztalk_services.provider.alerts import AlertNotifier
from biztalk_services.provider.assets import BACKUPS
from biztalk_services.provider.settings import Settings
from biztalk_services.provider.unreported import UnreportedNotifier
from biztalk_services.provider.waiting import Waiting

from tests.conftest import ROOT
from tests.dags.run_end import cleared, deciding

SETTINGS = Settings()
GROUP = "service"


@pytest.fixture
def dag(dags) -> DAG:
    return dags.dags["biztalk_nightly_backup"]


def step(dag: DAG, name: str):
    return dag.task_dict[f"{GROUP}.{name}"]


def before(dag: DAG, name: str) -> set[str]:
    """The steps of the group right before one."""
    return {task_id.removeprefix(f"{GROUP}.") for task_id in step(dag, name).upstream_task_ids}


class TestSchedule:
    def test_it_runs_every_night_by_local_time(self, dag):
        assert isinstance(dag.timetable, CronTriggerTimetable)
        assert dag.timetable.expression == SETTINGS.schedule == "0 2 * * *"
        assert dag.timetable.timezone == SETTINGS.timezone == "Europe/Berlin"

    def test_missed_nights_are_not_made_up_for(self, dag):
        assert dag.catchup is False
        assert dag.timetable.run_immediately == timedelta(0)

    def test_one_night_at_a_time_with_room_for_every_wait(self, dag):
        assert dag.max_active_runs == 1
        assert dag.max_active_tasks >= 32

    def test_it_follows_the_configuration(self, monkeypatch):
        monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__SCHEDULE", "30 4 * * *")
        monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__TIMEZONE", "America/New_York")
        monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__MAX_CONCURRENT_BACKUPS", "9")
        monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__BACKUP_DEADLINE_MINUTES", "77")
        monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__CATALOG_CONTAINER", "elsewhere")
        changed = DagBag(dag_folder=ROOT / "dags/biztalk_nightly_backup.py").dags["biztalk_nightly_backup"]
        assert (changed.timetable.expression, changed.timetable.timezone) == ("30 4 * * *", "America/New_York")
        assert step(changed, "wait_for_slot").max_parallel == 9
        assert step(changed, "wait_for_backup").deadline_minutes == 77
        assert step(changed, "publish_reference").archive == "biztalk_backup_storage/elsewhere"

    def test_alerts_are_sent_when_it_fails_or_takes_too_long(self, dag):
        (alert,) = dag.task_dict["report"].on_failure_callback
        assert type(alert) is AlertNotifier
        for callback in (dag.on_success_callback, dag.on_failure_callback):
            assert isinstance(callback, UnreportedNotifier)
            assert callback.report == "report"
        (deadline,) = dag.deadline
        assert deadline.interval == timedelta(minutes=SETTINGS.completion_window_minutes)


class TestForm:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("services", []),
            ("services", ["contosoorders", "Contoso_EDI.1-a"]),
            ("label", "before the move, übermorgen"),
            ("drain_deadline_minutes", 0),
            ("drain_deadline_minutes", 720),
            ("batches_are_empty", True),
            ("unknown_batches_policy", "proceed"),
            ("refilled_batches_policy", "fail"),
        ],
    )
    def test_it_takes(self, name, value, dag):
        self.fill(dag, name, value)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("services", "contosoorders"),
            ("services", ["two words"]),
            ("services", ["../../etc"]),
            ("services", ["a/b/c/d"]),
            ("services", ["contoso-west//orders"]),
            ("kind", "safety"),
            ("start_before", "tomorrow"),
            ("start_before", "2026-11-28T04:00:00"),
            ("services", ["{{ 7 * 7 }}"]),
            ("services", ["x" * 65]),
            ("services", [""]),
            ("services", [7]),
            ("label", "x" * 201),
            ("label", 7),
            ("drain_deadline_minutes", -1),
            ("drain_deadline_minutes", 721),
            ("drain_deadline_minutes", "soon"),
            ("drain_deadline_minutes", 1.5),
            ("batches_are_empty", "perhaps"),
            ("unknown_batches_policy", "guess"),
            ("refilled_batches_policy", ""),
        ],
    )
    def test_it_refuses_invalid_values(self, name, value, dag):
        with pytest.raises(ParamValidationError):
            self.fill(dag, name, value)

    @staticmethod
    def fill(dag: DAG, name: str, value: object) -> None:
        params = copy.deepcopy(dag.params)
        params[name] = value
        params.validate()

    def test_the_defaults_are_the_careful_ones(self, dag):
        form = dag.params.dump()
        assert form["unknown_batches_policy"] == "refuse"
        assert form["batches_are_empty"] is False
        assert form["drain_deadline_minutes"] == SETTINGS.drain_deadline_minutes


class TestOrder:
    def test_all_checks_and_waits_come_before_the_suspension(self, dag):
        assert before(dag, "wait_for_slot") == {"check_backup"}
        assert before(dag, "wait_until_drained") == {"wait_for_slot"}
        assert before(dag, "suspend") == {"wait_until_drained"}

    def test_only_what_must_stands_between_suspension_and_resumption(self, dag):
        suspend, resume = step(dag, "suspend"), step(dag, "resume")
        between = suspend.get_flat_relative_ids(upstream=False) & resume.get_flat_relative_ids(upstream=True)
        assert {task_id.removeprefix(f"{GROUP}.") for task_id in between} == {
            "wait_until_suspended",
            "recheck_batches",
            "back_up",
            "wait_for_backup",
        }

    def test_verifying_and_publishing_do_not_delay_the_resumption(self, dag):
        later = step(dag, "resume").get_flat_relative_ids(upstream=True)
        assert f"{GROUP}.verify_backup" not in later
        assert before(dag, "verify_backup") == {"wait_for_backup"}
        assert f"{GROUP}.record_inventory" not in later
        assert before(dag, "record_inventory") == {"wait_until_suspended"}
        assert before(dag, "publish_reference") == {"verify_backup", "recheck_batches", "record_inventory"}

    def test_the_resumption_is_the_teardown_of_the_suspension(self, dag):
        suspend, resume = step(dag, "suspend"), step(dag, "resume")
        assert suspend.is_setup
        assert resume.is_teardown
        assert resume.on_failure_fail_dagrun is False
        assert before(dag, "resume") >= {"suspend", "wait_for_backup", "recheck_batches"}
        assert resume.trigger_rule == "all_done_setup_success"

    def test_no_other_task_is_setup_or_teardown(self, dag):
        special = {task.task_id for task in dag.tasks if task.is_setup or task.is_teardown}
        assert special == {f"{GROUP}.suspend", f"{GROUP}.resume", "report"}

    def test_the_resumption_is_retried_for_an_hour(self, dag):
        resume = step(dag, "resume")
        refused = AuthenticationError("The certificate has expired.")
        assert resume.retry_policy.evaluate(refused, 1, resume.retries).action.value == "retry"
        assert step(dag, "suspend").retry_policy.evaluate(refused, 1, 5).action.value == "fail"
        waits = (min(2 * 2**n, resume.max_retry_delay.total_seconds()) for n in range(resume.retries))
        assert sum(waits) >= 3600

    def test_the_report_is_the_leaf_that_decides_the_run_state(self, dag):
        (report,) = dag.leaves
        assert report.task_id == "report"
        assert report.upstream_task_ids == {f"{GROUP}.publish_reference", f"{GROUP}.resume", "start_further_runs"}
        assert report.trigger_rule == "all_done_setup_success"
        assert (report.is_teardown, report.on_failure_fail_dagrun) == (True, True)
        assert not any(task.is_setup for task in report.upstream_list)
        assert deciding(dag) == {"report"}

    def test_a_clear_takes_no_more_with_it_than_what_follows(self, dag):
        assert cleared(dag, "report") == {"report"}
        assert cleared(dag, f"{GROUP}.verify_backup") == {
            f"{GROUP}.verify_backup",
            f"{GROUP}.publish_reference",
            "report",
        }

    def test_every_other_step_runs_only_after_success(self, dag):
        others = [task for task in dag.tasks if task.task_id not in ("report", f"{GROUP}.resume")]
        assert {task.trigger_rule for task in others} == {"all_success"}

    def test_the_report_knows_every_step_in_order(self, dag):
        report = dag.task_dict["report"]
        assert set(report.steps) == {task.task_id for task in dag.tasks if task.task_id.startswith(f"{GROUP}.")}
        for task_id in report.steps:
            earlier = dag.task_dict[task_id].get_flat_relative_ids(upstream=True) & set(report.steps)
            assert {report.steps.index(each) for each in earlier} <= set(range(report.steps.index(task_id)))
        for named in (report.quiesced, report.resumed, report.published):
            assert named in dag.task_dict
        assert report.find in dag.task_dict

    def test_evidence_and_slots_name_tasks_that_exist(self, dag):
        publish, slot = step(dag, "publish_reference"), step(dag, "wait_for_slot")
        earlier = publish.get_flat_relative_ids(upstream=True)
        assert set(publish.evidence.values()) <= earlier
        assert {slot.exempt_task_id, slot.release_task_id} <= set(dag.task_dict)

    def test_only_the_publication_makes_an_asset_event(self, dag):
        assert {task.task_id: task.outlets for task in dag.tasks if task.outlets} == {
            f"{GROUP}.publish_reference": [BACKUPS]
        }

    def test_every_service_has_steps_of_its_own_that_bear_its_name(self, dag):
        for task in dag.tasks:
            if task.task_id.startswith(f"{GROUP}."):
                assert task.get_closest_mapped_task_group().group_id == GROUP
                assert "task.service" in task.map_index_template


class TestDeadlines:
    @pytest.mark.parametrize(
        ("name", "minutes"),
        [
            ("wait_for_slot", SETTINGS.completion_window_minutes),
            ("wait_until_suspended", SETTINGS.suspend_deadline_minutes),
            ("wait_for_backup", SETTINGS.backup_deadline_minutes),
            ("resume", SETTINGS.resume_deadline_minutes),
        ],
    )
    def test_every_wait_ends(self, name, minutes, dag):
        assert step(dag, name).deadline_minutes == minutes

    def test_the_form_decides_about_batches(self, dag):
        assert step(dag, "wait_until_drained").deadline_minutes == "{{ params.drain_deadline_minutes }}"

    def test_no_wait_occupies_a_worker_slot(self, dag):
        waits = [task for task in dag.tasks if isinstance(task, Waiting)]
        assert len(waits) == 5
        assert all(type(task).execute is not BaseSensorOperator.execute for task in waits)


def test_it_is_the_same_after_serialization(dag):
    again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    resume = again.task_dict[f"{GROUP}.resume"]
    assert (resume.is_teardown, resume.on_failure_fail_dagrun, resume.retries) == (True, False, 70)
    assert again.timetable.summary == "0 2 * * *"


def test_runs_begin_at_two_by_the_clock_in_summer_and_winter(dag):
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    begins = []
    for noon in (datetime(2026, 1, 10, 12, tzinfo=UTC), datetime(2026, 7, 10, 12, tzinfo=UTC)):
        restriction = TimeRestriction(earliest=noon, latest=None, catchup=True)
        run = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
        begins.append(run.run_after.astimezone(UTC))
    assert begins == [datetime(2026, 1, 11, 1, tzinfo=UTC), datetime(2026, 7, 11, 0, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("before", "nights"),
    [
        (datetime(2026, 3, 27, 12, tzinfo=UTC), ["28 01:00", "29 01:00", "30 00:00"]),
        (datetime(2026, 10, 23, 12, tzinfo=UTC), ["24 00:00", "25 01:00", "26 01:00"]),
    ],
    ids=["02:00 is left out", "02:00 comes twice"],
)
def test_the_night_in_which_the_clock_is_changed_has_one_run(dag, before, nights):
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    found, last = [], None
    for _ in nights:
        restriction = TimeRestriction(earliest=before, latest=None, catchup=True)
        run = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        last = run.data_interval
        found.append(f"{run.run_after.astimezone(UTC):%d %H:%M}")
    assert found == nights


def test_every_template_stands_in_a_field_that_is_rendered(dag):
    found = 0
    for task in dag.tasks:
        templates = {name for name, value in vars(task).items() if isinstance(value, str) and "{{" in value}
        assert templates <= {*task.template_fields, "map_index_template"}, task.task_id
        found += len(templates)
    assert found > 20
