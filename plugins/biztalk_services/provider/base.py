"""What all operators have in common: what they work with, how they fail, how they are retried, what they are called."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Context, RetryPolicy
from airflow.sdk.configuration import conf
from airflow.sdk.definitions.retry_policy import RetryDecision
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.context import NEVER_EXPIRE

from biztalk_services.drivers.base import Driver
from biztalk_services.flows.job import Job
from biztalk_services.model.errors import BackupServiceError, ServiceNotFoundError
from biztalk_services.model.plan import RestorePlan
from biztalk_services.model.run import Run, RunState
from biztalk_services.model.service import ServiceRef
from biztalk_services.model.steps import Step
from biztalk_services.provider.connections import DEFAULT_ARCHIVE, open_archive
from biztalk_services.provider.hook import DEFAULT_CONN_ID, driver_for
from biztalk_services.provider.identity import airflow_id
from biztalk_services.provider.run_checks import refuse_trial

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive

FAILURE = "failure"
"""XCom key under which a failed task leaves the sentence that says why."""

_ENDED = ("success", "failed")
_MOMENT = "moment"


class AdvicePolicy(RetryPolicy):
    """Retries what the error advises to retry, after the time that the service requested.

    :param insist: retry even what a person would have to correct, because they may correct it meanwhile; except when
        the service does not exist
    """

    def __init__(self, *, insist: bool = False) -> None:
        self.insist = insist

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        if not isinstance(exception, BackupServiceError):
            return RetryDecision.default()
        if exception.advice == "stop" and (isinstance(exception, ServiceNotFoundError) or not self.insist):
            return RetryDecision.fail(reason="A retry would not help.")
        delay = timedelta(seconds=exception.retry_after) if exception.retry_after else None
        return RetryDecision.retry(delay=delay, reason=f"The error advises: {exception.advice}.")


class TaskJournal:
    """A :class:`biztalk_services.flows.job.Journal` in Airflow's task state store, which survives retries and clears.

    :param store: ``task_state_store`` of the task
    :param owner: whose entries count; those of another service, which had this task's place before, do not
    """

    def __init__(self, store: Any, owner: str) -> None:
        self._store = store
        self._owner = owner

    def get(self, key: str) -> dict[str, Any] | None:
        stored = self._store.get(key)
        return stored["entry"] if stored and stored["owner"] == self._owner else None

    def set(self, key: str, entry: dict[str, Any]) -> None:
        self._store.set(key, {"owner": self._owner, "entry": entry}, retention=NEVER_EXPIRE)

    def delete(self, key: str) -> None:
        self._store.delete(key)


class SubscriptionOperator(BaseOperator):
    """An operator that works with the services of a subscription, and with the archive of their backups.

    :param conn_id: connection to the subscription; of an operator that works with several, separated by blanks
    :param archive: id of the storage connection, container of the catalog, and where it is another one the container
        of the records, with slashes between them
    """

    template_fields: Sequence[str] = ("conn_id", "archive")

    def __init__(self, *, conn_id: str = DEFAULT_CONN_ID, archive: str = DEFAULT_ARCHIVE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.archive = archive

    def render_template(self, content: Any, *context: Any, **more: Any) -> Any:
        """As Airflow does, which compiles also a text that is no template."""
        if isinstance(content, str) and "{" not in content:
            return content
        return super().render_template(content, *context, **more)

    def connect(self) -> Driver:
        return driver_for(self.conn_id)

    def drivers(self) -> dict[str, Callable[[], Driver]]:
        """Connection -> opens the driver of its subscription."""
        return {conn_id: partial(driver_for, conn_id) for conn_id in self.conn_id.split()}

    def open_archive(self) -> Archive:
        return open_archive(self.archive)


class RetriedOperator(SubscriptionOperator):
    """An operator that is retried as its errors advise, and leaves their sentence in XCom for the report of the run."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("retry_policy", AdvicePolicy())
        super().__init__(**kwargs)

    def execute(self, context: Context) -> Any:
        with failure_pushed(context):
            result = self.run_step(context)
        return result.to_xcom() if isinstance(result, Step) else result

    @abstractmethod
    def run_step(self, context: Context) -> Any:
        """Do it; what is returned becomes the XCom."""


