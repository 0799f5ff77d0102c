"""Makes the plan of a restore: checks the backup, the target and everything that the restored service needs. A
plan only reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, Any

from biztalk_services.drivers.base import Capability, Driver, RestoreProposal
from biztalk_services.flows import restore_checks
from biztalk_services.flows.find import find_service
from biztalk_services.model.backup import BackupReference, backup_name
from biztalk_services.model.checks import Check
from biztalk_services.model.control_numbers import NumberPlan, UseReport
from biztalk_services.model.differences import differences
from biztalk_services.model.durations import spoken
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.inventory import Inventory
from biztalk_services.model.plan import ExistingService, RestorePlan
from biztalk_services.model.requests import EXACT, RAISE, REPLACE, REPORT, RESTORABLE, RestoreRequest
from biztalk_services.model.run import Run, RunState
from biztalk_services.model.service import Service, ServiceKey, ServiceRef
from biztalk_services.model.wording import shortened

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive

Drivers = Mapping[str, Callable[[], Driver]]
"""Connection to a subscription -> opens its driver."""

_MOST_DIFFERENCES = 200
"""Kinds of backups among which the newest is restored, where the form names none: a safety backup holds what was to be
replaced, and a drill's is of a scratch service."""

_NUMBER_STEPS = {
    RAISE: "Advance the control numbers beyond those used since the backup.",
    REPORT: "List the control numbers used since the backup; leave them as they are.",
    EXACT: "Leave the control numbers as they were at the backup.",
}


class RestoreRefusedError(BackupServiceError):
    """A restore that breaks rules; nothing was changed."""


class PlanOutdatedError(BackupServiceError):
    """The situation is not any more as it was when the plan was made; nothing was changed."""


def find_backup(archive: Archive, form: Mapping[str, Any], drivers: Drivers) -> BackupReference:
    """The backup that a form means.

    :param form: ``backup`` is a name, empty for the newest of ``service``, or a whole reference. ``service`` is
        ``name``, ``scope/name`` or ``connection/scope/name``.
    :raises NotInCatalogError: there is no such backup.
    :raises InvalidReferenceError: it is of a version that is not known here, or the newest is not known.
    :raises RestoreRefusedError: the backup is one of another service.
    """
    named = form.get("backup")
    if isinstance(named, Mapping):
        given = BackupReference.from_dict(named)
        wanted, name = str(form.get("service") or given.service).strip(), given.container
    else:
        request = RestoreRequest.from_form(form)
        wanted, name = request.service, request.backup.rpartition("/")[2]
    name_of_service, *above = wanted.split("/")[::-1]
    scope, conn_id = (*above, None, None)[:2]
    if conn_id and conn_id not in drivers:
        raise RestoreRefusedError(f"There is no connection {conn_id} in option conn_id; it has {', '.join(drivers)}.")
    # Where there is one subscription, only what was backed up there can be restored.
    only = conn_id or (next(iter(drivers)) if len(drivers) == 1 else None)
    subscription_id = drivers[only]().subscription_id if only is not None else None
    if not name:
        return archive.catalog.latest(name_of_service, subscription_id=subscription_id, scope=scope, kinds=RESTORABLE)
    backup = archive.catalog.read(given.service if isinstance(named, Mapping) else name_of_service, name)
    meant = [
        (name_of_service, backup.service),
        (scope, backup.scope),
        (conn_id and subscription_id, backup.subscription_id),
    ]
    if any(text and text.lower() != own.lower() for text, own in meant):
        raise RestoreRefusedError(
            f"The form names service {wanted}, and the backup {backup.place} is one of service "
            f"{backup.scope}/{backup.service} of subscription {backup.subscription_id}. Correct one of the two."
        )
    return backup


def driver_of(backup: BackupReference, drivers: Drivers) -> tuple[str, Driver]:
    """The connection to the subscription in which a backup was taken, and its driver. Where none leads there, the
    first one that can be opened: the plan then says that it is of another subscription.

    :raises BackupServiceError: none of them leads there, and one cannot be opened, which may be the one.
    """
    opened: dict[str, Driver] = {}
    failure: BackupServiceError | None = None
    for conn_id, open_driver in drivers.items():
        try:
            opened[conn_id] = open_driver()
        except BackupServiceError as error:
            failure = failure or error
        else:
            if opened[conn_id].subscription_id.lower() == backup.subscription_id.lower():
                return conn_id, opened[conn_id]
    if failure:
        raise failure
    return next(iter(opened.items()))


