"""Says at the end of a run what became of each service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from biztalk_services.flows.outcomes import BACKED_UP, FAILED, NO_BACKUP, Outcome, failed_steps
from biztalk_services.hooks.biztalk_services import hook_for
from biztalk_services.hooks.catalog import why_lost
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.service import ServiceRef
from biztalk_services.operators.claim import give_up
from biztalk_services.operators.find import ALL_SERVICES
from biztalk_services.operators.step import AdvicePolicy, failure_told
from biztalk_services.triggers.wait import FAILURE, told

if TYPE_CHECKING:
    from airflow.sdk import Context


class BackupsFailedError(BackupServiceError):
    """At least one service was not backed up, or did not come back."""


class BizTalkReportOperator(BaseOperator):
    """
    Says for each service of the run what happened; fails the run when one was not backed up or did not come back, when
    a reference that was published is lost, or when there was no service.

    XCom: a list of outcomes (:class:`biztalk_services.flows.outcomes.Outcome`), pushed before the run is failed.

    **Idempotency:** only reads, and gives up the claims of the run.

    :param find: id of the task that found the services
    :param steps: ids of the steps of a service, in their order
    :param still: the step after which the service stood still
    :param back: the step after which it was back
    :param published: the step that published the backup reference
    :param conn_id: connection to the subscription
    :param storage_conn_id: connection to the storage account of the catalog, where the run has claimed its services
    :param catalog_container: container of the catalog
    """

    template_fields = ("conn_id", "storage_conn_id", "catalog_container")

    def __init__(
        self,
        *,
        find: str,
        steps: Sequence[str],
        still: str,
        back: str,
        published: str,
        conn_id: str = "biztalk_default",
        storage_conn_id: str = "biztalk_backup_storage",
        catalog_container: str = "biztalk-backup-catalog",
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("retry_policy", AdvicePolicy())
        super().__init__(**kwargs)
        self.find = find
        self.steps = list(steps)
        self.still = still
        self.back = back
        self.published = published
        self.conn_id = conn_id
        self.storage_conn_id = storage_conn_id
        self.catalog_container = catalog_container

    def execute(self, context: Context) -> None:
        ti = context["ti"]
        with failure_told(context):
            chosen = ti.xcom_pull(task_ids=self.find, key=ALL_SERVICES)
            if chosen is None:
                reason = ti.xcom_pull(task_ids=self.find, key=FAILURE) or f"See the log of {self.find}."
                raise BackupsFailedError(f"The services of the run could not be found, and nothing was done. {reason}")
            outcomes = self._outcomes(ti, chosen)
            ti.xcom_push(key="return_value", value=[outcome.to_dict() for outcome in outcomes])
            for outcome in outcomes:
                (self.log.error if outcome.outcome == FAILED else self.log.info)(outcome.sentence())
            give_up(
                context,
                [service["name"] for service in chosen],
                storage_conn_id=self.storage_conn_id,
                catalog_container=self.catalog_container,
            )
            judge(outcomes)

    def _outcomes(self, ti: Any, chosen: list[dict[str, Any]]) -> list[Outcome]:
        task_states = ti.get_task_states(dag_id=ti.dag_id, task_ids=self.steps, run_ids=[ti.run_id]).get(ti.run_id, {})
        indices = {target["service"]: index for index, target in enumerate(ti.xcom_pull(task_ids=self.find) or [])}
        return [self._outcome(ti, service, indices.get(service["service"]), task_states) for service in chosen]

    def _outcome(
        self, ti: Any, service: dict[str, Any], index: int | None, task_states: dict[str, str | None]
    ) -> Outcome:
        known = {
            "service": service["name"],
            "cloud_service": service["cloud_service"],
            "region": service["region"],
            "edition": service["edition"],
            "state": self._state_now(service["service"]),
        }
        if index is None:
            return Outcome(**known, outcome=NO_BACKUP)

        def pulled(step: str, key: str = "return_value") -> Any:
            return told(ti.xcom_pull(task_ids=step, key=key, map_indexes=index))

        failed = failed_steps(self.steps, {step: task_states.get(f"{step}_{index}") for step in self.steps})
        reasons = [pulled(step, FAILURE) or f"See the log of {step}." for step in failed]
        reference, still, back = (pulled(step) or {} for step in (self.published, self.still, self.back))
        places = {"storage_conn_id": self.storage_conn_id, "catalog_container": self.catalog_container}
        if reference and (lost := why_lost(reference, **places)):
            failed, reasons, reference = [*failed, self.published], [*reasons, lost], {}
        return Outcome(
            **known,
            outcome=FAILED if failed else BACKED_UP,
            failed_step=failed[0].rpartition(".")[2] if failed else None,
            reason=" ".join(dict.fromkeys(reasons)) or None,
            backup=f"{reference['account']}/{reference['container']}" if reference else None,
            items=sum((reference.get("items") or {}).values()) if reference.get("items") else None,
            suspended_seconds=_seconds_between(still.get("seen_at"), back.get("seen_at")),
        )

    def _state_now(self, service: str) -> str | None:
        try:
            return hook_for(self.conn_id).get_service(ServiceRef.parse(service)).state
        except BackupServiceError as error:
            self.log.warning("The state of %s is not known now: %s", service, error)
            return None


def judge(outcomes: Sequence[Outcome]) -> None:
    """
    Pass when at least one service was backed up and none failed.

    :raises BackupsFailedError: otherwise, naming the services and what went wrong
    """
    failed = [outcome for outcome in outcomes if outcome.outcome == FAILED]
    if failed:
        stories = " ".join(f"{outcome.service} ({outcome.failed_step}): {outcome.reason}" for outcome in failed)
        raise BackupsFailedError(
            f"{len(failed)} of {len(outcomes)} services were not backed up or did not come back. {stories}"
        )
    if not any(outcome.outcome == BACKED_UP for outcome in outcomes):
        raise BackupsFailedError(
            "No service was backed up: none of the chosen ones has an edition with backups, or none was chosen. Check "
            "the options include and exclude of [biztalk_services] and the form of the run."
        )


def _seconds_between(start: str | None, end: str | None) -> float | None:
    if not (start and end):
        return None
    return round((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds(), 1)
