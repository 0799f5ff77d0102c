"""The backup of one service: which step waits for which, what goes first, and what a step is told."""

from __future__ import annotations

import copy
import json

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.sdk.bases.sensor import BaseSensorOperator
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization
from biztalk_services.model.errors import AuthenticationError
from biztalk_services.model.options import BACKUP
from biztalk_services.provider.assets import BACKUPS
from biztalk_services.provider.service_runs import FIRST, PUBLISHED, QUIESCED, RECORDED, RESUMED, STEPS
from biztalk_services.provider.settings import Settings
from biztalk_services.provider.waiting import Waiting

from tests.conftest import ROOT
from tests.dags.run_end import cleared, deciding

SETTINGS = Settings()
FORM = {
    "conn_id": "biztalk_default",
    "service": "contoso-west-us/orders",
    "backup_name": "orders-20260101-020000-abcdef",
}


@pytest.fixture
def dag(dags) -> DAG:
    return dags.dags[BACKUP]


def before(dag: DAG, name: str) -> set[str]:
    """The steps right before one."""
    return set(dag.task_dict[name].upstream_task_ids)


def filled(dag: DAG, form: dict[str, object]) -> dict[str, object]:
    params = copy.deepcopy(dag.params)
    params.update(form)
    return dict(params.validate())


class TestRuns:
    def test_only_others_start_it_and_it_is_not_paused(self, dag):
        assert (dag.schedule, dag.catchup, dag.is_paused_upon_creation) == (None, False, False)

    @pytest.mark.parametrize(("slots", "runs"), [("1", 11), ("3", 13), ("25", 50), ("64", 128)])
    def test_more_services_are_at_work_than_may_be_suspended(self, slots, runs, monkeypatch):
        monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__MAX_CONCURRENT_BACKUPS", slots)
        monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__BACKUP_DEADLINE_MINUTES", "77")
        monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__CATALOG_CONTAINER", "elsewhere")
        changed = DagBag(dag_folder=ROOT / f"dags/{BACKUP}.py").dags[BACKUP]
        assert changed.max_active_runs == runs
        assert changed.task_dict["wait_for_slot"].max_parallel == int(slots)
        assert changed.task_dict["wait_for_backup"].deadline_minutes == 77
        assert changed.task_dict["publish_reference"].archive == "biztalk_backup_storage/elsewhere"

    @pytest.mark.parametrize(
        "field",
        [
            {"service": "a/b/c/d"},
            {"service": ""},
            {"service": "{{ 7 * 7 }}"},
            {"conn_id": "two words"},
            {"backup_name": "Orders"},
            {"backup_name": "x"},
            {"start_before": "2026-11-28T04:00:00"},
            {"drain_deadline_minutes": -1},
            {"kind": "safety"},
        ],
    )
    def test_its_form_refuses_invalid_values(self, field, dag):
        assert filled(dag, FORM)["unknown_batches_policy"] == "refuse"
        with pytest.raises(ParamValidationError):
            filled(dag, FORM | field)

    @pytest.mark.parametrize("field", FORM)
    def test_its_form_needs_the_service(self, field, dag):
        with pytest.raises(ParamValidationError):
            filled(dag, {name: value for name, value in FORM.items() if name != field})


