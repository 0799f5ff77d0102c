"""What all steps of a backup have in common: how they fail, how they are tried again, what they are called."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, RetryPolicy
from airflow.sdk.definitions.retry_policy import RetryDecision

from biztalk_services.model.errors import BackupServiceError, ServiceNotFoundError
from biztalk_services.triggers.wait import FAILURE

if TYPE_CHECKING:
    from airflow.sdk import Context

BY_SERVICE = "{{ task.service.rpartition('/')[2] }}"
"""How a mapped step is called in the UI: by its service."""


class AdvicePolicy(RetryPolicy):
    """
    Tries again what the error advises to try again, after the time that the service asked for.

    :param insist: try again even what a person would have to mend, because they may mend it meanwhile; but for a
        service that is gone
    """

    def __init__(self, *, insist: bool = False) -> None:
        self.insist = insist

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        if not isinstance(exception, BackupServiceError):
            return RetryDecision.default()
        if exception.advice == "stop" and (isinstance(exception, ServiceNotFoundError) or not self.insist):
            return RetryDecision.fail(reason="Trying again would not help.")
        delay = timedelta(seconds=exception.retry_after) if exception.retry_after else None
        return RetryDecision.retry(delay=delay, reason=f"The error advises to {exception.advice}.")


@contextmanager
def failure_told(context: Context) -> Iterator[None]:
    """Leave the sentence of a domain error in XCom, for the report at the end of the run."""
    try:
        yield
    except BackupServiceError as error:
        context["ti"].xcom_push(key=FAILURE, value=str(error))
        raise


class BizTalkStep(BaseOperator):
    """
    A step that does something at once, on a worker.

    :param service: address of the service, ``cloud service/name``
    :param conn_id: connection to the subscription
    """

    template_fields = ("service", "conn_id")

    def __init__(self, *, service: str, conn_id: str = "biztalk_default", **kwargs: Any) -> None:
        kwargs.setdefault("retry_policy", AdvicePolicy())
        kwargs.setdefault("map_index_template", BY_SERVICE)
        super().__init__(**kwargs)
        self.service = service
        self.conn_id = conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        with failure_told(context):
            return self.run_step(context)

    @abstractmethod
    def run_step(self, context: Context) -> dict[str, Any]:
        """Do it; what is returned becomes the XCom."""


def request_id(context: Context, verb: str) -> str:
    """
    The ``x-ms-client-request-id`` of a change: the same for every try of a task, so that the service's log shows what
    belongs together.

    :param verb: what is asked for, ``suspend``
    """
    ti = context["ti"]
    return f"{ti.dag_id}:{ti.run_id}:{ti.task_id}:{ti.map_index}:{verb}"