@dataclass(frozen=True)
class Planner:
    """Makes plans.

    :param conn_id: connection to the subscription; empty where there is no other.
    :param run: the run that plans; None outside of a run.
    :param run_state: what is known of a run.
    :param at: moment that the name of a safety backup follows from, aware: when the run first planned.
    """

    driver: Driver
    conn_id: str
    archive: Archive
    run: Run | None
    run_state: Callable[[Run], RunState]
    at: datetime

    def request(self, form: Mapping[str, Any], backup: BackupReference) -> RestoreRequest:
        """The choices of a form whose backup was found."""
        form = {**form, "service": backup.service, "backup": backup.container}
        return RestoreRequest.from_form(form, self.driver.info.overrides)

    def plan(self, request: RestoreRequest, backup: BackupReference) -> RestorePlan:
        """The plan of a restore as the situation is now.

        :raises BackupServiceError: subscription or catalog cannot be read, so that there is nothing to plan with.
        """
        facts = _Facts.read(self, request, backup)
        existing = facts.existing
        used = self.driver.control_numbers_since(backup.service, backup.started_at)
        has_numbers = Capability.CONTROL_NUMBERS in self.driver.info.capabilities
        numbers = _control_numbers(self.driver, facts, used) if has_numbers else NumberPlan()
        durations = self.archive.restores.durations(facts.target.name)
        has_safety_backup = bool(existing and facts.replaces and restore_checks.can_be_backed_up(existing))
        target = ServiceKey(self.driver.subscription_id, facts.target)
        return RestorePlan(
            made_at=datetime.now(UTC),
            conn_id=self.conn_id,
            request=request,
            backup=backup,
            stored=facts.stored,
            target=facts.proposal.target,
            existing=ExistingService(existing.state, existing.etag) if existing else None,
            replaces=facts.replaces,
            safety_backup=backup_name(target, self.at) if has_safety_backup else None,
            rules=(
                restore_checks.backup_is_whole(self.archive, backup),
                restore_checks.same_subscription(backup, self.driver.subscription_id),
                restore_checks.name_is_free(request, facts.target, existing),
                *(restore_checks.replacement_checks(request, existing) if existing and facts.replaces else ()),
                *facts.proposal.checks,
                restore_checks.not_locked(self.archive, target, self.run, self.run_state),
                *([_numbers_check(numbers)] if has_numbers and request.control_numbers == RAISE else []),
            ),
            values=facts.proposal.values,
            losses=(*_losses(self.driver, facts, used), *numbers.remarks),
            differences=_differences(self.driver, facts),
            control_numbers=numbers.rows,
            steps=tuple(_steps(facts, has_safety_backup, has_numbers)),
            expected_seconds=median(durations) if durations else None,
        )

    def confirm(self, approved: RestorePlan, approved_hash: str | None) -> RestorePlan:
        """The plan made again, right before the first change.

        :param approved: the plan that was approved, as it is in XCom.
        :param approved_hash: of the plan that the person was shown who approved.
        :raises PlanOutdatedError: it is not the approved one.
        :raises RestoreRefusedError: it has blocking issues.
        :raises StorageError: the archive cannot be written.
        """
        if approved.hash != approved_hash:
            raise PlanOutdatedError(
                "The plan was made again after it was approved, and the new one is not approved; nothing was changed. "
                "Clear the step approval to have it read, or start another restore."
            )
        plan = self.plan(approved.request, approved.backup)
        if plan.hash != approved.hash:
            raise PlanOutdatedError(
                "The approved plan is not what would be done now; nothing was changed. What is different: "
                + "; ".join(plan.changes_since(approved))
                + ". Start another restore, and read its plan."
            )
        refuse_if_blocked(plan)
        self.archive.check_writable()
        return plan


def refuse_if_blocked(plan: RestorePlan) -> None:
    """Nothing when the plan has no blocking issue.

    :raises RestoreRefusedError: with all of them otherwise.
    """
    if plan.blocking_issues:
        raise RestoreRefusedError(
            f"Refused the restore of {plan.backup.place} as {plan.target.service}; nothing was changed. "
            + " ".join(plan.blocking_issues)
        )


@dataclass(frozen=True)
class _Facts:
    """What a plan is made of, read once."""

    request: RestoreRequest
    backup: BackupReference
    recorded: Inventory | None
    stored: dict[str, str]
    target: ServiceRef
    existing: Service | None
    original: Service | None
    """The service that was backed up, or the one that has its place now; None when there is neither."""
    beside: Service | None
    """The service that was backed up, where it stays beside a restored one of another name."""
    proposal: RestoreProposal

    @classmethod
    def read(cls, planner: Planner, request: RestoreRequest, backup: BackupReference) -> _Facts:
        unread: list[str] = []
        services = planner.driver.list_services(unread.append)
        target = ServiceRef(request.target_scope or backup.scope, request.target_name or backup.service)
        existing = _service_like(target, services)
        if existing is None and unread:  # one of the entries may be the target's
            existing = find_service(planner.driver, target)
        recorded = planner.archive.catalog.inventory_of(backup)
        stored = dict(recorded.settings) if recorded else {}
        proposal = planner.driver.propose_restore(request, backup, stored, target, services)
        source = _service_like(ServiceRef(backup.scope, backup.service), services)
        beside = source if source and source.ref.name.lower() != target.name.lower() else None
        return cls(request, backup, recorded, stored, target, existing, existing or source, beside, proposal)

    @property
    def replaces(self) -> bool:
        return self.existing is not None and self.request.existing_service_policy == REPLACE


