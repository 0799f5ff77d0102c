"""Triggers: poll until the wait is over, then end the task without a worker.

They only read, but for a wait that says otherwise (:class:`biztalk_services.flows.waits.ResumedWait`), so that they may
run twice. Everything that they need is in their arguments, which hold no secret, so that another triggerer can go on at
any moment; the deadline is absolute for the same reason.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import datetime
from typing import Any, ClassVar

from airflow.triggers.base import BaseTrigger, TaskFailedEvent, TaskSuccessEvent, TriggerEvent

from biztalk_services.flows.poll_loop import poll_until
from biztalk_services.flows.slots import may_start
from biztalk_services.flows.waits import WAITS, Ending, Place, Succeeded, Wait
from biztalk_services.provider.base import FAILURE
from biztalk_services.provider.connections import open_archive
from biztalk_services.provider.hook import driver_for


class BoundedTrigger(BaseTrigger):
    """
    A wait that ends.

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
        ending = await self._ending(wait, place)
        if isinstance(ending, Succeeded):
            self.log.info("Done waiting for %s: %s", wait.description(), ending.value)
            yield TaskSuccessEvent(xcoms={"return_value": ending.value})
        else:
            self.log.error(ending.message)
            yield TaskFailedEvent(xcoms={FAILURE: ending.message})

    async def _ending(self, wait: Wait, place: Place) -> Ending:
        since, deadline = (datetime.fromisoformat(text) for text in (self.since, self.deadline))
        return await poll_until(wait, place, since=since, deadline=deadline, tolerance_seconds=self.tolerance_seconds)


class PollTrigger(BoundedTrigger):
    """
    Waits for a service.

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
        place = Place(
            self.values["service"],
            driver=lambda: driver_for(self.conn_id),
            archive=lambda: open_archive(self.archive),
            log=self.log,
        )
        return WAITS[self.kind](**self.values), place


class SlotWait(Wait):
    """Waits until few enough services of a run are being backed up; parameters as :class:`SlotTrigger`."""

    def __init__(
        self,
        *,
        dag_id: str,
        run_id: str,
        map_index: int,
        gate: str,
        exempt_task_id: str,
        release_task_id: str,
        max_parallel: int,
    ) -> None:
        self.dag_id, self.run_id, self.map_index = dag_id, run_id, map_index
        self.tasks = {"gate": gate, "exempt_task_id": exempt_task_id, "release_task_id": release_task_id}
        self.max_parallel = max_parallel

    def description(self) -> str:
        return f"a slot ({self.max_parallel} concurrent backups)"

    def poll(self, place: Place) -> Succeeded | None:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        states = RuntimeTaskInstance.get_task_states(
            dag_id=self.dag_id, task_ids=list(self.tasks.values()), run_ids=[self.run_id]
        ).get(self.run_id, {})
        if may_start(self.map_index, states, **self.tasks, max_parallel=self.max_parallel):
            return Succeeded({"max_parallel": self.max_parallel})
        return None


class SlotTrigger(BoundedTrigger):
    """
    Waits for a slot among the services of a run.

    :param service: address of the service that waits
    :param slot: arguments of :class:`SlotWait`: ``dag_id``, ``run_id``, ``map_index`` of the service that waits,
        ``gate`` (the task that waits), ``exempt_task_id`` (a service takes no slot during that task),
        ``release_task_id`` (with which it releases its slot), ``max_parallel``
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
