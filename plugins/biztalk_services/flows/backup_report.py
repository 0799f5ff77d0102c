"""What became of each service of a backup run.

What a step has left counts before the state that Airflow shows of it: a person can mark a step or a run, and marking a
run rewrites the states of steps that have succeeded. From what is missing nothing is concluded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from biztalk_services.model.backup import BackupReference
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.steps import ReachedState, RecordedInventory, Step
from biztalk_services.model.wording import how_many

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive

BACKED_UP, FAILED, NO_BACKUP = "backed up", "failed", "no backup in this edition"
NOT_BEGUN = "Its backup was not begun."
"""How the reason of a service begins whose run was never started."""
NOT_RUN = (None, "upstream_failed", "skipped", "removed")
"""States of a step that was not carried out, or whose next try a person has prevented."""


class BackupsFailedError(BackupServiceError):
    """At least one service was not backed up, or was not resumed."""


@dataclass(frozen=True)
class BackupOutcome(Step):
    """What became of one service.

    :param conn_id: connection to its subscription.
    :param service: its name, without the scope.
    :param outcome: ``backed up``, ``failed`` or ``no backup in this edition``.
    :param failed_step: the first step that failed.
    :param reason: why, in sentences.
    :param backup: ``account/container`` of the published backup.
    :param items: how many items that holds; None when not known.
    :param state: of the service at the end; None when not known.
    :param lacking: what its inventory lacks, and why, in sentences; None when it lacks nothing, or there is none.
    """

    conn_id: str
    service: str
    scope: str
    region: str | None
    edition: str | None
    outcome: str
    failed_step: str | None = None
    reason: str | None = None
    backup: str | None = None
    items: int | None = None
    suspended_seconds: float | None = None
    state: str | None = None
    lacking: str | None = None

    @property
    def address(self) -> str:
        """What tells it from other services of its name: ``connection/scope/name``."""
        return f"{self.conn_id}/{self.scope}/{self.service}"

    def sentence(self) -> str:
        """The outcome in one line, for a log."""
        parts = [f"{self.address} ({self.edition or 'unknown edition'}): {self.outcome}"]
        if self.failed_step:
            parts[0] += f" at {self.failed_step}"
        if self.backup:
            counted = "unknown items" if self.items is None else f"{self.items} items"
            parts.append(f"{counted} in {self.backup}")
        if self.suspended_seconds is not None:
            parts.append(f"suspended for {self.suspended_seconds} s")
        parts.append(f"now {self.state or 'in an unknown state'}")
        return " ".join(filter(None, [f"{', '.join(parts)}.", self.reason, self.lacking]))


def failed_steps(order: Sequence[str], states: Mapping[str, str | None]) -> list[str]:
    """The steps that kept a service from being backed up and resumed; empty when all succeeded.

    Steps that only did not run because another failed are left out, unless nothing else explains the outcome.

    :param order: all steps, in the order in which they run.
    :param states: state of each step; a missing one did not run.
    """
    not_succeeded = [step for step in order if states.get(step) != "success"]
    causes = [step for step in not_succeeded if states.get(step) not in NOT_RUN]
    return causes or not_succeeded


def without_a_sentence(step: str) -> str:
    """What is said of a step that failed and did not leave why."""
    return f"See the log of {step}. It ended without a reason, or a person marked it or the run."


def reasons_of(failed: Sequence[str], states: Mapping[str, str | None], failure_of: Callable[[str], str | None]) -> str:
    """Why steps failed, in sentences, each once.

    :param failed: as :func:`failed_steps` has them.
    :param failure_of: the sentence with which a step failed.
    """
    not_run = [step for step in failed if states.get(step) in NOT_RUN]
    sentences = [failure_of(step) or without_a_sentence(step) for step in failed if step not in not_run]
    if not_run:
        sentences.append(f"These steps were not carried out: {', '.join(not_run)}.")
    return " ".join(dict.fromkeys(sentences))


def why_lost(archive: Archive, reference: BackupReference) -> str | None:
    """Why a published reference cannot be read and cannot be published again, in sentences; None when it can."""
    try:
        archive.ensure_published(reference)
    except BackupServiceError as error:
        return (
            f"The reference of backup {reference.container} was published, and cannot be read now: {error} When the "
            "storage account is available again, clear task `report` to re-check."
        )
    return None


def backup_outcome(
    known: BackupOutcome,
    steps: Sequence[str],
    states: Mapping[str, str | None],
    *,
    published_by: str,
    resumed_by: str,
    reference: BackupReference | None,
    quiesced: ReachedState | None,
    resumed: ReachedState | None,
    recorded: RecordedInventory | None,
    is_running: bool,
    has_result: Callable[[str], bool],
    failure_of: Callable[[str], str | None],
    archive: Callable[[], Archive],
) -> BackupOutcome:
    """What became of a service that was to be backed up. It is backed up when its reference is published, not lost
    since, and it was resumed, whatever the states of the steps are.

    :param known: what is known of the service itself.
    :param steps: all of them, in the order in which they run.
    :param published_by: the step that publishes the reference.
    :param resumed_by: the step that resumes the service.
    :param reference: the published one.
    :param resumed: the end of the resumption.
    :param recorded: its inventory.
    :param is_running: whether the service is running now; counts where a person has marked the resumption as succeeded.
    :param has_result: whether a step has succeeded and left its result.
    :param failure_of: the sentence with which a step failed.
    """
    lost = why_lost(archive(), reference) if reference else None
    failed, reasons = [], []
    if reference is None:
        with_result = {step for step in steps if step != published_by and has_result(step)}
        seen = {step: "success" if step in with_result else _not_success(states.get(step)) for step in steps}
        failed = failed_steps(steps, seen)
        reasons = [reasons_of(failed, seen, failure_of)]
    elif resumed is None and not (states.get(resumed_by) == "success" and is_running):
        failed, reasons = [resumed_by], [failure_of(resumed_by) or without_a_sentence(resumed_by)]
    if lost:
        failed.append(published_by)
        reasons.append(lost)
        reference = None
    suspended = (resumed.reached_at - quiesced.reached_at).total_seconds() if quiesced and resumed else None
    return replace(
        known,
        outcome=FAILED if failed else BACKED_UP,
        failed_step=failed[0].rpartition(".")[2] if failed else None,
        reason=" ".join(dict.fromkeys(reasons)) or None,
        backup=reference.place if reference else None,
        items=reference.item_count if reference else None,
        suspended_seconds=None if suspended is None else round(suspended, 1),
        lacking=_lacking(recorded.unread) if recorded else None,
    )


def _lacking(unread: Mapping[str, str]) -> str | None:
    sentences = [f"Its inventory lacks its {part}: {why.rstrip('.')}." for part, why in unread.items()]
    return " ".join(sentences) or None


def not_begun(known: BackupOutcome, step: str, reason: str | None) -> BackupOutcome:
    """Of a service that was chosen, has backups, and has no run.

    :param step: the one that did not hand it on, or did not begin its run.
    :param reason: the sentence with which that failed.
    """
    why = reason or without_a_sentence(step)
    return replace(known, outcome=FAILED, failed_step=step, reason=f"{NOT_BEGUN} {why}")


def under_way(outcome: BackupOutcome, run_id: str) -> BackupOutcome:
    """Of a service whose run has not ended, so that its backup may still succeed."""
    if outcome.outcome == BACKED_UP:
        return outcome
    sentence = f"Run {run_id} has not ended. Clear task `report` when it has."
    return replace(outcome, reason=" ".join(filter(None, [sentence, outcome.reason])))


def _not_success(state: str | None) -> str | None:
    """The state of a step without a result: a success that left none was made one by a person; one that has not ended
    was not carried out."""
    return "marked" if state == "success" else state if state == "failed" else None


def summary(outcomes: Sequence[BackupOutcome]) -> str:
    """How many services ended how, a sentence."""
    not_begun = sum((each.reason or "").startswith(NOT_BEGUN) for each in outcomes)
    counts = Counter(each.outcome for each in outcomes)
    parts = [f"{count} {outcome}" for outcome, count in counts.items()]
    return f"{how_many(len(outcomes), 'service')}: {', '.join(parts)}, {not_begun} of them not begun."


def require_success(outcomes: Sequence[BackupOutcome], problems: Sequence[str] = ()) -> None:
    """Pass when at least one service was backed up, none failed, and there is no problem beside them.

    :param problems: what else makes the run red, in sentences.
    :raises BackupsFailedError: otherwise, naming the services and what went wrong.
    """
    failed = [outcome for outcome in outcomes if outcome.outcome == FAILED]
    if failed:
        names = Counter(outcome.service.lower() for outcome in outcomes)
        called = (each.service if names[each.service.lower()] == 1 else each.address for each in failed)
        reasons = (f"{name} ({each.failed_step}): {each.reason}" for name, each in zip(called, failed, strict=True))
        sentence = f"{len(failed)} of {len(outcomes)} services were not backed up or not resumed."
        raise BackupsFailedError(" ".join([sentence, *reasons, *problems]))
    if problems:
        raise BackupsFailedError(" ".join(["Services may not have been backed up.", *problems]))
    if not any(outcome.outcome == BACKED_UP for outcome in outcomes):
        raise BackupsFailedError(
            "No service was backed up: none of the chosen ones has an edition with backups, or none was chosen. Check "
            "the options include and exclude of [biztalk_services] and the form of the run."
        )
