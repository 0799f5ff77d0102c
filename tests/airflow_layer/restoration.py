"""A restore as dags/biztalk_restore.py strings it: its own steps, templates and trigger rules, one after another in
here."""

from __future__ import annotations

import copy
import json
import runpy
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from airflow.sdk import DAG, BaseOperator
from airflow.sdk.execution_time.context import NEVER_EXPIRE
from biztalk_services.model.errors import BackupServiceError

from tests.airflow_layer.fakes import Run
from tests.conftest import ROOT

ANSWER = {
    "params_input": {},
    "responded_at": datetime(2026, 1, 1, 2, tzinfo=UTC),
    "responded_by_user": {"id": "1", "name": "ada"},
    "timedout": False,
}
MOST_TRIES = 8
LONGEST_PAUSE = 0.1
"""Seconds that a pause before another try really takes."""

_DONE_WELL, _SKIPPED = "success", "skipped"


@cache
def restore_dag() -> DAG:
    return runpy.run_path(str(ROOT / "dags" / "biztalk_restore.py"))["dag"]


class Restoration:
    """One run of the DAG.

    :param run: the run; a step that has a state already is not run again.
    :param form: what the form says; what it leaves out has its default.
    """

    def __init__(self, run: Run, **form: Any) -> None:
        self.run, self.dag = run, restore_dag()
        run.dag_id = self.dag.dag_id
        self.troubles: dict[str, Exception] = {}
        params = copy.deepcopy(self.dag.params)
        params.update(form)
        run.params = dict(params.validate())

    def all(self, *, approved: bool = True, meanwhile: Callable[[], Any] = lambda: None) -> Restoration:
        """Every step that has not run yet.

        :param approved: whether the person approves.
        :param meanwhile: what happens while the person reads the plan.
        """
        return self.until("", approved=approved, meanwhile=meanwhile)

    def until(self, last: str, *, approved: bool = True, meanwhile: Callable[[], Any] = lambda: None) -> Restoration:
        """Every step that has not run yet, up to one of them, which does not run."""
        for task in self.dag.topological_sort():
            if task.task_id == last:
                break
            if task.task_id in self.run.states:
                continue
            if task.task_id == "approval" and self._decided(task) == "run":
                meanwhile()
                self._approve(task, approved)
            else:
                self.step(task.task_id)
        return self

    def step(self, task_id: str) -> Any:
        """One step with all its tries, unless what it needs keeps it from running."""
        task = self.dag.get_task(task_id)
        decided = self._decided(task)
        if decided != "run":
            self.run.states[task_id] = decided
        elif task_id == "unless_plan_only":
            self._branch(task, task.python_callable(params=self.run.params) or None)
        elif task_id == "free_the_name":
            self._branch(task, task.python_callable(plan=self.said("plan")))
        else:
            return self._tried(task)
        return None

    def task(self, task_id: str) -> BaseOperator:
        """A step as it runs: its templates filled from what the others have left."""
        task = copy.copy(self.dag.get_task(task_id))
        task.render_template_fields(self.run.context(task_id, -1))
        return task

    def said(self, task_id: str, key: str = "return_value") -> Any:
        return self.run.xcom(task_id, key, -1)

    @property
    def states(self) -> dict[str, str | None]:
        return self.run.states

    @property
    def outcome(self) -> dict[str, Any]:
        """What the report says."""
        return self.said("report")

    @property
    def verdict(self) -> str | None:
        """With which words the report failed the run; None: it did not."""
        error = self.troubles.get("report")
        return str(error) if error else None

    def _tried(self, task: BaseOperator) -> Any:
        for tried in range(1, MOST_TRIES + 1):
            try:
                value = self.run.execute(self.task(task.task_id), map_index=-1)
            except Exception as error:
                self.troubles[task.task_id] = error
                if tried > task.retries or not self._again(task, error, tried):
                    return None
            else:
                self.troubles.pop(task.task_id, None)
                return value
        return None

    @staticmethod
    def _again(task: BaseOperator, error: Exception, tried: int) -> bool:
        if not isinstance(error, BackupServiceError):
            return False
        decision = task.retry_policy.evaluate(error, tried, task.retries)
        if decision.action.value == "retry":
            time.sleep(min(decision.retry_delay.total_seconds() if decision.retry_delay else 0.0, LONGEST_PAUSE))
        return decision.action.value == "retry"

    def _approve(self, task: BaseOperator, approved: bool) -> None:
        asked = self.task("approval")
        assert self.said("plan", "document") == asked.body
        assert "{{" not in asked.subject
        context, event = (
            self.run.context("approval", -1),
            ANSWER | {"chosen_options": ["Approve" if approved else "Reject"]},
        )
        # What the task does before it waits, but for asking Airflow to show it.
        context["task_state_store"].set("shown", asked.plan_hash, retention=NEVER_EXPIRE)
        try:
            self.run.xcoms["approval", -1, "return_value"] = json.loads(
                json.dumps(asked.execute_complete(context, event), default=str)
            )
            self.run.states["approval"] = "success"
        except Exception as error:
            self.troubles["approval"] = error
            self.run.states["approval"] = "failed"

    def _branch(self, task: BaseOperator, chosen: Any) -> None:
        """Skips what follows directly and neither was chosen nor follows that; True chooses all, None nothing."""
        kept = set(task.downstream_task_ids) if chosen is True else set()
        if isinstance(chosen, str):
            kept = {chosen, *self.dag.get_task(chosen).get_flat_relative_ids(upstream=False)}
        for name in task.downstream_task_ids - kept:
            self.run.states[name] = _SKIPPED
        self.run.states[task.task_id] = "success"

    def _decided(self, task: BaseOperator) -> str:
        """What the trigger rule of a step makes of it: ``run``, ``skipped`` or ``upstream_failed``."""
        before = [self.run.states.get(name) for name in sorted(task.upstream_task_ids)]
        assert None not in before, f"{task.task_id} has its turn before {task.upstream_task_ids}"
        setups = [self.run.states[name] for name in task.upstream_task_ids if self.dag.get_task(name).is_setup]
        bad = any(state in ("failed", "upstream_failed") for state in before)
        match getattr(task.trigger_rule, "value", task.trigger_rule):
            case "all_done":
                return "run"
            case "all_done_setup_success":
                if any(state in ("failed", "upstream_failed") for state in setups):
                    return "upstream_failed"
                return _SKIPPED if setups and all(state == _SKIPPED for state in setups) else "run"
            case "none_failed_min_one_success":
                return "upstream_failed" if bad else "run" if _DONE_WELL in before else _SKIPPED
            case "all_success":
                return "upstream_failed" if bad else _SKIPPED if _SKIPPED in before else "run"
        raise AssertionError(f"{task.task_id} has the trigger rule {task.trigger_rule}")
