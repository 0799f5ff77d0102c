"""Triggers: poll until the wait is over, then end the task without a worker.

They only read, but for a wait that says otherwise (:class:`biztalk_services.flows.waits.ResumedWait`), so that they may
run twice. Everything that they need is in their arguments, which hold no secret, so that another triggerer can go on at
any moment; the deadline is absolute for the same reason.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

from airflow.triggers.base import BaseTrigger, TaskFailedEvent, TaskSuccessEvent, TriggerEvent

from biztalk_services.flows.poll_loop import poll_until
from biztalk_services.flows.slots import may_start
from biztalk_services.flows.waits import WAITS, Place, Succeeded, Wait
from biztalk_services.provider.base import FAILURE
from biztalk_services.provider.connections import open_archive
from biztalk_services.provider.hook import driver_for


class BoundedTrigger(BaseTrigger):
    """A wait that ends.

    :param since: moment at which the wait began, ISO 8601 with offset; how often to poll follows from it
    :param deadline: moment at which the wait fails, ISO 8601 with offset
    :param tolerance_seconds: how long polls in a row may fail
    """

    arguments: ClassVar[tuple[str, ...]] = ("since", "deadline", "tolerance_seconds")

    def __init__(self, *, since: str, deadline: str, tolerance_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.since = since
        self.deadline = deadline
        self.tolerance_seconds = tolerance_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {name: getattr(self, name) for name in self.arguments}

    @abstractmethod
    def wait(self) -> tuple[Wait, Place]:
        """What is waited for, and where."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        wait, place = self.wait()
        since, deadline = (datetime.fromisoformat(text) for text in (self.since, self.deadline))
        ending = await poll_until(wait, place, since=since, deadline=deadline, tolerance_seconds=self.tolerance_seconds)
        if isinstance(ending, Succeeded):
            self.log.info("Done waiting for %s: %s", wait.description(), ending.value)
            yield TaskSuccessEvent(xcoms={"return_value": ending.value})
        else:
            self.log.error(ending.message)
            yield TaskFailedEvent(xcoms={FAILURE: ending.message})


class PollTrigger(BoundedTrigger):
    """Waits for a service.

    :param kind: name of the wait, one of :data:`biztalk_services.flows.waits.WAITS`
    :param values: its fields
    :param conn_id: connection to the subscription
    :param archive: id of the storage connection and name of the container of the archive
    """

    arguments = (*BoundedTrigger.arguments, "kind", "values", "conn_id", "archive")

    def __init__(self, *, kind: str, values: dict[str, Any], conn_id: str, archive: str, **bounds: Any) -> None:
        super().__init__(**bounds)
        self.kind = kind
        self.values = values
        self.conn_id = conn_id
        self.archive = archive

    @classmethod
    def of(cls, wait: Any, **arguments: Any) -> PollTrigger:
        """The trigger for a wait."""
        return cls(kind=type(wait).__name__, values=asdict(wait), **arguments)

    def wait(self) -> tuple[Wait, Place]:
        service, wait = self.values["service"], WAITS[self.kind](**self.values)
        self.values = vars(wait)  # what the wait keeps of a poll passes from the worker to the triggerer
        archive = partial(open_archive, self.archive)
        return wait, Place(service, driver=partial(driver_for, self.conn_id), archive=archive, log=self.log)


@dataclass
class SlotWait(Wait):
    """Waits until few enough services of a run are being backed up.

    :param map_index: index of the service that waits
    :param gate: the task that waits
    :param exempt_task_id: the task during which a service takes no slot
    :param release_task_id: the task with which a service releases its slot
    """

    dag_id: str
    run_id: str
    map_index: int
    gate: str
    exempt_task_id: str
    release_task_id: str
    max_parallel: int

    def description(self) -> str:
        return f"a slot ({self.max_parallel} concurrent backups)"

    def poll(self, place: Place) -> Succeeded | None:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        tasks = {"gate": self.gate, "exempt_task_id": self.exempt_task_id, "release_task_id": self.release_task_id}
        states = RuntimeTaskInstance.get_task_states(
            dag_id=self.dag_id, task_ids=list(tasks.values()), run_ids=[self.run_id]
        ).get(self.run_id, {})
        if may_start(self.map_index, states, **tasks, max_parallel=self.max_parallel):
            return Succeeded({"max_parallel": self.max_parallel})
        return None


class SlotTrigger(BoundedTrigger):
    """Waits for a slot among the services of a run.

    :param service: address of the service that waits
    :param slot: fields of :class:`SlotWait`
    """

    arguments = (*BoundedTrigger.arguments, "service", "slot")

    def __init__(self, *, service: str, slot: dict[str, Any], **bounds: Any) -> None:
        super().__init__(**bounds)
        self.service = service
        self.slot = slot

    def wait(self) -> tuple[Wait, Place]:
        def nothing() -> Any:
            raise NotImplementedError("A wait for a slot polls Airflow only.")

        return SlotWait(**self.slot), Place(self.service, driver=nothing, archive=nothing, log=self.log)
