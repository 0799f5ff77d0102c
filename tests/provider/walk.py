"""Walks through a DAG: its own tasks, templates, trigger rules and retries, task by task in process."""

from __future__ import annotations

import copy
import inspect
import json
import runpy
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any, Self
from unittest.mock import patch

import pytest
from airflow.providers.standard.operators import hitl
from airflow.providers.standard.operators.python import ShortCircuitOperator
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.bases.branch import BranchMixIn
from airflow.sdk.exceptions import TaskAwaitingInput
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.options import BACKUP, NIGHTLY

from tests.conftest import ROOT
from tests.provider.fakes import Died, EndedInTrigger, Run

RESPONSE = {
    "params_input": {},
    "responded_at": datetime(2026, 1, 1, 2, tzinfo=UTC),
    "responded_by_user": {"id": "1", "name": "ada"},
    "timedout": False,
}
MOST_TRIES = 8
LONGEST_PAUSE = 0.2
"""Seconds that a pause before another try really takes."""

_SUCCESS, _SKIPPED, _BLOCKED = "success", "skipped", "upstream_failed"
_BAD = ("failed", _BLOCKED)


@cache
def load_dag(name: str) -> DAG:
    """The DAG of a file in ``dags/``."""
    return runpy.run_path(str(ROOT / "dags" / f"{name}.py"))["dag"]