class TestOrder:
    def test_all_checks_and_waits_come_before_the_suspension(self, dag):
        assert before(dag, "wait_for_slot") == {"check_backup"}
        assert before(dag, "wait_until_drained") == {"wait_for_slot"}
        assert before(dag, "suspend") == {"wait_until_drained"}

    def test_only_what_must_stands_between_suspension_and_resumption(self, dag):
        suspend, resume = dag.task_dict["suspend"], dag.task_dict["resume"]
        between = suspend.get_flat_relative_ids(upstream=False) & resume.get_flat_relative_ids(upstream=True)
        assert between == {"wait_until_suspended", "recheck_batches", "back_up", "wait_for_backup"}

    def test_verifying_and_publishing_do_not_delay_the_resumption(self, dag):
        later = dag.task_dict["resume"].get_flat_relative_ids(upstream=True)
        assert later.isdisjoint({"verify_backup", "record_inventory"})
        assert before(dag, "verify_backup") == {"wait_for_backup"}
        assert before(dag, "record_inventory") == {"wait_until_suspended"}
        assert before(dag, "publish_reference") == {"verify_backup", "recheck_batches", "record_inventory"}

    def test_the_resumption_is_the_teardown_of_the_suspension(self, dag):
        suspend, resume = dag.task_dict["suspend"], dag.task_dict["resume"]
        assert suspend.is_setup
        assert resume.is_teardown
        assert before(dag, "resume") >= {"suspend", "wait_for_backup", "recheck_batches"}
        assert resume.trigger_rule == "all_done_setup_success"
        assert {task.task_id for task in dag.tasks if task.is_setup or task.is_teardown} == {"suspend", "resume"}

    def test_a_run_is_green_only_when_it_was_published_and_resumed(self, dag):
        assert deciding(dag) == {"publish_reference", "resume"}

    def test_the_resumption_is_retried_for_an_hour(self, dag):
        resume = dag.task_dict["resume"]
        refused = AuthenticationError("The certificate has expired.")
        assert resume.retry_policy.evaluate(refused, 1, resume.retries).action.value == "retry"
        assert dag.task_dict["suspend"].retry_policy.evaluate(refused, 1, 5).action.value == "fail"
        waits = (min(2 * 2**n, resume.max_retry_delay.total_seconds()) for n in range(resume.retries))
        assert sum(waits) >= 3600

    def test_a_clear_takes_no_more_with_it_than_what_follows(self, dag):
        assert cleared(dag, "verify_backup") == {"verify_backup", "publish_reference"}

    def test_every_other_step_runs_only_after_success(self, dag):
        assert {task.trigger_rule for task in dag.tasks if task.task_id != "resume"} == {"all_success"}

    def test_the_report_knows_its_steps(self, dag):
        assert set(STEPS) == set(dag.task_dict) > {FIRST, QUIESCED, RECORDED, RESUMED, PUBLISHED}

    def test_the_evidence_names_tasks_that_come_before(self, dag):
        publish = dag.task_dict["publish_reference"]
        assert set(publish.evidence.values()) <= publish.get_flat_relative_ids(upstream=True)

    def test_only_the_publication_makes_an_asset_event(self, dag):
        assert {task.task_id: task.outlets for task in dag.tasks if task.outlets} == {"publish_reference": [BACKUPS]}


def test_what_stands_still_goes_first(dag):
    """As the scheduler orders what waits for a place: the resumption first, new services last."""
    serialized = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert {task.weight_rule.__class__.__name__ for task in serialized.tasks} == {"_AbsolutePriorityWeightStrategy"}
    weights = {task.task_id: task.priority_weight for task in serialized.tasks}
    assert sorted(weights, key=lambda name: (-weights[name], name)) == [
        "resume",
        *("back_up", "wait_for_backup", "wait_until_suspended"),
        *("recheck_batches", "record_inventory"),
        "suspend",
        *("publish_reference", "verify_backup"),
        *("wait_for_slot", "wait_until_drained"),
        "check_backup",
    ]


class TestFacts:
    def test_no_step_reads_anything_of_another_run(self, dag):
        """Neither the list of the services nor another service's facts."""
        text = json.dumps(DagSerialization.to_dict(dag)["dag"]["tasks"])
        assert "find_services" not in text
        assert {task.service for task in dag.tasks} == {"{{ params.service }}"}
        assert {task.conn_id for task in dag.tasks} == {"{{ params.conn_id }}"}

    def test_nothing_is_mapped(self, dag):
        assert {task.get_closest_mapped_task_group() for task in dag.tasks} == {None}

    def test_every_template_stands_in_a_field_that_is_rendered(self, dag):
        found = 0
        for task in dag.tasks:
            templates = {name for name, value in vars(task).items() if isinstance(value, str) and "{{" in value}
            assert templates <= set(task.template_fields), task.task_id
            found += len(templates)
        assert found > 20

    def test_every_field_of_the_form_reaches_a_step(self, dag):
        text = json.dumps(DagSerialization.to_dict(dag)["dag"]["tasks"])
        assert [name for name in dag.params if f"params.{name}" not in text] == []


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
        assert dag.task_dict[name].deadline_minutes == minutes

    def test_the_form_decides_about_batches(self, dag):
        assert dag.task_dict["wait_until_drained"].deadline_minutes == "{{ params.drain_deadline_minutes }}"

    def test_no_wait_occupies_a_worker_slot(self, dag):
        waits = [task for task in dag.tasks if isinstance(task, Waiting)]
        assert len(waits) == 5
        assert all(type(task).execute is not BaseSensorOperator.execute for task in waits)


def test_it_is_the_same_after_serialization(dag):
    again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    resume = again.task_dict["resume"]
    assert (resume.is_teardown, resume.on_failure_fail_dagrun, resume.retries) == (True, True, 70)
