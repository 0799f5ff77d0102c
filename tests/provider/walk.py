"""Walks through a DAG: its own tasks, templates, trigger rules and retries, task by task in process."""

from __future__ import annotations

import copy
import inspect
import json
import runpy
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from typing import Any, Self
from unittest.mock import patch

import pytest
from airflow.providers.standard.operators import hitl
from airflow.providers.standard.operators.python import ShortCircuitOperator
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.bases.branch import BranchMixIn
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.exceptions import TaskAwaitingInput
from biztalk_services.model.errors import BackupServiceError

from tests.conftest import ROOT
from tests.provider.fakes import EndedInTrigger, Run, instance_name

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
        self.started: list[dict[str, Any]] = []
        """Id and form of each run that this one has started."""
        self.errors: dict[str, Exception] = {}
        """Instance of a task (its id, with ``_<map index>`` in a mapped group) -> what its last try raised."""
        params = copy.deepcopy(self.dag.params)
        params.update(form)
        run.params = dict(params.validate())
        run.conf = dict(form)

    @property
    def states(self) -> dict[str, str | None]:
        """Instance of a task -> its state."""
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

    def xcom(self, task_id: str, key: str = "return_value", map_index: int | None = None) -> Any:
        """An XCom, as its task pushed it; in a mapped group that of the first instance, unless another one is named."""
        return self.run.xcom(task_id, key, self._index(task_id, map_index))

    def all(self) -> Self:
        """Every task that has not run yet."""
        return self.until("")

    def until(self, last: str) -> Self:
        """Every task that has not run yet, up to one of them, which does not run."""
        for task, map_index in self._instances(last):
            if instance_name(task.task_id, map_index) not in self.states:
                self.step(task.task_id, map_index)
        return self

    def mark(self, state: str, at: str) -> Self:
        """What Airflow does when a person marks the run as failed or as succeeded while a task works: every instance of
        that task gets this state, also those that have ended; what has not begun is skipped. Teardowns stay."""
        for task, map_index in self._instances(""):
            name = instance_name(task.task_id, map_index)
            if task.task_id == at:
                self.states[name] = state
            elif name not in self.states and not task.is_teardown:
                self.states[name] = _SKIPPED
        return self

    def step(self, task_id: str, map_index: int | None = None) -> Any:
        """One task with all its tries, unless its trigger rule keeps it from running."""
        task, map_index = self.dag.get_task(task_id), self._index(task_id, map_index)
        decision = self._decision(task, map_index)
        if decision != "run":
            self.states[instance_name(task_id, map_index)] = decision
            return None
        if isinstance(task, MappedOperator):
            return self._start_runs(task)
        return self._tries(task, map_index)

    def task(self, task_id: str, map_index: int | None = None) -> BaseOperator:
        """A task as it runs: its templates filled from the XComs of the others."""
        task, map_index = self.dag.get_task(task_id).prepare_for_execution(), self._index(task_id, map_index)
        if self.archive and hasattr(task, "archive"):
            task.archive = self.archive
        for name, value in self.options.get(task_id, {}).items():
            assert hasattr(task, name), f"{task_id} has no {name}"
            setattr(task, name, value)
        task.render_template_fields(self.run.context(task_id, map_index, task.retries, task))
        return task

    def execute(self, task: BaseOperator, map_index: int) -> Any:
        """One try of a task."""
        if isinstance(task, ShortCircuitOperator):
            return self._branch(task, task.downstream_task_ids if self._call(task) else [])
        if isinstance(task, BranchMixIn):
            return self._branch(task, [self._call(task)])
        return self.run.execute(task, map_index, task.retries)

    def _tries(self, task: BaseOperator, map_index: int) -> Any:
        name = instance_name(task.task_id, map_index)
        for tried in range(1, MOST_TRIES + 1):
            try:
                value = self.execute(self.task(task.task_id, map_index), map_index)
            except Exception as error:
                self.errors[name] = error
                if tried > task.retries or not self._is_retried(task, error, tried):
                    return None
            else:
                self.errors.pop(name, None)
                return value
        return None

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

    def _start_runs(self, task: MappedOperator) -> None:
        """The runs that a mapped task starts are only listed."""
        planned = task.expand_input.value.resolve(self.run.context(task.task_id, -1))
        self.started += planned
        self.run.active_runs |= {each["trigger_run_id"] for each in planned}
        for name in [instance_name(task.task_id, index) for index in range(len(planned))] or [task.task_id]:
            self.states[name] = _SUCCESS if planned else _SKIPPED

    def _call(self, task: BaseOperator) -> Any:
        known = self.run.context(task.task_id, -1) | task.op_kwargs
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

    def _instances(self, last: str) -> Iterator[tuple[BaseOperator, int]]:
        """All tasks before one of them in the order in which they run; those of a mapped group service by service."""
        tasks = _in_order(self.dag)
        ids = [task.task_id for task in tasks]
        before = tasks[: ids.index(last)] if last else tasks
        for group, members in groupby(before, key=lambda task: task.get_closest_mapped_task_group()):
            of_group = list(members)
            for map_index in self._map_indexes(group):
                yield from ((task, map_index) for task in of_group)

    def _map_indexes(self, group: Any) -> list[int]:
        """The instances of a mapped group; one without an index where it was not expanded."""
        if group is None:
            return [-1]
        (expanded,) = group._expand_input.value.values()
        values = expanded.resolve(self.run.context(group.group_id, -1))
        return list(range(len(values))) if values else [-1]

    def _index(self, task_id: str, map_index: int | None) -> int:
        if map_index is not None:
            return map_index
        return -1 if self.dag.get_task(task_id).get_closest_mapped_task_group() is None else 0

    def _upstream(self, task: BaseOperator, map_index: int) -> Iterator[tuple[BaseOperator, str | None]]:
        group = task.get_closest_mapped_task_group()
        for name in sorted(task.upstream_task_ids):
            upstream = self.dag.get_task(name)
            of_upstream = upstream.get_closest_mapped_task_group()
            is_beside = group is not None and of_upstream is group
            indexes = [map_index] if is_beside else self._map_indexes(of_upstream)
            if isinstance(upstream, MappedOperator) and name not in self.states:
                indexes = list(range(len(self.started)))
            for index in indexes:
                yield upstream, self.states.get(instance_name(name, index))

    def _decision(self, task: BaseOperator, map_index: int) -> str:
        """What the trigger rule of a task makes of it: ``run``, ``skipped`` or ``upstream_failed``."""
        upstream = list(self._upstream(task, map_index))
        before = [state for _, state in upstream]
        assert None not in before, f"{task.task_id} comes before {task.upstream_task_ids}"
        is_bad = any(state in _BAD for state in before)
        match getattr(task.trigger_rule, "value", task.trigger_rule):
            case "all_done":
                return "run"
            case "all_done_setup_success":
                setups = [state for other, state in upstream if other.is_setup]
                if any(state in _BAD for state in setups):
                    return _BLOCKED
                return _SKIPPED if setups and all(state == _SKIPPED for state in setups) else "run"
            case "none_failed_min_one_success":
                return _BLOCKED if is_bad else "run" if _SUCCESS in before else _SKIPPED
            case "all_success":
                if is_bad:
                    return _BLOCKED
                # A mapped group over nothing is skipped.
                is_empty = map_index < 0 and task.get_closest_mapped_task_group() is not None
                return _SKIPPED if _SKIPPED in before or is_empty else "run"
        raise AssertionError(f"{task.task_id} has the trigger rule {task.trigger_rule}")


