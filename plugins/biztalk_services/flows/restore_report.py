"""What became of a restore.

What the steps have left, and the service itself, count before the states that Airflow shows: a person can mark a step
or a run, and marking a run makes a step *skipped* that has requested something and waited for its next try.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from biztalk_services.drivers.base import Driver
from biztalk_services.flows.backup_report import NOT_RUN, reasons_of, why_lost
from biztalk_services.flows.find import find_service
from biztalk_services.model.backup import BackupReference
from biztalk_services.model.control_numbers import NumberRow
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.log import Logger
from biztalk_services.model.plain import to_plain
from biztalk_services.model.plan import ExistingService, RestorePlan
from biztalk_services.model.requests import REPLACE, REPORT
from biztalk_services.model.run import Run
from biztalk_services.model.service import Service, ServiceRef
from biztalk_services.model.steps import UNKNOWN, ConfirmedPlan, FirstNumbers, ReachedState, RestoreOutcome

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive

RESTORED, FAILED, PLANNED, REFUSED = "restored", "failed", "plan only", "refused"
NOTHING_CHANGED = "Nothing was changed."
_UNKNOWN = "in an unknown state"
_NOT_LOOKED = "Nothing is confirmed of its control numbers: task {step} left no result. See its log, and clear it."


class RestoreFailedError(BackupServiceError):
    """The restore failed or was refused; the message says what the state of the service is and what to do."""


@dataclass(frozen=True, kw_only=True)
class RestoreSteps:
    """The steps of a restore, as the operator that reports takes them; ``all`` in their order.

    :param look: the one that looks at the first control numbers.
    """

    all: Sequence[str]
    changes: Sequence[str]
    deletions: Mapping[str, str]
    required: Sequence[str]
    look: str


@dataclass(frozen=True, kw_only=True)
class RestoreResults:
    """What the steps of a restore have handed on; None where they did not.

    :param numbers: one row an agreement and kind.
    :param differences: what the restored service does not hold as it should, in sentences.
    :param resumed: the restored service when it was resumed, or left suspended.
    :param has_result: whether a step has succeeded and left its result.
    :param failure_of: the sentence with which a step failed, also when it had further tries.
    """

    plan: RestorePlan | None
    plan_only: bool
    approved_by: str | None
    confirmed: ConfirmedPlan | None
    safety_backup: BackupReference | None
    numbers: tuple[NumberRow, ...]
    differences: tuple[str, ...]
    resumed: ReachedState | None
    first_numbers: FirstNumbers | None
    has_result: Callable[[str], bool]
    failure_of: Callable[[str], str | None]


def restore_outcome(
    steps: RestoreSteps,
    states: Mapping[str, str | None],
    results: RestoreResults,
    *,
    driver: Callable[[], Driver],
    archive: Callable[[], Archive],
    restore_dag: str,
    log: Logger,
) -> RestoreOutcome:
    """What became of a restore.

    :param states: state of each step; a missing one did not run.
    :param restore_dag: id of the DAG that restores, for the advice how to restore the safety backup.
    """
    plan, safety = results.plan, results.safety_backup
    succeeded = {step for step in steps.all if results.has_result(step)}
    failures = {step for step in steps.all if step not in succeeded and results.failure_of(step)}
    failed = [
        step for step in steps.all if step in failures or (step != steps.look and _has_failed(step, states, succeeded))
    ]
    changed = [step for step in steps.changes if step in succeeded | failures or states.get(step) not in NOT_RUN]
    undone = [step for step in steps.required if step not in succeeded]
    sentences_of = {step: states.get(step) for step in failed} | dict.fromkeys(failures, "failed")
    reasons = reasons_of(failed, sentences_of, results.failure_of) or _not_carried_out(undone, states)
    outcome = RestoreOutcome(
        outcome=REFUSED,
        reason=reasons,
        service=plan.target.service if plan else None,
        backup=plan.backup.place if plan else None,
        approved_by=results.approved_by,
        numbers=results.numbers,
        differences=results.differences,
        first_numbers=results.first_numbers,
    )
    if plan is None:
        return replace(outcome, outcome=FAILED) if changed else _nothing_changed(outcome)
    if not changed and results.confirmed is None:
        if results.plan_only and not failed and not plan.blocking_issues:
            return replace(outcome, outcome=PLANNED, reason=f"Only the plan was requested. {NOTHING_CHANGED}")
        return _nothing_changed(outcome)
    service, state = _service_now(driver, plan, log)
    if not changed and state != _UNKNOWN and _is_as_planned(service, plan):
        return _nothing_changed(outcome)
    changed = changed or list(steps.changes)  # any of them may have, before a person prevented its next try
    end = results.resumed.reached_at if results.resumed else datetime.now(UTC)
    seconds = (end - results.confirmed.confirmed_at).total_seconds() if results.confirmed else None
    outcome = replace(outcome, state=state, seconds=None if seconds is None else round(seconds, 1))
    may_be_gone = service is None or service.under_way == "delete"
    by_us = any(wait in succeeded or (step in changed and may_be_gone) for step, wait in steps.deletions.items())
    deleted = by_us or (plan.existing is not None and may_be_gone and state != _UNKNOWN)
    lost = why_lost(archive(), safety) if deleted and safety else None
    if failed or undone:
        is_now = f"is {state}" if state else "is deleted" if deleted else "does not exist"
        sentences = [reasons, f"Service {plan.target.service} {is_now} now."]
    else:
        look = results.first_numbers or FirstNumbers(UNKNOWN, _NOT_LOOKED.format(step=steps.look))
        outcome = replace(outcome, first_numbers=look)
        sentences = [f"{plan.backup.place} is restored as {plan.target.service}, which is {state}.", look.sentence]
        if not lost:
            return replace(outcome, outcome=RESTORED, reason=" ".join(sentences))
    form = None
    if deleted and safety:
        form = _undo_form(driver, archive(), plan, safety, service, state, log)
        sentences.append(
            f"The service that was deleted is in the safety backup {safety.place}; to restore it, start {restore_dag} "
            f"with this form: {json.dumps(form)}."
        )
    elif by_us:
        sentences.append("The service that was there was deleted without a backup, as approved.")
    if lost:
        sentences.append(lost)
    return replace(
        outcome,
        outcome=FAILED,
        reason=" ".join(sentences),
        safety_backup=safety.place if safety else None,
        undo_form=form,
    )


def _has_failed(step: str, states: Mapping[str, str | None], succeeded: set[str]) -> bool:
    """Whether a step was carried out, as far as its state tells, and did not succeed."""
    return step not in succeeded and states.get(step) not in (*NOT_RUN, "success")


def _not_carried_out(undone: Sequence[str], states: Mapping[str, str | None]) -> str:
    marked = [step for step in undone if states.get(step) == "success"]
    sentences = [f"These steps were not carried out: {', '.join(undone)}."]
    if marked:
        sentences.append(f"A person marked {', '.join(marked)} as succeeded.")
    return " ".join(sentences)


def _nothing_changed(outcome: RestoreOutcome) -> RestoreOutcome:
    says_so = NOTHING_CHANGED.lower().rstrip(".") in outcome.reason.lower()
    return outcome if says_so else replace(outcome, reason=f"{outcome.reason} {NOTHING_CHANGED}")


def _is_as_planned(service: Service | None, plan: RestorePlan) -> bool:
    """Whether the target is as it was when the plan was made, so that no step has changed it."""
    if service is None or plan.existing is None:
        return service is None and plan.existing is None
    return ExistingService(service.state, service.etag) == plan.existing and service.under_way is None


def record_restore(
    archive: Archive, outcome: RestoreOutcome, *, when: datetime, run: Run, plan: RestorePlan, log: Logger
) -> None:
    """Record a restore that changed something. A failed one that cannot be recorded is reported all the same.

    :param when: moment at which the run began to change something, aware.
    """
    values = outcome.to_xcom() | {"schema_version": 1, "run": to_plain(run), "plan": plan.to_dict()}
    # Another Airflow may have a run of the same ids.
    name = f"{when.astimezone(UTC):%Y%m%d-%H%M%S}-{run.digest(plan.backup.subscription_id)}"
    try:
        url = archive.restores.record(plan.target.name, name, values)
    except BackupServiceError as error:
        if outcome.outcome == RESTORED:
            raise
        log.warning("The restore could not be recorded: %s", error)
    else:
        log.info("The restore is recorded: %s", url)


def _service_now(driver: Callable[[], Driver], plan: RestorePlan, log: Logger) -> tuple[Service | None, str | None]:
    """The service and its state; the state is None when it does not exist."""
    try:
        service = find_service(driver(), ServiceRef.parse(plan.target.service))
    except BackupServiceError as error:
        log.warning("The state of %s is unknown now: %s", plan.target.service, error)
        return None, _UNKNOWN
    return service, service.state if service else None


def _undo_form(
    driver: Callable[[], Driver],
    archive: Archive,
    plan: RestorePlan,
    safety: BackupReference,
    service: Service | None,
    state: str | None,
    log: Logger,
) -> dict[str, Any]:
    """The form that restores the safety backup to where it was taken, in place of what has the name now."""
    form: dict[str, Any] = {
        "service": safety.service,
        "target_scope": safety.scope,
        "backup": safety.container,
        "control_numbers": REPORT,
    }
    if state is not None:
        form["existing_service_policy"] = REPLACE
        form["without_safety_backup"] = service is None or "backup" not in service.allows
    try:
        settings = archive.catalog.inventory(safety.service, safety.container).settings
        return form | driver().same_overrides(plan, settings)
    except BackupServiceError as error:
        log.warning("%s", error)
        return form
