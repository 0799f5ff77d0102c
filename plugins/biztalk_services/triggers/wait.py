"""What all waits have in common: look now and then, end the task by itself, give up at a fixed moment."""

from __future__ import annotations

import asyncio
import json
from abc import abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.triggers.base import BaseTrigger, TaskFailedEvent, TaskSuccessEvent, TriggerEvent
from asgiref.sync import sync_to_async

from biztalk_services.flows.polling import Patience, next_interval
from biztalk_services.model.errors import BackupServiceError

FAILURE = "failure"
"""XCom key under which a failed task leaves the sentence that says why."""


def told(xcom: Any) -> Any:
    """
    What a task left in XCom.

    What a worker pushes comes back as it is; what a trigger pushes comes back as JSON text (Airflow 3.3 encodes it
    twice).
    """
    if not isinstance(xcom, str):
        return xcom
    try:
        return json.loads(xcom)
    except ValueError:
        return xcom


@dataclass(frozen=True)
class Reached:
    """The wait is over; ``value`` becomes the XCom of the task."""

    value: dict[str, Any]


@dataclass(frozen=True)
class Missed:
    """What is waited for cannot come any more; ``sentence`` says why and what to do."""

    sentence: str


class WaitTrigger(BaseTrigger):
    """
    Looks until the wait is over, then ends the task without a worker.

    It only reads, so that it may run twice. Everything it needs is in its arguments, which hold no secret, so that
    another triggerer can go on with it at any moment; the deadline is absolute for the same reason.

    :param deadline: moment at which the wait fails, ISO 8601 with offset
    :param since: moment at which the wait began, ISO 8601 with offset; how often to look follows from it
    :param patience_seconds: how long answers may fail to come before the wait fails
    """

    fields: ClassVar[tuple[str, ...]] = ()
    """Names of the arguments that a subclass adds."""

    def __init__(self, *, deadline: str, since: str, patience_seconds: float) -> None:
        super().__init__()
        self.deadline = deadline
        self.since = since
        self.patience_seconds = patience_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("deadline", "since", "patience_seconds", *self.fields)
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    @abstractmethod
    def look(self) -> Reached | Missed | None:
        """
        See whether the wait is over; None when it is not. Blocks; runs on a worker and in a thread of the triggerer.

        :raises BackupServiceError: no proper answer came
        """

    @abstractmethod
    def waiting_for(self) -> str:
        """What is waited for, to complete the sentence "waited for ..."."""

    def refused(self, trouble: BackupServiceError) -> Reached | Missed:
        """The ending when the answer was one that looking again will not change."""
        return Missed(str(trouble))

    def out_of_patience(self, trouble: BackupServiceError) -> Reached | Missed:
        """The ending when no proper answer came for too long, or none at the deadline."""
        return Missed(
            f"Gave up waiting for {self.waiting_for()}: no proper answer in time. The last trouble: {trouble}"
        )

    def overdue(self) -> Missed:
        """The ending when a look at the deadline was answered, and the wait is not over."""
        return Missed(f"Waited for {self.waiting_for()} until {self.deadline}, the deadline, in vain.")

    async def run(self) -> AsyncIterator[TriggerEvent]:
        ending = await self._wait()
        if isinstance(ending, Reached):
            self.log.info("Done waiting for %s: %s", self.waiting_for(), ending.value)
            yield TaskSuccessEvent(xcoms={"return_value": ending.value})
        else:
            self.log.error(ending.sentence)
            yield TaskFailedEvent(xcoms={FAILURE: ending.sentence})

    async def _wait(self) -> Reached | Missed:
        deadline, since = datetime.fromisoformat(self.deadline), datetime.fromisoformat(self.since)
        patience = Patience(self.patience_seconds)
        look = sync_to_async(self.look, thread_sensitive=False)
        retry_after: float | None = None
        while True:
            now = datetime.now(UTC)
            interval = next_interval((now - since).total_seconds(), retry_after)
            await asyncio.sleep(max(0.0, min(interval, (deadline - now).total_seconds())))
            try:
                ending = await look()
            except BackupServiceError as trouble:
                if trouble.advice == "stop":
                    return self.refused(trouble)
                self.log.warning("%s", trouble)
                retry_after = trouble.retry_after
                now = datetime.now(UTC)
                if patience.exhausted_by_trouble(now) or now >= deadline:
                    return self.out_of_patience(trouble)
            else:
                patience.answered()
                retry_after = None
                if ending is not None:
                    return ending
                if datetime.now(UTC) >= deadline:
                    return self.overdue()
