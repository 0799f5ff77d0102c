"""Waits in a task: in the triggerer, which ends the task. The worker polls once before, where that may be enough."""

from __future__ import annotations

from abc import abstractmethod
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Context
from airflow.sdk.execution_time.context import NEVER_EXPIRE

from biztalk_services.flows.poll_loop import poll_once
from biztalk_services.flows.waits import Failed, Succeeded, Wait
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.provider.base import ServiceOperator
from biztalk_services.provider.triggers import BoundedTrigger, PollTrigger

GRACE = timedelta(minutes=2)
"""How much later than the trigger's own deadline Airflow ends the deferral, should the trigger not do it; longer than
its last poll may take."""


class WaitFailedError(BackupServiceError):
    """A wait timed out, or what it waited for cannot be reached any more."""


class Waiting(ServiceOperator):
    """An operator that waits, with a deadline that survives retries and deferral: a retry keeps the deadline of the
    first try; a task that was cleared gets a new one.

    :param deadline_minutes: how long to wait at the most
    :param error_tolerance_seconds: how long polls in a row may fail
    :param polls_first: whether the worker polls once before it hands over; None: unless something was requested just
        now, in the first try of the task
    """

    template_fields = (*ServiceOperator.template_fields, "deadline_minutes")

    def __init__(
        self,
        *,
        deadline_minutes: float | str,
        error_tolerance_seconds: float = 300,
        polls_first: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(deadline_minutes, str) and deadline_minutes < 0:
            raise ValueError(f"deadline_minutes is {deadline_minutes}; a wait takes 0 minutes or more.")
        if error_tolerance_seconds < 0:
            raise ValueError(f"error_tolerance_seconds is {error_tolerance_seconds}; it is 0 or more.")
        self.deadline_minutes = deadline_minutes
        self.error_tolerance_seconds = error_tolerance_seconds
        self.polls_first = polls_first

    @abstractmethod
    def wait_for(self, context: Context) -> Wait:
        """What is waited for."""

    def build_trigger(self, context: Context, **bounds: Any) -> BoundedTrigger:
        """The trigger that waits; ``bounds`` are the arguments that all waits have in common."""
        return PollTrigger.of(self.wait_for(context), conn_id=self.conn_id, archive=self.archive, **bounds)

    def run_step(self, context: Context) -> Any:
        since, until = self.bounds(context)
        trigger = self.build_trigger(
            context, since=since, deadline=until, tolerance_seconds=self.error_tolerance_seconds
        )
        deadline = datetime.fromisoformat(until)
        wait, place = trigger.wait()
        ending = poll_once(wait, place, deadline) if self._polls_now(context, wait) else None
        if isinstance(ending, Failed):
            raise WaitFailedError(ending.message)
        if isinstance(ending, Succeeded):
            return ending.value
        return self.defer(trigger=trigger, method_name="execute_complete", timeout=deadline - datetime.now(UTC) + GRACE)

    def execute_complete(self, context: Context, event: Any) -> None:
        """Never reached while triggers end their tasks; fails should that change."""
        raise WaitFailedError(
            f"The wait of {self.task_id} came back to the worker with {event!r} instead of ending in the triggerer."
        )

    def bounds(self, context: Context) -> tuple[str, str]:
        """When the wait began, and its deadline; ISO 8601 with offset."""
        store, ti = context["task_state_store"], context["ti"]
        bounds: Any = store.get("bounds")
        if bounds is None or bounds["max_tries"] != ti.max_tries:
            since = datetime.now(UTC)
            deadline = since + timedelta(minutes=float(self.deadline_minutes))
            bounds = {"since": since.isoformat(), "deadline": deadline.isoformat(), "max_tries": ti.max_tries}
            store.set("bounds", bounds, retention=NEVER_EXPIRE)
        return bounds["since"], bounds["deadline"]

    def _polls_now(self, context: Context, wait: Wait) -> bool:
        if self.polls_first is None:
            return context["ti"].try_number > 1 or not wait.follows_request
        return self.polls_first
