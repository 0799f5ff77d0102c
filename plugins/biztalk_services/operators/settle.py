"""Verifies a restored service against its backup, and settles its control numbers."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from biztalk_services.drivers.biztalk.values import CERTIFICATE, ONLY_IN_BACKUP, same_thing
from biztalk_services.hooks.biztalk_services import hook_for
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.inventory import CONTROL_NUMBERS
from biztalk_services.model.plan import RestorePlan
from biztalk_services.model.restore_request import EXACT, RAISE, RestoreRequest
from biztalk_services.model.service import ServiceRef
from biztalk_services.operators.catalog_step import CatalogStep, ChangingStep
from biztalk_services.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from biztalk_services.model.service import Service


class RestoreMismatchError(BackupServiceError):
    """The restored service does not hold what the backup held."""


class ControlNumbersOpenError(BackupServiceError):
    """Control numbers that a person has to settle before the service is resumed."""


class _RestoredStep(CatalogStep):
    """
    A step on the restored service.

    :param plan: XCom of the approved plan
    :param request: XCom of the choices behind it
    :param reference: XCom of the backup reference
    """

    template_fields = (*CatalogStep.template_fields, "plan", "request", "reference")

    def __init__(self, *, plan: Any, request: Any, reference: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan
        self.request = request
        self.reference = reference

    @property
    def chosen(self) -> RestoreRequest:
        return RestoreRequest(**self.request)

    def recorded(self) -> Any:
        """The inventory of the backup; None when nobody recorded one."""
        from biztalk_services.archive.backups import NotInCatalogError

        try:
            return self.catalog.inventory(self.reference["service"], self.reference["container"])
        except NotInCatalogError:
            return None


class BizTalkVerifyRestoreOperator(_RestoredStep):
    """
    Compares what a restored service holds with what was recorded at its backup.

    XCom: ``checked`` (one sentence), ``differences`` (a sentence each), ``allowed`` (those that the request asked for).

    Fails when anything is different that the request did not ask for, and when nobody recorded what was in the backup.

    **Idempotency:** only reads.
    """

    def run_step(self, context: Context) -> dict[str, Any]:
        from biztalk_services.hooks.inventory import inventory_now
        from biztalk_services.model.differences import differences

        recorded = self.recorded()
        if recorded is None:
            raise RestoreMismatchError(
                f"Service {self.service} is restored, but nobody recorded what was in backup "
                f"{self.reference['container']}, so it cannot be compared. Look at it before it is resumed."
            )
        service = hook_for(self.conn_id).get_service(ServiceRef.parse(self.service))
        now = inventory_now(service, Settings.load(), acs_conn_id=self.chosen.acs_conn_id)
        plan = RestorePlan.from_dict(self.plan)
        found = differences(recorded, now, allowed=overridden(plan, self.chosen))
        for difference in found:
            (self.log.info if difference.allowed else self.log.error)(difference.sentence())
        wrong = [difference.sentence() for difference in found if not difference.allowed]
        wrong += not_as_asked(plan, service)
        context["ti"].xcom_push(key="differences", value=wrong)
        if wrong:
            raise RestoreMismatchError(
                f"Service {self.service} is not what was backed up as {self.reference['container']}: "
                f"{' '.join(wrong)} It is Suspended; look at it before it is resumed."
            )
        checked = f"All {len(now.items)} items and {len(now.settings)} settings of {self.service} are as at the backup."
        self.log.info(checked)
        return {"checked": checked, "differences": [], "allowed": [each.sentence() for each in found]}


class BizTalkSettleControlNumbersOperator(_RestoredStep, ChangingStep):
    """
    Sees to it that a restored service gives out no control number that was used since its backup.

    XCom: ``numbers``: one row an agreement and kind that was used since (``agreement``, ``kind``, ``backup``: the last
    one of the backup, ``highest``: the highest used since, ``next``: the one that comes next now, ``done``,
    ``sentence``).

    ``raise`` changes the bounds of the agreements, ``report`` only lists, ``exact`` does not even look. Fails when
    numbers cannot be settled as asked.

    **Idempotency:** what is raised already is not raised again; bounds only go up.
    """

    purpose = "restore"

    def run_step(self, context: Context) -> dict[str, Any]:
        if self.chosen.control_numbers == EXACT:
            self.log.warning(
                "Control numbers stay as they were at the backup, as asked; numbers used since come again."
            )
            return {"numbers": []}
        from biztalk_services.hooks.control_numbers import settle_control_numbers
        from biztalk_services.hooks.tracking import used_since

        settings, raising = Settings.load(), self.chosen.control_numbers == RAISE
        rows, unsettled = settle_control_numbers(
            hook_for(self.conn_id).get_service(ServiceRef.parse(self.service)),
            self.chosen,
            self.recorded(),
            used_since(self.reference["service"], datetime.fromisoformat(self.reference["started_at"]), settings),
            settings,
            apply=raising,
        )
        context["ti"].xcom_push(key="numbers", value=rows)
        for row in rows:
            self.log.info("%s %s: %s", row["agreement"], row["kind"], row["sentence"])
        if raising and unsettled:
            raise ControlNumbersOpenError(
                f"Control numbers of {self.service} are not settled, and it is Suspended: {' '.join(unsettled)}"
            )
        return {"numbers": rows}


def overridden(plan: RestorePlan, request: RestoreRequest) -> set[str]:
    """Paths of an inventory that a restore changes on purpose, or settles by itself (control numbers)."""
    changed = {f"settings.{value.setting}" for value in plan.values if value.origin != ONLY_IN_BACKUP}
    if plan.target["service"].rpartition("/")[2].lower() != plan.backup["service"].lower():
        changed.add("service")
    if plan.target["edition"] != plan.backup["edition"].lower():
        changed.add("settings.Edition")
    if request.unit_count:
        changed.add("settings.UnitCount")
    return changed | {f"parts.{CONTROL_NUMBERS}"}


def not_as_asked(plan: RestorePlan, service: Service) -> list[str]:
    """What the restore was to change on purpose and did not, one sentence each."""
    asked = [("Edition", plan.target["edition"], service.edition)]
    if plan.target["unit_count"]:
        asked.append(("UnitCount", plan.target["unit_count"], service.unit_count))
    asked += [
        (value.setting, value.shown, service.settings.get(value.setting, ""))
        for value in plan.values
        if value.origin != ONLY_IN_BACKUP and value.setting != CERTIFICATE
    ]
    return [
        f"Setting {setting} was to be {wanted}, and is {found or 'nothing'}."
        for setting, wanted, found in asked
        if not same_thing(setting, str(wanted), str(found))
    ]
