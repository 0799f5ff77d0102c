"""What became of a service in a run, told from the states of its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

BACKED_UP, FAILED, NO_BACKUP = "backed up", "failed", "no backup in this edition"


@dataclass(frozen=True)
class Outcome:
    """
    What became of one service.

    :param service: name of the service
    :param cloud_service: its cloud service
    :param region: its region
    :param edition: its edition
    :param outcome: ``backed up``, ``failed`` or ``no backup in this edition``
    :param failed_step: the first step that failed
    :param reason: why, in sentences
    :param backup: ``account/container`` of the published backup
    :param items: how many items it holds; None when not known
    :param suspended_seconds: how long the service stood still
    :param state: state of the service at the end; None when not known
    """

    service: str
    cloud_service: str
    region: str | None
    edition: str | None
    outcome: str
    failed_step: str | None = None
    reason: str | None = None
    backup: str | None = None
    items: int | None = None
    suspended_seconds: float | None = None
    state: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

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
    """
    The steps that kept a service from being backed up and coming back; empty when all succeeded.

    Steps that only did not run because another failed are left out, unless nothing else explains the outcome.

    :param order: all steps, in the order in which they run
    :param states: state of each step; a missing one did not run
    """
    not_well = [step for step in order if states.get(step) != "success"]
    culprits = [step for step in not_well if states.get(step) not in (None, "upstream_failed", "skipped", "removed")]
    return culprits or not_well
