"""What all waiting tasks have in common."""

from __future__ import annotations

from abc import abstractmethod
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.execution_time.context import NEVER_EXPIRE

from biztalk_services.model.errors import BackupServiceError
from biztalk_services.operators.step import BY_SERVICE, AdvicePolicy, failure_told
from biztalk_services.triggers.wait import Missed, Reached, WaitTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

_GRACE = timedelta(minutes=1)
"""How much later than the trigger's own deadline Airflow ends the deferral, should the trigger not do it."""


class WaitFailedError(BackupServiceError):
    """What was waited for did not come."""


class WaitSensor(BaseSensorOperator):
    """
    Looks once on the worker, then waits in the triggerer, which ends the task.

    **Idempotency:** only reads. **On retry** the deadline of the first try still holds; a task that was cleared gets
    a new one.

    :param service: address of the service, ``cloud service/name``
    :param conn_id: connection to the subscription
    :param deadline_minutes: how long to wait at the most
    :param patience_seconds: how long answers may fail to come before the wait fails
    """

    template_fields = ("service", "conn_id", "deadline_minutes")

    def __init__(
        self,
        *,
        service: str,
        conn_id: str = "biztalk_default",
        deadline_minutes: float | str,
        patience_seconds: float = 300,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("retry_policy", AdvicePolicy())
        kwargs.setdefault("map_index_template", BY_SERVICE)
        super().__init__(**kwargs)
        self.service = service
        self.conn_id = conn_id
        self.deadline_minutes = deadline_minutes
        self.patience_seconds = patience_seconds

    @abstractmethod
    def build_trigger(self, context: Context, **wait: Any) -> WaitTrigger:
        """The trigger that waits; ``wait`` are the arguments that all waits have in common."""

    def execute(self, context: Context) -> dict[str, Any] | None:
        since, deadline = self._bounds(context)
        trigger = self.build_trigger(
            context, deadline=deadline.isoformat(), since=since.isoformat(), patience_seconds=self.patience_seconds
        )
        with failure_told(context):
            ending = _first_look(trigger, deadline)
            if isinstance(ending, Missed):
                raise WaitFailedError(ending.sentence)
        if isinstance(ending, Reached):
            return ending.value
        return self.defer(
            trigger=trigger, method_name="execute_complete", timeout=deadline - datetime.now(UTC) + _GRACE
        )

    def execute_complete(self, context: Context, event: Any) -> None:
        """Never reached while triggers end their tasks; says so should that change."""
        raise WaitFailedError(
            f"The wait for {self.service} came back to the worker with {event!r} instead of ending in the triggerer."
        )

    def _bounds(self, context: Context) -> tuple[datetime, datetime]:
        store, ti = context["task_state_store"], context["ti"]
        bounds = store.get("bounds")
        if bounds is None or bounds["max_tries"] != ti.max_tries:
            since = datetime.now(UTC)
            deadline = since + timedelta(minutes=float(self.deadline_minutes))
            bounds = {"since": since.isoformat(), "deadline": deadline.isoformat(), "max_tries": ti.max_tries}
            store.set("bounds", bounds, retention=NEVER_EXPIRE)
        return datetime.fromisoformat(bounds["since"]), datetime.fromisoformat(bounds["deadline"])


def _first_look(trigger: WaitTrigger, deadline: datetime) -> Reached | Missed | None:
    try:
        ending = trigger.look()
    except BackupServiceError as trouble:
        if trouble.advice == "stop":
            return trigger.refused(trouble)
        trigger.log.warning("%s", trouble)
        return trigger.out_of_patience(trouble) if datetime.now(UTC) >= deadline else None
    return trigger.overdue() if ending is None and datetime.now(UTC) >= deadline else ending
