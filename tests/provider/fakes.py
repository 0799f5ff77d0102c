"""What Airflow hands to a task, without Airflow: a run with its XComs, task states and state stores.

What passes through is JSON here as there, so that nothing works in a test that could not be stored.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from airflow.sdk import BaseOperator
from airflow.sdk.definitions._internal.types import NOTSET
from airflow.sdk.exceptions import AirflowRuntimeError, AirflowSkipException, ErrorType, TaskDeferred
from airflow.sdk.execution_time.comms import ErrorResponse
from airflow.sdk.execution_time.context import NEVER_EXPIRE
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.sdk.module_loading import import_string
from airflow.triggers.base import BaseTrigger, TaskFailedEvent, TaskSuccessEvent, TriggerEvent
from biztalk_services.model.errors import OutcomeUnknownError
from biztalk_services.model.run import Run as RecordedRun
from biztalk_services.provider import base

from tests.conftest import AIRFLOW_ID

DAG_ID = "nightly"
_MOMENTS = (datetime(2026, 1, 1, 2, tzinfo=UTC) + timedelta(days=day) for day in count())
"""One for each run, because the names of backups follow from it and tests take several in one second."""


class Died(BaseException):
    """The worker's process is gone: nothing may catch this and go on."""


class StateStore:
    """``task_state_store`` of one task instance: survives tries and clears.

    ``dies_at`` is the key at whose next write the worker dies, once; ``writes_before`` go well before that.
    """

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.dies_at: str | None = None
        self.writes_before = 0

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        assert value is not None, "Airflow refuses to store None"
        assert retention is NEVER_EXPIRE, f"{key} would be forgotten after a while"
        if key == self.dies_at and self.writes_before == 0:
            self.dies_at = None
            raise Died(key)
        self.writes_before -= key == self.dies_at
        self.values[key] = json.dumps(value)

    def delete(self, key: str) -> None:
        self.values.pop(key, None)

    def die_after_request(self, key: str) -> None:
        """The worker dies after its request was answered, before that is stored; the intent of it is stored."""
        self.dies_at, self.writes_before = key, 1


@dataclass
class Run:
    """One DAG run, in one Airflow."""

    run_id: str = field(default_factory=lambda: f"manual__{uuid4().hex[:12]}")
    dag_id: str = DAG_ID
    run_after: datetime = field(default_factory=lambda: datetime.now(UTC))
    logical_date: datetime | None = None
    triggering_user_name: str | None = None
    run_type: str = "manual"
    conf: dict[str, Any] | None = None
    xcoms: dict[tuple[str, int, str], Any] = field(default_factory=dict)
    states: dict[str, str | None] = field(default_factory=dict)
    stores: dict[tuple[str, int], StateStore] = field(default_factory=lambda: defaultdict(StateStore))
    active_runs: set[str] = field(default_factory=set)
    unknown_runs: set[str] = field(default_factory=set)
    events: dict[Any, SimpleNamespace] = field(default_factory=lambda: defaultdict(SimpleNamespace))
    params: dict[str, Any] = field(default_factory=dict)
    triggers: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    airflow: str = AIRFLOW_ID
    begun_at: datetime = field(default_factory=lambda: next(_MOMENTS))

    def context(
        self, task_id: str, map_index: int = 0, max_tries: int = 5, task: BaseOperator | None = None
    ) -> dict[str, Any]:
        ti = TaskInstance(self, task_id, map_index, max_tries, task)
        if map_index < 0:
            self._begin(task_id)
        return {
            "ti": ti,
            "task_instance": ti,
            "task": task,
            "dag": task.dag if task and task.has_dag() else None,
            "dag_run": self,
            "run_id": self.run_id,
            "params": self.params,
            "task_state_store": self.stores[task_id, map_index],
            "outlet_events": self.events,
        }

    def _begin(self, task_id: str) -> None:
        """Store when a task was first tried, as the first try would."""
        owner = str(RecordedRun(self.dag_id, self.run_id, self.airflow))
        entry = {"owner": owner, "entry": {"at": self.begun_at.isoformat()}}
        self.stores[task_id, -1].values.setdefault("moment", json.dumps(entry))

    def store(self, task_id: str, map_index: int = 0) -> StateStore:
        return self.stores[task_id, map_index]

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = 0) -> Any:
        return self.xcoms.get((task_id, map_index, key))

    def execute(self, operator: BaseOperator, map_index: int = 0, max_tries: int = 5) -> Any:
        """One try of a task on a worker: what it returns, raises or defers with; XCom and state as Airflow keeps them.

        A wait that defers goes on in the triggerer: through the serialized form of its trigger, to the trigger's end.
        """
        task_id = operator.task_id
        for place in [place for place in self.xcoms if place[:2] == (task_id, map_index)]:
            del self.xcoms[place]
        context = self.context(task_id, map_index, max_tries, operator)
        ti = context["ti"]
        self._is(task_id, map_index, "running")
        # A wait for a slot polls the states of tasks without a task instance.
        with (
            patch.object(RuntimeTaskInstance, "get_task_states", staticmethod(ti.get_task_states)),
            patch.object(base, "airflow_id", lambda: self.airflow),
        ):
            try:
                value = operator.execute(context)
            except TaskDeferred as deferred:
                self._is(task_id, map_index, "deferred")
                return self._end_from_trigger(operator, map_index, deferred)
            except AirflowSkipException:
                self._is(task_id, map_index, "skipped")
                return None
            except BaseException:
                self._is(task_id, map_index, "failed")
                raise
        if value is not None:
            for key, part in value.items() if operator.multiple_outputs else ():
                ti.xcom_push(key, part)
            ti.xcom_push("return_value", value)
        self._is(task_id, map_index, "success")
        return value

    def _end_from_trigger(self, operator: BaseOperator, map_index: int, deferred: TaskDeferred) -> Any:
        self.triggers.append(deferred.trigger.serialize())
        (event,) = events_of(moved(deferred.trigger))
        assert isinstance(event, TaskSuccessEvent | TaskFailedEvent)
        for key, value in (event.xcoms or {}).items():
            # Airflow 3.3 encodes what a trigger pushes once more than what a worker pushes.
            self.xcoms[operator.task_id, map_index, key] = json.dumps(value)
        failed = isinstance(event, TaskFailedEvent)
        self._is(operator.task_id, map_index, "failed" if failed else "success")
        if failed:
            raise EndedInTrigger(event.xcoms["failure"])
        return event.xcoms["return_value"]

    def _is(self, task_id: str, map_index: int, state: str) -> None:
        self.states[instance_name(task_id, map_index)] = state


