"""Says at the end of a restore what became of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from biztalk_services.drivers.biztalk.connection_strings import TRACKING
from biztalk_services.drivers.biztalk.state_chart import states_allowing
from biztalk_services.drivers.biztalk.values import ACCESS_CONTROL, ARCHIVE, MONITORING, same_thing
from biztalk_services.flows.outcomes import failed_steps
from biztalk_services.hooks.biztalk_services import hook_for
from biztalk_services.hooks.catalog import catalog_of, why_lost
from biztalk_services.hooks.storage import storage_account
from biztalk_services.model.errors import BackupServiceError, ServiceNotFoundError
from biztalk_services.model.restore_request import REPLACE, REPORT
from biztalk_services.model.service import ServiceRef
from biztalk_services.operators.approval import NOTHING_CHANGED
from biztalk_services.operators.claim import give_up
from biztalk_services.operators.step import AdvicePolicy, failure_told
from biztalk_services.triggers.wait import FAILURE, told

if TYPE_CHECKING:
    from airflow.sdk import Context

RESTORED, FAILED, PLANNED, REFUSED = "restored", "failed", "planned only", "refused"
_CARRIED_OUT = ("restore", "wait_for_restore", "verify_restore", "settle_control_numbers", "resume_when_asked")
"""Steps that all have to succeed before anything counts as restored."""
_SAFETY_REFERENCE = "replace.publish_reference"
_UNKNOWN = "in an unknown state"
_CONNECTIONS = {
    "acs_conn_id": ACCESS_CONTROL,
    "tracking_conn_id": TRACKING,
    "archive_conn_id": ARCHIVE,
    "monitoring_conn_id": MONITORING,
}
"""Field of the form -> setting that the connection is about."""


class RestoreFailedError(BackupServiceError):
    """The restore did not come to a good end; the message says where the service stands and what to do."""


class BizTalkReportRestoreOperator(BaseOperator):
    """
    Says what became of a restore, records it in the catalog, and fails the run when it did not come to a good end.

    XCom: ``outcome`` (``restored``, ``failed``, ``planned only``, ``refused``), ``service``, ``backup``, ``state`` now,
    ``reason``, ``approved_by``, ``seconds``, ``numbers``, ``differences``, ``safety_backup``, ``way_back`` (the form
    that restores the safety backup; null when nothing was deleted); pushed before the run is failed.

    **Idempotency:** a record is never overwritten.

    :param steps: ids of all steps, in their order
    :param changes: ids of those that change something
    :param deletions: id of a step that deletes the living service -> that of the wait until it is gone
    :param conn_id: connection to the subscription
    :param storage_conn_id: connection to the storage account of the catalog
    :param catalog_container: container of the catalog
    """

    template_fields = ("conn_id", "storage_conn_id", "catalog_container")

    def __init__(
        self,
        *,
        steps: Sequence[str],
        changes: Sequence[str],
        deletions: Mapping[str, str],
        conn_id: str = "biztalk_default",
        storage_conn_id: str = "biztalk_backup_storage",
        catalog_container: str = "biztalk-backup-catalog",
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("retry_policy", AdvicePolicy())
        super().__init__(**kwargs)
        self.steps = list(steps)
        self.changes = list(changes)
        self.deletions = dict(deletions)
        self.conn_id = conn_id
        self.storage_conn_id = storage_conn_id
        self.catalog_container = catalog_container

    def execute(self, context: Context) -> None:
        ti = context["ti"]
        states = ti.get_task_states(dag_id=ti.dag_id, task_ids=self.steps, run_ids=[ti.run_id]).get(ti.run_id, {})
        with failure_told(context):
            outcome = self._outcome(context, states)
            ti.xcom_push(key="return_value", value=outcome)
            if outcome["outcome"] in (RESTORED, FAILED):
                self._keep(context, outcome)
            if outcome["service"]:
                give_up(
                    context,
                    [outcome["service"].rpartition("/")[2]],
                    storage_conn_id=self.storage_conn_id,
                    catalog_container=self.catalog_container,
                )
            if outcome["outcome"] in (FAILED, REFUSED):
                raise RestoreFailedError(outcome["reason"])
            self.log.info(outcome["reason"])

    def _outcome(self, context: Context, states: Mapping[str, str | None]) -> dict[str, Any]:
        def pulled(step: str, key: str = "return_value") -> Any:
            return told(context["ti"].xcom_pull(task_ids=step, key=key))

        plan, approval = pulled("plan") or None, pulled("approval") or {}
        failed = [
            step for step in failed_steps(self.steps, states) if states.get(step) not in (None, "skipped", "removed")
        ]
        changed = [
            step for step in self.changes if states.get(step) not in (None, "skipped", "removed", "upstream_failed")
        ]
        undone = [step for step in _CARRIED_OUT if states.get(step) != "success"]
        reasons = " ".join(dict.fromkeys(pulled(step, FAILURE) or f"See the log of {step}." for step in failed))
        known = {
            "service": plan and plan["target"]["service"],
            "backup": plan and plan["backup"]["place"],
            "approved_by": (approval.get("responded_by_user") or {}).get("name"),
            "numbers": pulled("settle_control_numbers", "numbers") or [],
            "differences": pulled("verify_restore", "differences") or [],
            "seconds": None,
            "state": None,
            "safety_backup": None,
            "way_back": None,
        }
        if not changed:
            if not failed and context["params"].get("plan_only"):
                return known | {"outcome": PLANNED, "reason": f"Only the plan was asked for. {NOTHING_CHANGED}"}
            return known | {"outcome": REFUSED, "reason": _unchanged(reasons or _not_done(undone))}
        known |= {"state": self._state_now(known["service"]), "seconds": _seconds(pulled("confirm_plan"))}
        safety = pulled(_SAFETY_REFERENCE)
        deleted = any(
            states.get(gone) == "success" or (step in changed and known["state"] in (None, "Deleting", _UNKNOWN))
            for step, gone in self.deletions.items()
        )
        places = {"storage_conn_id": self.storage_conn_id, "catalog_container": self.catalog_container}
        lost = why_lost(safety, **places) if deleted and safety else None
        if failed or undone:
            stands = f"Service {known['service']} is {known['state'] or 'not there'} now."
            sentences = [reasons or _not_done(undone), stands]
        else:
            sentences = [f"{known['backup']} is restored as {known['service']}, which is {known['state']}."]
            if not lost:
                return known | {"outcome": RESTORED, "reason": sentences[0]}
        back = None
        if deleted and safety:
            back = self._way_back(safety, plan, pulled("plan", "request"), known["state"])
            sentences.append(
                f"The service that was there is in the safety backup {safety['account']}/{safety['container']}; to "
                f"restore it, start biztalk_restore with this form: {json.dumps(back)}."
            )
        elif deleted:
            sentences.append("The service that was there was deleted without a backup, as approved.")
        if lost:
            sentences.append(lost)
        return known | {
            "outcome": FAILED,
            "reason": " ".join(sentences),
            "safety_backup": safety and f"{safety['account']}/{safety['container']}",
            "way_back": back,
        }

    def _state_now(self, service: str) -> str | None:
        try:
            return hook_for(self.conn_id).get_service(ServiceRef.parse(service)).state
        except ServiceNotFoundError:
            return None
        except BackupServiceError as error:
            self.log.warning("The state of %s is not known now: %s", service, error)
            return _UNKNOWN

    def _way_back(
        self, safety: Mapping[str, Any], plan: Mapping[str, Any], request: Mapping[str, Any], state: str | None
    ) -> dict[str, Any]:
        """The form that restores the safety backup to where it was taken, in place of what has the name now."""
        form: dict[str, Any] = {
            "service": safety["service"],
            "target_cloud_service": safety["cloud_service"],
            "backup": safety["container"],
            "control_numbers": REPORT,
        }
        if state is not None:
            form["when_name_is_taken"] = REPLACE
            form["without_safety_backup"] = state not in states_allowing("backup")
        return form | self._same_connections(safety, plan, request)

    def _same_connections(
        self, safety: Mapping[str, Any], plan: Mapping[str, Any], request: Mapping[str, Any]
    ) -> dict[str, str]:
        """The connections that were chosen in the form and lead to what the service that was there worked with."""
        catalog = catalog_of(self.storage_conn_id, self.catalog_container)
        try:
            settings = catalog.inventory(safety["service"], safety["container"]).settings
        except BackupServiceError as error:
            self.log.warning("%s", error)
            return {}
        shown = {value["setting"]: value["shown"] for value in plan["values"]}
        return {
            field: request[field]
            for field, setting in _CONNECTIONS.items()
            if request.get(field) and same_thing(setting, shown.get(setting, ""), settings.get(setting, ""))
        }

    def _keep(self, context: Context, outcome: dict[str, Any]) -> None:
        """A failure that cannot be recorded is told all the same."""
        from biztalk_services.archive.restores import Restores

        name = outcome["service"].rpartition("/")[2]
        ti = context["ti"]
        run = {"dag_id": ti.dag_id, "run_id": ti.run_id}
        records = Restores(storage_account(self.storage_conn_id).client, self.catalog_container)
        when = f"{context['dag_run'].run_after.astimezone(UTC):%Y%m%d-%H%M%S}"
        plan = ti.xcom_pull(task_ids="plan")
        try:
            url = records.record(name, when, outcome | {"schema_version": 1, "run": run, "plan": plan})
        except BackupServiceError as error:
            if outcome["outcome"] == RESTORED:
                raise
            self.log.warning("The restore could not be recorded: %s", error)
        else:
            self.log.info("The restore is recorded at %s.", url)


def _unchanged(reason: str) -> str:
    """A reason with the word that nothing was changed, said once."""
    return reason if NOTHING_CHANGED.lower().rstrip(".") in reason.lower() else f"{reason} {NOTHING_CHANGED}"


def _not_done(steps: Sequence[str]) -> str:
    """Nothing failed, and yet not all was done: somebody skipped a step, or removed it."""
    return f"These steps were not carried out: {', '.join(steps)}."


def _seconds(confirmed: Mapping[str, Any] | None) -> float | None:
    if not confirmed:
        return None
    return round((datetime.now(UTC) - datetime.fromisoformat(confirmed["confirmed_at"])).total_seconds(), 1)
