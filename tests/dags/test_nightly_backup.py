"""The nightly backup: when it runs, what its form takes, and what it consists of."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, CronTriggerTimetable
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import TimeRestriction
from biztalk_services.provider.alerts import AlertNotifier
from biztalk_services.provider.settings import Settings
from biztalk_services.provider.unreported import UnreportedNotifier

from tests.conftest import ROOT
from tests.dags.run_end import cleared, deciding

SETTINGS = Settings()


@pytest.fixture
def dag(dags) -> DAG:
    return dags.dags["biztalk_nightly_backup"]


class TestSchedule:
    def test_it_runs_every_night_by_local_time(self, dag):
        assert isinstance(dag.timetable, CronTriggerTimetable)
        assert dag.timetable.expression == SETTINGS.schedule == "0 2 * * *"
        assert dag.timetable.timezone == SETTINGS.timezone == "Europe/Berlin"

    def test_missed_nights_are_not_made_up_for(self, dag):
        assert dag.catchup is False
        assert dag.timetable.run_immediately == timedelta(0)

    def test_one_night_at_a_time(self, dag):
        assert dag.max_active_runs == 1

    def test_it_follows_the_configuration(self, monkeypatch):
        monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__SCHEDULE", "30 4 * * *")
        monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__TIMEZONE", "America/New_York")
        monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__COMPLETION_WINDOW_MINUTES", "99")
        monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__MAX_CONCURRENT_BACKUPS", "9")
        monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__CATALOG_CONTAINER", "elsewhere")
        changed = DagBag(dag_folder=ROOT / "dags/biztalk_nightly_backup.py").dags["biztalk_nightly_backup"]
        assert (changed.timetable.expression, changed.timetable.timezone) == ("30 4 * * *", "America/New_York")
        back_up = changed.task_dict["back_up_services"]
        assert (back_up.at_once, back_up.window) == (9, timedelta(minutes=99))
        assert changed.task_dict["report"].archive == "biztalk_backup_storage/elsewhere"

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
    def test_it_finds_backs_up_and_reports(self, dag):
        assert {task.task_id: task.upstream_task_ids for task in dag.tasks} == {
            "find_services": set(),
            "back_up_services": {"find_services"},
            "report": {"back_up_services"},
        }
        for task in dag.tasks:
            assert {value for name, value in vars(task).items() if name in ("find", "back_up")} <= set(dag.task_dict)

    def test_the_report_is_the_leaf_that_decides_the_run_state(self, dag):
        (report,) = dag.leaves
        assert report.task_id == "report"
        assert report.trigger_rule == "all_done_setup_success"
        assert (report.is_teardown, report.on_failure_fail_dagrun) == (True, True)
        assert not any(task.is_setup for task in dag.tasks)
        assert deciding(dag) == {"report"}
        assert cleared(dag, "report") == {"report"}

    def test_its_steps_go_before_the_first_ones_of_the_services(self, dag, dags):
        first = dags.dags["biztalk_backup"].task_dict["check_backup"]
        for task in dag.tasks:
            assert task.priority_weight > first.priority_weight
            assert task.weight_rule == "absolute"

    def test_it_waits_for_runs_that_begin_at_the_end_of_the_window(self, dag):
        back_up = dag.task_dict["back_up_services"]
        longest = SETTINGS.longest_wait_before_suspension + SETTINGS.longest_suspension
        assert (back_up.window, back_up.longest_run) == (SETTINGS.completion_window, longest)

    def test_more_runs_are_started_than_are_at_work(self, dag, dags):
        """And not all of a large fleet, whose order Airflow would not keep."""
        at_work = dags.dags["biztalk_backup"].max_active_runs
        assert at_work < dag.task_dict["back_up_services"].ahead <= 3 * at_work


def test_it_is_the_same_after_serialization(dag):
    again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    report = again.task_dict["report"]
    assert (report.is_teardown, report.on_failure_fail_dagrun) == (True, True)
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
        assert templates <= set(task.template_fields), task.task_id
        found += len(templates)
    assert found
