"""What became of each service of a backup run, out of the states and the XComs of its steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from biztalk_services.model.backup import BackupReference
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.steps import ReachedState, Step

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive

BACKED_UP, FAILED, NO_BACKUP = "backed up", "failed", "no backup in this edition"


class BackupsFailedError(BackupServiceError):
    """At least one service was not backed up, or was not resumed."""


@dataclass(frozen=True)
class BackupOutcome(Step):
    """What became of one service.

    :param service: its name, without the scope.
    :param outcome: ``backed up``, ``failed`` or ``no backup in this edition``.
    :param failed_step: the first step that failed.
    :param reason: why, in sentences.
    :param backup: ``account/container`` of the published backup.
    :param items: how many items that holds; None when not known.
    :param state: of the service at the end; None when not known.
    """

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

    def sentence(self) -> str:
        """The outcome in one line, for a log."""
        parts = [f"{self.service} ({self.edition or 'unknown edition'}): {self.outcome}"]
        if self.failed_step:
            parts[0] += f" at {self.failed_step}"
        if self.backup:
            counted = "unknown items" if self.items is None else f"{self.items} items"
            parts.append(f"{counted} in {self.backup}")
        if self.suspended_seconds is not None:
            parts.append(f"suspended for {self.suspended_seconds} s")
        parts.append(f"now {self.state or 'in an unknown state'}")
        return ", ".join(parts) + (f". {self.reason}" if self.reason else ".")


def failed_steps(order: Sequence[str], states: Mapping[str, str | None]) -> list[str]:
    """The steps that kept a service from being backed up and resumed; empty when all succeeded.

    Steps that only did not run because another failed are left out, unless nothing else explains the outcome.

    :param order: all steps, in the order in which they run.
    :param states: state of each step; a missing one did not run.
    """
    not_succeeded = [step for step in order if states.get(step) != "success"]
    causes = [step for step in not_succeeded if states.get(step) not in (None, "upstream_failed", "skipped", "removed")]
    return causes or not_succeeded


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
    reference: BackupReference | None,
    quiesced: ReachedState | None,
    resumed: ReachedState | None,
    failure_of: Callable[[str], str | None],
    archive: Callable[[], Archive],
) -> BackupOutcome:
    """What became of a service that was to be backed up.

    :param known: what is known of the service itself.
    :param steps: all of them, in the order in which they run.
    :param published_by: the step that publishes the reference.
    :param failure_of: the sentence with which a step failed.
    """
    failed = failed_steps(steps, states)
    reasons = [failure_of(step) or f"See the log of {step}." for step in failed]
    if reference and (lost := why_lost(archive(), reference)):
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
    )


def require_success(outcomes: Sequence[BackupOutcome]) -> None:
    """Pass when at least one service was backed up and none failed.

    :raises BackupsFailedError: otherwise, naming the services and what went wrong.
    """
    failed = [outcome for outcome in outcomes if outcome.outcome == FAILED]
    if failed:
        reasons = " ".join(f"{outcome.service} ({outcome.failed_step}): {outcome.reason}" for outcome in failed)
        raise BackupsFailedError(
            f"{len(failed)} of {len(outcomes)} services were not backed up or not resumed. {reasons}"
        )
    if not any(outcome.outcome == BACKED_UP for outcome in outcomes):
        raise BackupsFailedError(
            "No service was backed up: none of the chosen ones has an edition with backups, or none was chosen. Check "
            "the options include and exclude of [biztalk_services] and the form of the run."
        )
