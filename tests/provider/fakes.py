"""What Airflow hands to a task, without Airflow: a run with its XComs, task states and state stores.

What passes through is JSON here as there, so that nothing works in a test that could not be stored.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from airflow.sdk import BaseOperator
from airflow.sdk.definitions._internal.types import NOTSET
from airflow.sdk.exceptions import AirflowRuntimeError, AirflowSkipException, ErrorType, TaskDeferred
from airflow.sdk.execution_time.comms import ErrorResponse, OKResponse, TriggerDagRun
from airflow.sdk.execution_time.context import NEVER_EXPIRE
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.sdk.execution_time.xcom import XCom
from airflow.sdk.module_loading import import_string
from airflow.triggers.base import BaseTrigger, TaskFailedEvent, TaskSuccessEvent, TriggerEvent
from biztalk_services.model.errors import OutcomeUnknownError
from biztalk_services.model.options import BACKUP
from biztalk_services.model.run import Run as RecordedRun
from biztalk_services.provider import base, night_trigger, service_runs

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


_MOST_IDS = 100
"""So many ids of runs fit into the address of a request to Airflow."""


@dataclass
class ServiceRuns:
    """What Airflow has of the DAG that backs single services up.

    :param paused: None: there is no such DAG.
    :param runs: those that were started, by their ids.
    :param refused: ids of runs that cannot be started.
    :param requested: ids of the runs whose start was requested.
    """

    paused: bool | None = False
    runs: dict[str, Run] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    requested: list[str] = field(default_factory=list)
    looks: int = 0

    @contextmanager
    def answering(self, parent: Run) -> Iterator[None]:
        """Answer what steps of a run and its triggers ask for."""
        with ExitStack() as patches:
            for owner, name, answer in (
                (RuntimeTaskInstance, "get_dag", staticmethod(self.get_dag)),
                (RuntimeTaskInstance, "get_dagrun_state", staticmethod(self.get_dagrun_state)),
                (RuntimeTaskInstance, "get_dr_count", staticmethod(self.get_dr_count)),
                (RuntimeTaskInstance, "get_task_states", staticmethod(self.get_task_states)),
                (XCom, "get_one", staticmethod(self.get_one)),
                (service_runs, "task_runner", SimpleNamespace(SUPERVISOR_COMMS=_Supervisor(self, parent))),
                (night_trigger, "_SECONDS", 0),
            ):
                patches.enter_context(patch.object(owner, name, answer))
            yield

    def get_dag(self, dag_id: str) -> SimpleNamespace:
        assert dag_id == BACKUP
        if self.paused is None:
            raise _absent()
        return SimpleNamespace(is_paused=self.paused)

    def get_dagrun_state(self, dag_id: str, run_id: str) -> str:
        assert dag_id == BACKUP
        if run_id not in self.runs:
            raise _absent()
        return self.runs[run_id].state

    def get_dr_count(self, dag_id: str, *, run_ids: list[str], states: list[str]) -> int:
        assert dag_id == BACKUP
        self.looks += 1
        assert self.looks < 500, "this wait does not end"
        assert len(run_ids) <= _MOST_IDS
        return sum(self.runs[run_id].state in states for run_id in run_ids if run_id in self.runs)

    def get_task_states(self, dag_id: str, *, task_ids: list[str], run_ids: list[str]) -> dict[str, dict[str, Any]]:
        assert dag_id == BACKUP
        assert len(run_ids) <= _MOST_IDS
        found = {run_id: self.runs[run_id].states for run_id in run_ids if run_id in self.runs}
        return {run_id: {name: states.get(name) for name in task_ids} for run_id, states in found.items()}

    def get_one(self, *, key: str, dag_id: str, task_id: str, run_id: str) -> Any:
        assert dag_id == BACKUP
        return self.runs[run_id].xcom(task_id, key)


@dataclass
class _Supervisor:
    """What a step requests through its supervisor: that a run is started."""

    of: ServiceRuns
    parent: Run

    def send(self, request: Any) -> OKResponse | ErrorResponse:
        assert isinstance(request, TriggerDagRun)
        assert request.dag_id == BACKUP
        self.of.requested.append(request.run_id)
        if request.run_id in self.of.refused:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 400}))
        if request.run_id in self.of.runs:
            return ErrorResponse(error=ErrorType.DAGRUN_ALREADY_EXISTS)
        self.of.runs[request.run_id] = Run(
            run_id=request.run_id,
            dag_id=BACKUP,
            run_type="operator_triggered",
            conf=json.loads(json.dumps(request.conf)),
            triggering_user_name=self.parent.triggering_user_name,
            airflow=self.parent.airflow,
        )
        return OKResponse(ok=True)


def _absent() -> AirflowRuntimeError:
    return AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 404}))


@dataclass
class Run:
    """One DAG run, in one Airflow."""

    run_id: str = field(default_factory=lambda: f"manual__{uuid4().hex[:12]}")
    dag_id: str = DAG_ID
    run_after: datetime = field(default_factory=lambda: datetime.now(UTC))
    start_date: datetime = field(default_factory=lambda: datetime.now(UTC))
    state: str = "running"
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
    services: ServiceRuns = field(default_factory=ServiceRuns)
    airflow: str = AIRFLOW_ID
    begun_at: datetime = field(default_factory=lambda: next(_MOMENTS))

    def context(
        self, task_id: str, map_index: int = -1, max_tries: int = 5, task: BaseOperator | None = None
    ) -> dict[str, Any]:
        ti = TaskInstance(self, task_id, map_index, max_tries, task)
        if map_index < 0 and task_id != "back_up_services":
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
        """Store when a task was first tried, as the first try would: names of backups follow from it."""
        owner = str(RecordedRun(self.dag_id, self.run_id, self.airflow))
        entry = {"owner": owner, "entry": {"at": self.begun_at.isoformat()}}
        self.stores[task_id, -1].values.setdefault("moment", json.dumps(entry))

    def store(self, task_id: str, map_index: int = -1) -> StateStore:
        return self.stores[task_id, map_index]

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        return self.xcoms.get((task_id, map_index, key))

    def execute(
        self,
        operator: BaseOperator,
        map_index: int = -1,
        max_tries: int = 5,
        meanwhile: Callable[[], Any] = lambda: None,
    ) -> Any:
        """One try of a task: what it returns or raises; XCom and state as Airflow keeps them.

        A wait that defers goes on in the triggerer: through the serialized form of its trigger, to the trigger's end,
        and where that does not end the task, on a worker again.

        :param meanwhile: what happens while the task is deferred.
        """
        task_id = operator.task_id
        for place in [place for place in self.xcoms if place[:2] == (task_id, map_index)]:
            del self.xcoms[place]
        context = self.context(task_id, map_index, max_tries, operator)
        ti, step = context["ti"], operator.execute
        with patch.object(base, "airflow_id", lambda: self.airflow), self.services.answering(self):
            while True:
                self._is(task_id, map_index, "running")
                try:
                    value = step(context)
                    break
                except TaskDeferred as deferred:
                    self._is(task_id, map_index, "deferred")
                    meanwhile()
                    self.triggers.append(deferred.trigger.serialize())
                    (event,) = events_of(moved(deferred.trigger))
                    if isinstance(event, TaskSuccessEvent | TaskFailedEvent):
                        return self._ended(operator, map_index, event)
                    arguments = json.loads(json.dumps(deferred.kwargs or {}))
                    step = partial(getattr(operator, deferred.method_name), event=event.payload, **arguments)
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

    def _ended(self, operator: BaseOperator, map_index: int, event: TaskSuccessEvent | TaskFailedEvent) -> Any:
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
        """None where nothing is mapped: the whole XCom."""
        return None

    def get_dagrun_state(self, dag_id: str, run_id: str) -> str:
        if run_id in self.run.unknown_runs:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 404}))
        return "running" if run_id in self.run.active_runs else "success"

    def get_task_states(self, dag_id: str, *, task_ids: list[str], run_ids: list[str]) -> dict[str, dict[str, Any]]:
        assert (dag_id, run_ids) == (self.dag_id, [self.run_id])
        return {self.run_id: {name: self.run.states[name] for name in task_ids if name in self.run.states}}


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
