"""Triggers: poll until the wait is over, then end the task without a worker.

They only read, but for a wait that says otherwise (:class:`biztalk_services.flows.waits.ResumedWait`), so that they may
run twice. Everything that they need is in their arguments, which hold no secret, so that another triggerer can go on at
any moment; the deadline is absolute for the same reason.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any, ClassVar

from airflow.triggers.base import BaseTrigger, TaskFailedEvent, TaskSuccessEvent, TriggerEvent

from biztalk_services.flows.poll_loop import poll_until
from biztalk_services.flows.shared_look import OwnServices
from biztalk_services.flows.slots import SlotWait
from biztalk_services.flows.waits import WAITS, Place, Succeeded, Wait
from biztalk_services.model.run import Run
from biztalk_services.provider.base import FAILURE
from biztalk_services.provider.connections import open_archive
from biztalk_services.provider.hook import driver_for
from biztalk_services.provider.identity import airflow_id
from biztalk_services.provider.shared import SERVICES, SLOTS


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

    def bounds(self) -> tuple[datetime, datetime]:
        """When the wait began, and its deadline."""
        return datetime.fromisoformat(self.since), datetime.fromisoformat(self.deadline)

    @abstractmethod
    def wait(self, *, shared: bool = False) -> tuple[Wait, Place]:
        """What is waited for, and where.

        :param shared: services are read together with the other waits of this process.
        """

    async def run(self) -> AsyncIterator[TriggerEvent]:
        wait, place = self.wait(shared=True)
        since, deadline = self.bounds()
        ending = await poll_until(wait, place, since=since, deadline=deadline, tolerance_seconds=self.tolerance_seconds)
        if isinstance(ending, Succeeded):
            self.log.info("Done waiting for %s: %s", wait.description(), ending.value)
            yield TaskSuccessEvent(xcoms={**self._forgotten(FAILURE), "return_value": ending.value})
        else:
            self.log.error(ending.message)
            yield TaskFailedEvent(xcoms={**self._forgotten("return_value"), FAILURE: ending.message})

    def _forgotten(self, key: str) -> dict[str, Any]:
        """What an earlier try of a task may have left, and Airflow deletes where a worker begins the next one only."""
        ti: Any = self.task_instance
        return {key: None} if ti and ti.try_number > 1 else {}


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

    def wait(self, *, shared: bool = False) -> tuple[Wait, Place]:
        service, wait = self.values["service"], WAITS[self.kind](**self.values)
        self.values = vars(wait)  # what the wait keeps of a poll passes from the worker to the triggerer
        return wait, _place(self, service, shared=shared)


class RequestTrigger(PollTrigger):
    """Waits for what an earlier step has requested. The scheduler starts it without a worker, with the same arguments
    for every run: templates, which are rendered in the triggerer.

    :param fields: further fields of the wait; an empty text is None
    :param requested_at: moment of the request, ISO 8601 with offset; empty: none was sent
    :param deadline_minutes: how long after the request the wait fails, or after the begin of its run where that is
        later, because the run was cleared
    """

    arguments = (
        "kind",
        "service",
        "fields",
        "requested_at",
        "deadline_minutes",
        "conn_id",
        "archive",
        "tolerance_seconds",
    )

    def __init__(
        self,
        *,
        service: str,
        fields: dict[str, Any],
        requested_at: str,
        deadline_minutes: float,
        **arguments: Any,
    ) -> None:
        super().__init__(values={}, since="", deadline="", **arguments)
        self.service = service
        self.fields = fields
        self.requested_at = requested_at
        self.deadline_minutes = deadline_minutes

    def bounds(self) -> tuple[datetime, datetime]:
        requested_at = datetime.fromisoformat(self.requested_at) if self.requested_at else datetime.now(UTC)
        since = max(requested_at, _run_began(self))
        return since, since + timedelta(minutes=float(self.deadline_minutes))

    def wait(self, *, shared: bool = False) -> tuple[Wait, Place]:
        given = {name: value or None for name, value in self.fields.items()}
        self.values = {"service": self.service} | given
        return super().wait(shared=shared)


class SlotTrigger(BoundedTrigger):
    """Waits for a slot. The scheduler may start it without a worker, with the same arguments for every run: which run
    it is, and when that began, is then asked of its task instance.

    :param service: address of the service that waits
    :param conn_id: connection to its subscription
    :param archive: as :class:`PollTrigger`
    :param max_parallel: how many services may have a slot
    :param longest_suspension_minutes: how long a suspension record takes a slot
    :param deadline_minutes: how long after the begin of its run the wait fails
    :param dag_id: of its run; empty: that of the task instance, as the next two
    :param since: moment at which the run began, ISO 8601 with offset
    """

    arguments = (
        "service",
        "conn_id",
        "archive",
        "max_parallel",
        "longest_suspension_minutes",
        "deadline_minutes",
        "tolerance_seconds",
        "dag_id",
        "run_id",
        "since",
    )

    def __init__(
        self,
        *,
        service: str,
        conn_id: str,
        archive: str,
        max_parallel: int,
        longest_suspension_minutes: float,
        deadline_minutes: float,
        tolerance_seconds: float,
        dag_id: str = "",
        run_id: str = "",
        since: str = "",
    ) -> None:
        super().__init__(since=since, deadline="", tolerance_seconds=tolerance_seconds)
        self.service = service
        self.conn_id = conn_id
        self.archive = archive
        self.max_parallel = max_parallel
        self.longest_suspension_minutes = longest_suspension_minutes
        self.deadline_minutes = deadline_minutes
        self.dag_id = dag_id
        self.run_id = run_id

    def bounds(self) -> tuple[datetime, datetime]:
        since = datetime.fromisoformat(self.since) if self.since else _run_began(self)
        return since, since + timedelta(minutes=float(self.deadline_minutes))

    def wait(self, *, shared: bool = False) -> tuple[Wait, Place]:
        ti: Any = self.task_instance
        dag_id, run_id = (self.dag_id, self.run_id) if self.run_id else (ti.dag_id, ti.run_id)
        wait = SlotWait(
            slots=cache(partial(SLOTS.of, self.archive)),
            run=lambda: Run(dag_id, run_id, airflow_id()),
            since=self.bounds()[0],
            max_parallel=int(self.max_parallel),
            longest_suspension=timedelta(minutes=float(self.longest_suspension_minutes)),
        )
        return wait, _place(self, self.service, shared=True)


def _place(trigger: PollTrigger | SlotTrigger, service: str, *, shared: bool) -> Place:
    return Place(
        service,
        driver=partial(driver_for, trigger.conn_id),
        archive=partial(open_archive, trigger.archive),
        services=(lambda: OwnServices(SERVICES.of(trigger.conn_id))) if shared else None,
        log=trigger.log,
    )


def _run_began(trigger: BoundedTrigger) -> datetime:
    """When the run began whose wait the scheduler has started in the triggerer."""
    ti: Any = trigger.task_instance
    began: datetime = ti.get_template_context()["dag_run"].start_date
    return began
