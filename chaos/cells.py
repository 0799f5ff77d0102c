"""The cells of the matrix: which job, at which moment, and what dies."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

BACKUP, RESTORE = "biztalk_nightly_backup", "biztalk_restore"

_ONE_SERVICE = (
    "check_that_backup_is_allowed",
    "wait_until_batches_are_empty",
    "suspend",
    "wait_until_suspended",
    "back_up",
    "look_again_at_batches",
    "record_inventory",
    "wait_for_backup",
    "verify_backup",
    "publish_reference",
)
STEPS = {
    BACKUP: (
        "find_services",
        "service.wait_for_turn",
        *(f"service.{step}" for step in _ONE_SERVICE),
        "service.resume",
        "report",
    ),
    RESTORE: (
        "plan",
        "approval",
        "confirm_plan",
        *(f"replace.{step}" for step in _ONE_SERVICE),
        "replace.delete",
        "replace.wait_until_deleted",
        "replace.bring_back_unless_deleted",
        "restore",
        "wait_for_restore",
        "verify_restore",
        "settle_control_numbers",
        "resume_when_asked",
        "report",
    ),
}
"""Every step of each job that has a beginning of its own."""

LONGEST_SECONDS = 3.0
"""How long after the beginning of a step a death may come that is not at its beginning."""


@dataclass(frozen=True)
class Cell:
    """
    :param job: id of the DAG
    :param step: id of the task at which the death comes
    :param after: seconds after its beginning was seen; 0: at the beginning
    :param victim: what dies, a name in :data:`chaos.victims.VICTIMS`
    """

    job: str
    step: str
    after: float
    victim: str

    def __str__(self) -> str:
        when = f"{self.after:.1f} s into" if self.after else "at the beginning of"
        return f"{self.victim}, {when} {self.step} ({self.job})"


def all_cells(victims: Sequence[str], seed: int) -> list[Cell]:
    """Every victim at the beginning of every step, and at one moment within it that follows from the seed."""
    moments = random.Random(seed)
    return [
        Cell(job, step, after, victim)
        for job, steps in STEPS.items()
        for step in steps
        for victim in victims
        for after in (0.0, round(moments.uniform(0.1, LONGEST_SECONDS), 1))
    ]


def sample(cells: Sequence[Cell], number: int | None, seed: int) -> list[Cell]:
    """As many of them, chosen by the seed, in an order that follows from it; all when there are not more."""
    shuffled = random.Random(seed).sample(list(cells), len(cells))
    return shuffled[:number]
