"""The restore: what its form takes, which step waits for which, and what is never done twice."""

from __future__ import annotations

import copy

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError
from biztalk_services.drivers.biztalk.options import BizTalkOverrides
from biztalk_services.model.requests import RestoreRequest
from biztalk_services.provider.alerts import AlertNotifier
from biztalk_services.provider.operators.approval import ApprovePlanOperator
from biztalk_services.provider.settings import Settings
from biztalk_services.provider.unreported import UnreportedNotifier

from tests.dags.run_end import deciding

SETTINGS = Settings()
CHANGES = {"replace.suspend", "replace.back_up", "replace.delete", "delete_without_backup.delete", "restore"}


@pytest.fixture
def dag(dags) -> DAG:
    return dags.dags["biztalk_restore"]


def upstream(dag: DAG, name: str) -> set[str]:
    """Everything that comes before a step."""
    return dag.task_dict[name].get_flat_relative_ids(upstream=True)


class TestForm:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("service", "ContosoRetail"),
            ("backup", "contosoretail-20261125-020000"),
            ("backup", None),
            ("backup", {"schema_version": 1}),
            ("target_name", "contosocopy"),
            ("edition", "premium"),
            ("edition", None),
            ("unit_count", 8),
            ("existing_service_policy", "replace"),
            ("control_numbers", "exact"),
            ("margin", 0),
            ("acs_conn_id", "biztalk_acs_other"),
            ("resume_afterwards", True),
            ("plan_only", True),
        ],
    )
    def test_it_takes(self, name, value, dag):
        self.fill(dag, name, value)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("service", ""),
            ("service", None),
            ("service", "../contosoorders"),
            ("service", "a/b/c/contosoorders"),
            ("service", "{{ 7 * 7 }}"),
            ("target_name", "two words"),
            ("target_name", "under_score"),
            ("edition", "developer"),
            ("edition", "free"),
            ("edition", "Premium"),
            ("unit_count", 0),
            ("unit_count", 9),
            ("existing_service_policy", "delete"),
            ("without_safety_backup", "perhaps"),
            ("control_numbers", "lower"),
            ("margin", -1),
            ("approval_hours", 0),
            ("approval_hours", 721),
            ("acs_conn_id", "AccountKey=abc"),
            ("monitoring_conn_id", "a b"),
            ("resume_afterwards", 1),
        ],
    )
    def test_it_refuses_invalid_values(self, name, value, dag):
        with pytest.raises(ParamValidationError):
            self.fill(dag, name, value)

    @staticmethod
    def fill(dag: DAG, name: str, value: object) -> None:
        params = copy.deepcopy(dag.params)
        params["service"] = "contosoorders"
        params[name] = value
        params.validate()

    def test_it_has_a_field_for_every_choice_and_no_other(self, dag):
        choices = {*RestoreRequest.__dataclass_fields__} - {"overrides"} | {*BizTalkOverrides.__dataclass_fields__}
        assert set(dag.params) == {*choices, "plan_only", "approval_hours"}

    def test_the_defaults_are_the_careful_ones(self, dag):
        params = copy.deepcopy(dag.params)
        params["service"] = "contosoorders"
        request = RestoreRequest.from_form(params.validate(), BizTalkOverrides.__dataclass_fields__)
        assert request == RestoreRequest(service="contosoorders")
        assert (request.existing_service_policy, request.control_numbers) == ("refuse", "raise")
        assert (request.resume_afterwards, request.without_safety_backup) == (False, False)


