"""Plans a restore, and makes sure that what was approved is still what would be done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from biztalk_services.flows.plan_document import document
from biztalk_services.flows.plan_restore import make_plan
from biztalk_services.model.backup import backup_name
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.plan import RestorePlan
from biztalk_services.model.restore_request import RestoreRequest
from biztalk_services.operators.claim import claim
from biztalk_services.operators.step import AdvicePolicy, failure_told
from biztalk_services.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from biztalk_services.hooks.restore_world import AirflowWorld
    from biztalk_services.model.backup import BackupReference


class RestoreRefusedError(BackupServiceError):
    """A restore that breaks rules; nothing was done."""


class PlanOutdatedError(BackupServiceError):
    """Things are not any more as they were when the plan was made; nothing was done."""


class BizTalkPlanRestoreOperator(BaseOperator):
    """
    Makes the plan of a restore: every rule with its verdict, every value checked, everything that would be lost.

    XCom ``return_value``: the plan (:class:`biztalk_services.model.plan.RestorePlan`); ``document``: the same to read
    (Markdown); ``request``, ``reference``: what it is about; ``stored``: the backup's settings without secrets;
    ``safety``: ``backup_name`` and ``tracking_conn_id`` for the backup of the living service; ``resumption``: whether
    to resume at the end, in the words of a suspension.

    Refused, after the plan was pushed: a plan to which there are objections; the message lists all of them.

    **Idempotency:** only reads.

    :param request: fields of :class:`biztalk_services.model.restore_request.RestoreRequest`; None: the form of the run.
        ``backup`` may be a name, empty for the newest, or a backup reference
    :param conn_id: connection to the subscription
    :param storage_conn_id: connection to the storage account of backup and catalog
    :param catalog_container: container of the catalog
    """

    template_fields = ("request", "conn_id", "storage_conn_id", "catalog_container")

    def __init__(
        self,
        *,
        request: Mapping[str, Any] | None = None,
        conn_id: str = "biztalk_default",
        storage_conn_id: str = "biztalk_backup_storage",
        catalog_container: str = "biztalk-backup-catalog",
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("retry_policy", AdvicePolicy())
        super().__init__(**kwargs)
        self.request = request
        self.conn_id = conn_id
        self.storage_conn_id = storage_conn_id
        self.catalog_container = catalog_container

    def execute(self, context: Context) -> None:
        from biztalk_services.hooks.restore_world import AirflowWorld

        ti, form = context["ti"], dict(self.request or context["params"])
        with failure_told(context):
            world = AirflowWorld(context, self.conn_id, self.storage_conn_id, self.catalog_container)
            reference, request = find_backup(world, form)
            plan = make_plan(request, reference, world)
            recorded = world.inventory(reference)
            text = document(plan)
            for key, value in {
                "return_value": plan.to_dict(),
                "document": text,
                "request": request.to_dict(),
                "reference": reference.to_dict(),
                "stored": dict(recorded.settings) if recorded else {},
                "safety": _safety_backup(plan, context),
                "resumption": {
                    "suspended_by_us": request.resume_afterwards,
                    "found_state": "Suspended",
                    "operation_id": None,
                },
            }.items():
                ti.xcom_push(key=key, value=value)
            self.log.info("Plan %s:\n%s", plan.hash[:12], text)
            _refuse_what_breaks_rules(plan)


class BizTalkConfirmPlanOperator(BaseOperator):
    """
    Makes the plan again right before the first change, and stops when it is not the approved one. Claims the target for
    this run.

    XCom: ``service`` (the address that may be changed now), ``hash``, ``confirmed_at``.

    **Idempotency:** reads, and claims the service for this run.

    :param plan: XCom of the approved plan
    :param approved_hash: hash of the plan that the person was shown who approved
    :param request: XCom of the choices behind it
    :param reference: XCom of the backup reference
    :param conn_id: connection to the subscription
    :param storage_conn_id: connection to the storage account of backup and catalog
    :param catalog_container: container of the catalog
    """

    template_fields = (
        "plan",
        "approved_hash",
        "request",
        "reference",
        "conn_id",
        "storage_conn_id",
        "catalog_container",
    )

    def __init__(
        self,
        *,
        plan: Any,
        approved_hash: str,
        request: Any,
        reference: Any,
        conn_id: str = "biztalk_default",
        storage_conn_id: str = "biztalk_backup_storage",
        catalog_container: str = "biztalk-backup-catalog",
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("retry_policy", AdvicePolicy())
        super().__init__(**kwargs)
        self.plan = plan
        self.approved_hash = approved_hash
        self.request = request
        self.reference = reference
        self.conn_id = conn_id
        self.storage_conn_id = storage_conn_id
        self.catalog_container = catalog_container

    def execute(self, context: Context) -> dict[str, str]:
        from biztalk_services.hooks.restore_world import AirflowWorld
        from biztalk_services.model.backup import BackupReference

        approved, settings = RestorePlan.from_dict(self.plan), Settings.load()
        with failure_told(context):
            if approved.hash != self.approved_hash:
                raise PlanOutdatedError(
                    "The plan was made again after it was approved, and nobody has approved the new one; nothing was "
                    "changed. Clear the step approval to have it read, or start another restore."
                )
            world = AirflowWorld(context, self.conn_id, self.storage_conn_id, self.catalog_container)
            reference = BackupReference.from_dict(self.reference)
            plan = make_plan(RestoreRequest(**self.request), reference, world)
            if plan.hash != approved.hash:
                raise PlanOutdatedError(
                    "The plan that was approved is not what would be done now; nothing was changed. What is different: "
                    + "; ".join(plan.changes_since(approved))
                    + ". Start another restore, and read its plan."
                )
            _refuse_what_breaks_rules(plan)
            claim(
                context,
                plan.target["service"].rpartition("/")[2],
                purpose="restore",
                hold=settings.longest_step,
                storage_conn_id=self.storage_conn_id,
                catalog_container=self.catalog_container,
            )
        return {"service": plan.target["service"], "hash": plan.hash, "confirmed_at": datetime.now(UTC).isoformat()}


def find_backup(world: AirflowWorld, form: dict[str, Any]) -> tuple[BackupReference, RestoreRequest]:
    """
    The backup that a form means, and its choices.

    :param form: ``backup`` is a name, empty for the newest of ``service``, or a whole reference.
    :raises NotInCatalogError: there is no such backup.
    :raises InvalidReferenceError: it is one of no version that is understood here.
    :raises RestoreRefusedError: the reference is one of another service.
    """
    from biztalk_services.model.backup import BackupReference

    if isinstance(form.get("backup"), Mapping):
        reference = BackupReference.from_dict(form["backup"])
        reference = world.catalog.read(reference.service, reference.container)
        if (form.get("service") or reference.service).strip().lower() != reference.service.lower():
            raise RestoreRefusedError(
                f"The form names service {form['service']}, and the backup {reference.place} is one of service "
                f"{reference.service}. Correct one of the two."
            )
    else:
        request = RestoreRequest.from_form(form)
        reference = world.backup(request.service, request.backup)
    return reference, RestoreRequest.from_form({**form, "service": reference.service, "backup": reference.container})


def _refuse_what_breaks_rules(plan: RestorePlan) -> None:
    if plan.objections:
        raise RestoreRefusedError(
            f"Refused the restore of {plan.backup['place']} as {plan.target['service']}; nothing was changed. "
            + " ".join(plan.objections)
        )


def _safety_backup(plan: RestorePlan, context: Context) -> dict[str, str]:
    name = plan.target["service"].rpartition("/")[2]
    return {
        "backup_name": backup_name(name, context["dag_run"].run_after),
        "tracking_conn_id": Settings.load().tracking_conn_id_of(name),
    }