def instance_name(task_id: str, map_index: int) -> str:
    """Under which name Airflow lists the state of a task instance."""
    return task_id if map_index < 0 else f"{task_id}_{map_index}"


class EndedInTrigger(Exception):
    """A task was failed by its trigger, with this sentence."""


@dataclass
class TaskInstance:
    """The running task instance."""

    run: Run
    task_id: str
    map_index: int
    max_tries: int
    task: BaseOperator | None = None
    try_number: int = 1
    id: str = field(default_factory=lambda: str(uuid4()))

    @property
    def dag_id(self) -> str:
        return self.run.dag_id

    @property
    def run_id(self) -> str:
        return self.run.run_id

    def xcom_push(self, key: str, value: Any) -> None:
        self.run.xcoms[self.task_id, self.map_index, key] = json.loads(json.dumps(value))

    def xcom_pull(
        self, task_ids: str, key: str = "return_value", *, map_indexes: Any = NOTSET, default: Any = None
    ) -> Any:
        """As Airflow 3.3: without a map index the values of all instances of the task, or the only one."""
        if map_indexes is NOTSET:
            indexes = sorted(index for task_id, index, name in self.run.xcoms if (task_id, name) == (task_ids, key))
            values = [self.run.xcom(task_ids, key, index) for index in indexes] or [None]
            return values[0] if len(values) == 1 else values
        value = self.run.xcom(task_ids, key, -1 if map_indexes is None else map_indexes)
        return default if value is None else value

    def get_relevant_upstream_map_indexes(self, upstream: BaseOperator, ti_count: Any, session: Any) -> int | None:
        """Inside of a mapped group an XCom is that of the same service; from elsewhere it is the whole one."""
        group = upstream.get_closest_mapped_task_group()
        assert self.task, "only a task of a DAG has an upstream"
        return self.map_index if group is self.task.get_closest_mapped_task_group() else None

    def get_dagrun_state(self, dag_id: str, run_id: str) -> str:
        if run_id in self.run.unknown_runs:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 404}))
        return "running" if run_id in self.run.active_runs else "success"

    def get_task_states(self, dag_id: str, *, task_ids: list[str], run_ids: list[str]) -> dict[str, dict[str, Any]]:
        assert (dag_id, run_ids) == (self.dag_id, [self.run_id])
        known = {
            name: state
            for name, state in self.run.states.items()
            if name in task_ids or name.rpartition("_")[0] in task_ids
        }
        return {self.run_id: known}


def moved(trigger: BaseTrigger) -> BaseTrigger:
    """The trigger as another triggerer builds it anew from what the database holds."""
    path, arguments = trigger.serialize()
    return import_string(path)(**json.loads(json.dumps(arguments)))


def events_of(trigger: BaseTrigger) -> list[TriggerEvent]:
    """All events of a trigger, until it ends."""

    async def collect() -> list[TriggerEvent]:
        return [event async for event in trigger.run()]

    return asyncio.run(collect())


def loses_response(run: Run, operator: BaseOperator) -> None:
    """A try whose response is damaged: it fails with the advice to check, or what came was enough to go on with."""
    error = None
    try:
        run.execute(operator)
    except OutcomeUnknownError as lost:
        error = lost
    if error:
        assert error.advice == "check"
        assert run.xcom(operator.task_id, "failure") == str(error)


def dies_once(monkeypatch: Any, owner: type, method: str, *, after: bool) -> None:
    """The worker dies at the next call of a method, before or after its work; later calls are as always."""
    original: Callable[..., Any] = getattr(owner, method)

    def once(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(owner, method, original)
        if after:
            original(*arguments, **options)
        raise Died(method)

    monkeypatch.setattr(owner, method, once)