class ServiceOperator(RetriedOperator):
    """An operator that does something with one service.

    :param service: address of the service, ``scope/name``
    """

    template_fields: Sequence[str] = ("service", *RetriedOperator.template_fields)
    lock_lasts = timedelta(0)

    def __init__(self, *, service: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.service = service

    def job(self, context: Context) -> Job:
        """What the flows work with."""
        ti = context["ti"]
        return Job(
            driver=self.connect,
            archive=self.open_archive,
            ref=ServiceRef.parse(self.service),
            run=run_of(ti),
            run_state=lambda run: run_state(ti, run),
            journal=TaskJournal(context["task_state_store"], self.service),
            request_id=lambda verb: request_id(ti, verb),
            log=self.log,
            lock_lasts=self.lock_lasts,
        )


class LockingOperator(RetriedOperator):
    """An operator that changes a service, or decides that it may be changed: only while this run holds the lock of the
    service. Each try locks it again. Refused where ``airflow dags test`` or ``airflow tasks test`` carries it out.

    :param lock_minutes: how long the lock lasts unless it is released; as long as the longest wait that may follow
    """

    def __init__(self, *, lock_minutes: float = 180, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if lock_minutes <= 0:
            raise ValueError(f"lock_minutes is {lock_minutes}; a lock lasts longer than 0 minutes.")
        self.lock_lasts = timedelta(minutes=lock_minutes)

    def execute(self, context: Context) -> Any:
        with failure_pushed(context):
            refuse_trial(context)
        return super().execute(context)


class PlanOperator(ServiceOperator):
    """A step of a restore.

    :param plan: XCom of the approved plan
    """

    template_fields = (*ServiceOperator.template_fields, "plan")

    def __init__(self, *, plan: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan

    def approved_plan(self) -> RestorePlan:
        return RestorePlan.from_dict(self.plan)


@contextmanager
def failure_pushed(context: Context) -> Iterator[None]:
    """Leave the sentence of a domain error in XCom, for the report at the end of the run."""
    try:
        yield
    except BackupServiceError as error:
        context["ti"].xcom_push(key=FAILURE, value=str(error))
        raise


def run_of(ti: Any) -> Run:
    """The run of a task instance."""
    return Run(ti.dag_id, ti.run_id, airflow_id())


def run_state(ti: Any, run: Run) -> RunState:
    """What this Airflow knows of a run, through the running task instance."""
    if run.airflow != airflow_id():
        return RunState.UNKNOWN
    try:
        ended = ti.get_dagrun_state(dag_id=run.dag_id, run_id=run.run_id) in _ENDED
    except AirflowRuntimeError:
        return RunState.UNKNOWN
    return RunState.ENDED if ended else RunState.ACTIVE


def first_moment(context: Context) -> datetime:
    """When the task was first tried in this run, aware; the same in every later try, also after a clear."""
    journal = TaskJournal(context["task_state_store"], str(run_of(context["ti"])))
    stored = journal.get(_MOMENT) or {"at": datetime.now(UTC).isoformat()}
    journal.set(_MOMENT, stored)
    return datetime.fromisoformat(stored["at"])


def most_mapped(wanted: int) -> int:
    """How many entries a list may have that a task is mapped over: those wanted, or Airflow's own limit."""
    return int(min(wanted, conf.getint("core", "max_map_length", fallback=1024)))


def request_id(ti: Any, verb: str) -> str:
    """Our name for a request: one for all tries of a task, so that the service's log shows what belongs together."""
    return f"{airflow_id()}:{ti.dag_id}:{ti.run_id}:{ti.task_id}:{ti.map_index}:{verb}"