class DagWalk:
    """One run of a DAG.

    :param run: the run; a task that has a state already is not run again.
    :param file: name of the DAG's file, without ``.py``.
    :param form: what the form holds; what it leaves out has its default.
    :param archive: the archive of every task; None: that of the configuration.
    :param options: id of a task -> attributes that it has instead of the DAG's.
    """

    def __init__(
        self,
        run: Run,
        file: str,
        *,
        form: Mapping[str, Any],
        archive: str | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.run, self.dag = run, load_dag(file)
        self.archive, self.options = archive, options or {}
        assert set(self.options) <= set(self.dag.task_ids)
        run.dag_id = self.dag.dag_id
        self.errors: dict[str, Exception] = {}
        """Task -> what its last try raised."""
        params = copy.deepcopy(self.dag.params)
        params.update(form)
        run.params = dict(params.validate())
        run.conf = dict(form)

    @property
    def states(self) -> dict[str, str | None]:
        """Task -> its state."""
        return self.run.states

    @property
    def outcome(self) -> Any:
        """XCom of the report."""
        return self.xcom("report")

    @property
    def failure(self) -> str | None:
        """The sentence with which the report failed the run; None: it did not."""
        error = self.errors.get("report")
        return str(error) if error else None

    def xcom(self, task_id: str, key: str = "return_value") -> Any:
        """An XCom, as its task pushed it."""
        return self.run.xcom(task_id, key)

    def all(self) -> Self:
        """Every task that has not run yet; then the run has ended, as Airflow decides it by its leaves."""
        self.until("")
        ends = (task for task in self.dag.leaves if not task.is_teardown or task.on_failure_fail_dagrun)
        self.run.state = "failed" if any(self.states[task.task_id] in _BAD for task in ends) else _SUCCESS
        return self

    def until(self, last: str) -> Self:
        """Every task that has not run yet, up to one of them, which does not run."""
        for task_id in self._in_order():
            if task_id == last:
                break
            if task_id not in self.states:
                self.step(task_id)
        return self

    def mark(self, state: str, at: str) -> Self:
        """What Airflow does when a person marks the run as failed or as succeeded while a task works: that gets this
        state, and what has not begun is skipped. Teardowns stay."""
        for task_id in self._in_order():
            if task_id == at:
                self.states[task_id] = state
            elif task_id not in self.states and not self.dag.get_task(task_id).is_teardown:
                self.states[task_id] = _SKIPPED
        return self

    def step(self, task_id: str) -> Any:
        """One task with all its tries, unless its trigger rule keeps it from running."""
        task = self.dag.get_task(task_id)
        decision = self._decision(task)
        if decision != "run":
            self.states[task_id] = decision
            return None
        for tried in range(1, MOST_TRIES + 1):
            try:
                value = self.execute(self.task(task_id))
            except Exception as error:
                self.errors[task_id] = error
                if tried > task.retries or not self._is_retried(task, error, tried):
                    return None
            else:
                self.errors.pop(task_id, None)
                return value
        return None

    def task(self, task_id: str) -> BaseOperator:
        """A task as it runs: its templates filled from the XComs of the others."""
        task = self.dag.get_task(task_id).prepare_for_execution()
        if self.archive and hasattr(task, "archive"):
            task.archive = self.archive
        for name, value in self.options.get(task_id, {}).items():
            assert hasattr(task, name), f"{task_id} has no {name}"
            setattr(task, name, value)
        task.render_template_fields(self.run.context(task_id, max_tries=task.retries, task=task))
        return task

    def execute(self, task: BaseOperator) -> Any:
        """One try of a task."""
        if isinstance(task, ShortCircuitOperator):
            return self._branch(task, task.downstream_task_ids if self._call(task) else [])
        if isinstance(task, BranchMixIn):
            return self._branch(task, [self._call(task)])
        return self.run.execute(task, max_tries=task.retries)

    @staticmethod
    def _is_retried(task: BaseOperator, error: Exception, tried: int) -> bool:
        if isinstance(error, EndedInTrigger):  # the policy of a task counts on a worker only
            return True
        if not isinstance(error, BackupServiceError):
            return False
        decision = task.retry_policy.evaluate(error, tried, task.retries)
        if decision.action.value == "retry":
            time.sleep(min((decision.retry_delay or task.retry_delay).total_seconds(), LONGEST_PAUSE))
        return decision.action.value == "retry"

    def _call(self, task: BaseOperator) -> Any:
        known = self.run.context(task.task_id) | task.op_kwargs
        names = inspect.signature(task.python_callable).parameters
        left = list(names)[len(task.op_args) :]
        return task.python_callable(*task.op_args, **{name: known[name] for name in left})

    def _branch(self, task: BaseOperator, chosen: Any) -> None:
        """Skips the tasks directly behind that were not chosen and do not follow a chosen one."""
        kept = set(chosen)
        for name in chosen:
            kept |= self.dag.get_task(name).get_flat_relative_ids(upstream=False)
        for name in task.downstream_task_ids - kept:
            self.states[name] = _SKIPPED
        self.states[task.task_id] = _SUCCESS

    def _in_order(self) -> list[str]:
        """The tasks in topological order, a teardown right behind the last task that it waits for."""
        tasks = self.dag.topological_sort()
        ordered = [task.task_id for task in tasks if not task.is_teardown]
        for teardown in (task for task in tasks if task.is_teardown):
            ordered.insert(max(map(ordered.index, teardown.upstream_task_ids)) + 1, teardown.task_id)
        return ordered

    def _decision(self, task: BaseOperator) -> str:
        """What the trigger rule of a task makes of it: ``run``, ``skipped`` or ``upstream_failed``."""
        before = {name: self.states.get(name) for name in task.upstream_task_ids}
        assert None not in before.values(), f"{task.task_id} comes before {task.upstream_task_ids}"
        is_bad = any(state in _BAD for state in before.values())
        match getattr(task.trigger_rule, "value", task.trigger_rule):
            case "all_done":
                return "run"
            case "all_done_setup_success":
                setups = [state for name, state in before.items() if self.dag.get_task(name).is_setup]
                if any(state in _BAD for state in setups):
                    return _BLOCKED
                return _SKIPPED if setups and all(state == _SKIPPED for state in setups) else "run"
            case "none_failed_min_one_success":
                return _BLOCKED if is_bad else "run" if _SUCCESS in before.values() else _SKIPPED
            case "all_success":
                return _BLOCKED if is_bad else _SKIPPED if _SKIPPED in before.values() else "run"
        raise AssertionError(f"{task.task_id} has the trigger rule {task.trigger_rule}")


class ServiceBackup(DagWalk):
    """The run of one service, as a nightly run has started it.

    :param options: id of a task -> attributes that it has instead of the DAG's.
    """

    def __init__(self, run: Run, archive: str, options: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(run, BACKUP, form=run.conf or {}, archive=archive, options=options)
        self.name: str = run.params["service"].rpartition("/")[2]
        self.backup_name: str = run.params["backup_name"]


class Night(DagWalk):
    """One run of the nightly backup. Its services are found at once.

    :param services: names of the services; none: all that the configuration includes.
    :param container: container of the archive.
    :param form: what else the form holds.
    :param options: id of a task, also of the runs of the services -> attributes that it has instead of the DAG's.
    """

    def __init__(
        self,
        run: Run,
        *services: str,
        container: str,
        form: Mapping[str, Any] | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        tasks = load_dag(NIGHTLY).task_ids
        super().__init__(
            run,
            NIGHTLY,
            form={"services": list(services) or None, **(form or {})},
            archive=f"biztalk_backup_storage/{container}",
            options={name: values for name, values in (options or {}).items() if name in tasks},
        )
        self.container = container
        self._of_services = {name: values for name, values in (options or {}).items() if name not in tasks}
        self._backups: dict[str, ServiceBackup] = {}
        self._meanwhile: Callable[[], Any] = self.carry_out
        self.step("find_services")

    def begin(self) -> Self:
        """The worker dies that has started the runs of the services; those have not begun. Another try goes on."""
        self._meanwhile = self._die
        with suppress(Died):
            self.step("back_up_services")
        self._meanwhile = self.carry_out
        del self.states["back_up_services"]
        return self

    @property
    def backups(self) -> list[ServiceBackup]:
        """The runs of the services, in the order in which they were started."""
        for run_id, run in self.run.services.runs.items():
            if run_id not in self._backups:
                self._backups[run_id] = ServiceBackup(run, self.archive, self._of_services)
        return list(self._backups.values())

    def backup(self, name: str | None = None) -> ServiceBackup:
        """The run of a service, the only one where none is named; begins the night."""
        if "back_up_services" not in self.states and not self.run.services.runs:
            self.begin()
        (found,) = (each for each in self.backups if name in (None, each.name))
        return found

    def carry_out(self) -> None:
        """The runs of the services end, that have not ended yet."""
        for backup in self.backups:
            if backup.run.state == "running":
                backup.all()

    def execute(self, task: BaseOperator) -> Any:
        if task.task_id == "back_up_services":
            return self.run.execute(task, max_tries=task.retries, meanwhile=self._meanwhile)
        return super().execute(task)

    def report(self) -> list[dict[str, Any]]:
        """What the report lists."""
        self.step("report")
        return self.outcome

    @staticmethod
    def _die() -> None:
        raise Died("back_up_services")


class Restoration(DagWalk):
    """One run of the restore.

    :param form: what the form holds.
    """

    def __init__(self, run: Run, **form: Any) -> None:
        super().__init__(run, "biztalk_restore", form=form)
        self.choose("Approve")

    def choose(self, option: str, meanwhile: Callable[[], Any] = lambda: None) -> None:
        """What the person chooses who is shown the plan, and what happens while they read it."""
        self._chosen, self._meanwhile = option, meanwhile

    def all(self, *, approved: bool = True, meanwhile: Callable[[], Any] = lambda: None) -> Self:
        """Every task that has not run yet.

        :param approved: whether the person approves.
        :param meanwhile: what happens while the person reads the plan.
        """
        return self.until("", approved=approved, meanwhile=meanwhile)

    def until(self, last: str, *, approved: bool = True, meanwhile: Callable[[], Any] = lambda: None) -> Self:
        """Every task that has not run yet, up to one of them, which does not run; parameters as :meth:`all`."""
        self.choose("Approve" if approved else "Reject", meanwhile)
        return super().until(last)

    def execute(self, task: BaseOperator) -> Any:
        if task.task_id != "approval":
            return super().execute(task)
        context = self.run.context("approval", max_tries=task.retries, task=task)
        with patch.object(hitl, "upsert_hitl_detail") as show, pytest.raises(TaskAwaitingInput) as awaiting:
            task.execute(context)
        assert awaiting.value.timeout == task.response_timeout
        document = show.call_args.kwargs
        assert self.xcom("plan", "document") == document["body"]
        assert "{{" not in document["subject"]
        self._meanwhile()
        # Another process goes on with the task.
        task = self.task("approval")
        context = self.run.context("approval", max_tries=task.retries, task=task)
        try:
            response = task.execute_complete(context, RESPONSE | {"chosen_options": [self._chosen]})
        except Exception:
            self.states["approval"] = "failed"
            raise
        self.run.xcoms["approval", -1, "return_value"] = json.loads(json.dumps(response, default=str))
        self.states["approval"] = _SUCCESS
        return response