class TestOrder:
    def test_it_is_started_by_hand_only(self, dag):
        assert dag.timetable.can_be_scheduled is False
        (alert,) = dag.task_dict["report"].on_failure_callback
        assert type(alert) is AlertNotifier
        for callback in (dag.on_success_callback, dag.on_failure_callback):
            assert isinstance(callback, UnreportedNotifier)
            assert callback.report == "report"

    @pytest.mark.parametrize("change", sorted(CHANGES))
    def test_changes_come_after_approval_and_second_plan(self, change, dag):
        assert {"plan", "approval", "confirm_plan"} <= upstream(dag, change)

    def test_the_approval_waits_for_a_person_and_has_a_deadline(self, dag):
        approval = dag.task_dict["approval"]
        assert isinstance(approval, ApprovePlanOperator)
        assert approval.hours == "{{ params.approval_hours }}"
        assert dag.params["approval_hours"] == SETTINGS.approval_hours == 24
        assert approval.retries == 2
        assert approval.execution_timeout is None
        assert approval.plan == dag.task_dict["plan"].output

    def test_deletion_comes_after_the_published_safety_backup(self, dag):
        delete = dag.task_dict["replace.delete"]
        assert delete.upstream_task_ids == {"plan", "replace.publish_reference", "replace.wait_until_suspended"}
        assert delete.trigger_rule == "all_success"
        assert {"replace.verify_backup", "replace.recheck_batches"} <= upstream(dag, "replace.publish_reference")

    def test_an_existing_service_that_is_not_deleted_is_resumed(self, dag):
        resume = dag.task_dict["replace.resume_unless_deleted"]
        assert resume.is_teardown
        assert resume.on_failure_fail_dagrun is False
        assert {"replace.delete", "replace.wait_until_deleted"} <= upstream(dag, "replace.resume_unless_deleted")
        assert dag.task_dict["replace.suspend"].is_setup

    def test_the_restore_starts_when_any_way_has_freed_the_name(self, dag):
        clear = dag.task_dict["name_is_free"]
        ways = {"free_the_name", "replace.wait_until_deleted", "delete_without_backup.wait_until_deleted"}
        assert clear.upstream_task_ids == ways
        assert clear.trigger_rule == "none_failed_min_one_success"
        assert "name_is_free" in dag.task_dict["restore"].upstream_task_ids

    def test_every_other_step_runs_only_after_success(self, dag):
        special = {"name_is_free", "report", "replace.resume_unless_deleted"}
        assert {task.trigger_rule for task in dag.tasks if task.task_id not in special} == {"all_success"}

    def test_only_the_confirmation_gives_the_address_to_change(self, dag):
        steps = [task for task in dag.tasks if hasattr(task, "service")]
        assert {task.task_id for task in steps} >= CHANGES
        assert {task.service for task in steps} == {
            "{{ ti.xcom_pull(task_ids='confirm_plan', map_indexes=-1)['service'] }}"
        }

    def test_resumption_comes_after_verification_and_numbers(self, dag):
        assert {"verify_restore", "advance_control_numbers"} <= upstream(dag, "resume_if_requested")

    def test_the_first_numbers_are_looked_at_behind_the_resumption(self, dag):
        look = dag.task_dict["first_numbers"]
        assert look.upstream_task_ids >= {"resume_if_requested", "advance_control_numbers", "wait_for_restore"}
        assert (
            (look.count, look.deadline_minutes) == (SETTINGS.first_numbers, SETTINGS.first_numbers_minutes) == (20, 30)
        )
        assert "first_numbers" not in dag.task_dict["report"].restore_steps.required

    def test_the_report_is_the_last_step_and_knows_all_steps(self, dag):
        (report,) = dag.leaves
        assert (report.task_id, report.trigger_rule) == ("report", "all_done_setup_success")
        assert (report.is_teardown, report.on_failure_fail_dagrun) == (True, True)
        assert not any(task.is_setup for task in report.upstream_list)
        assert deciding(dag) == {"report"}
        assert {*report.restore_steps.all, "report"} == set(dag.task_dict)
        known = report.restore_steps
        named = {*known.changes, *known.deletions, *known.deletions.values(), *known.required, known.look}
        assert {*named, *report.sources.values()} <= set(dag.task_dict)
        assert "replace.resume_unless_deleted" in report.upstream_task_ids


def test_every_template_stands_in_a_field_that_is_rendered(dag):
    for task in dag.tasks:
        templates = {name for name, value in vars(task).items() if isinstance(value, str) and "{{" in value}
        assert templates <= set(task.template_fields), task.task_id