def _service_like(ref: ServiceRef, services: Sequence[Service]) -> Service | None:
    """The service at this address, else one of its name in another scope; None when the name is free."""
    same_name = [each for each in services if each.ref.name.lower() == ref.name.lower()]
    exact = [each for each in same_name if each.ref.scope.lower() == ref.scope.lower()]
    return next(iter(exact + same_name), None)


def _control_numbers(driver: Driver, facts: _Facts, used: UseReport) -> NumberPlan:
    """What has to be done about the numbers used since the backup; also when the service does not exist any more."""
    if facts.recorded is None:
        return NumberPlan(open=(used.sentence(),) if used.problem else ())
    request = facts.request
    applies = request.control_numbers == RAISE
    return driver.plan_control_numbers(facts.recorded, used, margin=request.margin, apply=applies)


def _numbers_check(plan: NumberPlan) -> Check:
    message = " ".join(plan.open) or "Every control number used since the backup can be skipped."
    return Check("control-numbers", not plan.open, message, restore_checks.SOURCE)


def _differences(driver: Driver, facts: _Facts) -> tuple[str, ...]:
    if facts.original is None:
        return ()
    if facts.recorded is None:
        return ("The backup has no inventory, so it cannot be compared with the existing service.",)
    try:
        now = driver.inventory(facts.original)
    except BackupServiceError as error:
        return (f"The existing service {facts.original.ref} cannot be compared with the backup: {error}",)
    sentences = [difference.sentence() for difference in differences(facts.recorded, now)]
    return tuple(shortened(sentences, _MOST_DIFFERENCES))


def _losses(driver: Driver, facts: _Facts, used: UseReport) -> list[str]:
    backup = facts.backup
    age = datetime.now(UTC) - backup.finished_at
    losses = [
        f"The backup is {spoken(age.total_seconds())} old; what was changed since is lost.",
        f"Messages sent since: {used.sentence()}",
        *(f"{each.what}: {each.sentence}" for each in backup.not_included),
    ]
    if not backup.drain.drained:
        losses.append(
            "It is not certain that no batch held messages when the backup was taken; such messages are lost."
        )
    losses += _not_comparable(facts)
    if facts.replaces:
        try:
            losses.append(driver.drain_status(facts.target.name).sentence())
        except BackupServiceError as error:
            losses.append(str(error))
    if facts.beside and Capability.CONTROL_NUMBERS in driver.info.capabilities:
        losses.append(
            f"Service {facts.beside.ref}, which was backed up, exists beside the restored one and is "
            f"{facts.beside.state}. What it gives out after this plan and after the control numbers are advanced, the "
            "restored one will give out again: suspend it before, and resume only one of the two."
        )
    if facts.request.control_numbers == EXACT:
        losses.append(
            "Control numbers are left as they were at the backup: every number used since is given out again, and "
            "partners reject or mistake such messages."
        )
    return [*losses, *facts.proposal.remarks]


def _not_comparable(facts: _Facts) -> list[str]:
    if facts.recorded is None:
        return ["The backup has no inventory, so the restored service cannot be compared: the run will fail."]
    return [
        f"The {part} was not recorded at the backup, so that part of the restored service cannot be compared: {why}"
        for part, why in facts.recorded.parts.items()
        if why
    ]


def _steps(facts: _Facts, has_safety_backup: bool, has_numbers: bool) -> list[str]:
    steps = []
    if facts.replaces and facts.existing:
        if has_safety_backup:
            steps.append(
                f"Wait until no batch of {facts.existing.ref} holds messages, suspend it, back it up, read the backup "
                "back."
            )
        steps.append(f"Delete {facts.existing.ref}, and wait until its name is free.")
    looks = has_numbers and facts.request.resume_afterwards and facts.request.control_numbers == RAISE
    return [
        *steps,
        f"Restore {facts.backup.place} as {facts.target} ({facts.proposal.target.description}); it arrives suspended.",
        "Compare what it holds with what was recorded at the backup.",
        *([_NUMBER_STEPS[facts.request.control_numbers]] if has_numbers else []),
        "Resume it, and wait until it is running." if facts.request.resume_afterwards else "Leave it suspended.",
        *(["Look at the first control numbers that it gives out."] if looks else []),
    ]