def _in_order(dag: DAG) -> list[BaseOperator]:
    """The tasks in topological order, a teardown right behind the last task that it waits for."""
    tasks = dag.topological_sort()
    ordered = [task for task in tasks if not task.is_teardown]
    for teardown in (task for task in tasks if task.is_teardown):
        ordered.insert(max(ordered.index(dag.get_task(name)) for name in teardown.upstream_task_ids) + 1, teardown)
    return ordered


class Night(DagWalk):
    """One run of the nightly backup. Its services are found at once.

    :param services: names of the services; none: all that the configuration includes.
    :param container: container of the archive.
    :param form: what else the form holds.
    :param options: id of a task -> attributes that it has instead of the DAG's.
    """

    def __init__(
        self,
        run: Run,
        *services: str,
        container: str,
        form: Mapping[str, Any] | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(
            run,
            "biztalk_nightly_backup",
            form={"services": list(services) or None, **(form or {})},
            archive=f"biztalk_backup_storage/{container}",
            options=options,
        )
        self.container = container
        self.step("find_services")

    def backup_name(self, map_index: int = 0) -> str:
        """Name of the backup of a service."""
        return self.xcom("find_services")[map_index]["backup_name"]

    def report(self) -> list[dict[str, Any]]:
        """What the report lists."""
        self.step("report")
        return self.outcome


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

    def execute(self, task: BaseOperator, map_index: int) -> Any:
        if task.task_id != "approval":
            return super().execute(task, map_index)
        context = self.run.context("approval", -1, task.retries, task)
        with patch.object(hitl, "upsert_hitl_detail") as show, pytest.raises(TaskAwaitingInput) as awaiting:
            task.execute(context)
        assert awaiting.value.timeout == task.response_timeout
        document = show.call_args.kwargs
        assert self.xcom("plan", "document") == document["body"]
        assert "{{" not in document["subject"]
        self._meanwhile()
        # Another process goes on with the task.
        task = self.task("approval")
        context = self.run.context("approval", -1, task.retries, task)
        try:
            response = task.execute_complete(context, RESPONSE | {"chosen_options": [self._chosen]})
        except Exception:
            self.states["approval"] = "failed"
            raise
        self.run.xcoms["approval", -1, "return_value"] = json.loads(json.dumps(response, default=str))
        self.states["approval"] = _SUCCESS
        return response
