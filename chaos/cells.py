"""The cells of the matrix (which target fails at which moment of which step) and the batches in which they run."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest

NIGHT, BACKUP, RESTORE = "biztalk_nightly_backup", "biztalk_backup", "biztalk_restore"

_SERVICE_STEPS = (
    "wait_until_drained",
    "suspend",
    "wait_until_suspended",
    "back_up",
    "recheck_batches",
    "record_inventory",
    "wait_for_backup",
    "verify_backup",
    "publish_reference",
)
STEPS = {
    NIGHT: ("find_services", "back_up_services", "report"),
    BACKUP: ("check_backup", "wait_for_slot", *_SERVICE_STEPS, "resume"),
    RESTORE: (
        "plan",
        "approval",
        "confirm_plan",
        "replace.check_backup",
        *(f"replace.{step}" for step in _SERVICE_STEPS),
        "replace.delete",
        "replace.wait_until_deleted",
        "replace.resume_unless_deleted",
        "restore",
        "wait_for_restore",
        "verify_restore",
        "advance_control_numbers",
        "resume_if_requested",
        "first_numbers",
        "report",
    ),
}
"""Steps of each job that may change something or that other steps wait for, in the order in which they start. A night
backs each service up in a run of its own."""

_TRIGGERER_STEPS = ("resume", "resume_if_requested", "first_numbers")
"""Steps that end in the triggerer, which reports that to Airflow at once, or are skipped: they have no moment AFTER."""

_APPROVAL_STEPS = ("approval",)
"""Steps that request an approval and whose process exits at once: no process is left to be killed WITHIN them."""

_TASK_TARGETS = ("task", "worker")
"""Targets that exist only while a process of the task runs."""

FAULTS_PER_RUN = 3

MAX_DELAY_SECONDS = 1.0
"""Longest delay between the start of a step and a fault within it."""


class Moment(StrEnum):
    """The moment of a fault, relative to a step."""

    BEFORE = "before"
    WITHIN = "within"
    AFTER = "after"
    """The work of the step is done and not yet reported to Airflow."""


@dataclass(frozen=True)
class Cell:
    """
    :param job: id of the DAG
    :param step: id of the task at which the fault is injected
    :param moment: moment of the fault, relative to the step
    :param target: target of the fault, a name in :data:`chaos.targets.TARGETS`
    """

    job: str
    step: str
    moment: Moment
    target: str

    def __str__(self) -> str:
        return f"{self.target}, {self.moment} {self.step} ({self.job})"

    @property
    def fault_index(self) -> int:
        """Position of this fault among the faults of a run: the later the step, the later the fault."""
        steps = STEPS[self.job]
        return steps.index(self.step) * FAULTS_PER_RUN // len(steps)


@dataclass(frozen=True)
class Fault:
    """
    :param target: target of the fault
    :param delay_seconds: delay after the start of a step, for cells with the moment WITHIN
    """

    target: str
    delay_seconds: float


Scenario = tuple[Cell | None, ...]
"""The cells of one service, one for each fault of the batch; None: the service has no cell for this fault."""


@dataclass(frozen=True)
class Batch:
    """
    Runs for several services that go through the same faults at the same time, each service at steps of its own.

    :param faults: in the order in which they are injected
    :param scenarios: one for each service
    """

    faults: tuple[Fault, ...]
    scenarios: tuple[Scenario, ...]

    @property
    def cells(self) -> list[Cell]:
        return [cell for scenario in self.scenarios for cell in scenario if cell]


def job_of(scenario: Scenario) -> str:
    """Return the job to which all cells of a scenario belong."""
    return next(cell.job for cell in scenario if cell)


def all_cells(targets: Iterable[str], seed: int) -> list[Cell]:
    """
    Return every second pair of a step and a target, as on one colour of a chessboard, at a moment that follows from the
    seed; the next seed takes the other colour.
    """
    return [
        Cell(job, step, _moment(job, step, target, seed), target)
        for job, steps in STEPS.items()
        for row, step in enumerate(steps)
        for column, target in enumerate(targets)
        if (row + column + seed) % 2
    ]


def _moment(job: str, step: str, target: str, seed: int) -> Moment:
    possible = set(Moment)
    if step in _TRIGGERER_STEPS:
        possible.remove(Moment.AFTER)
    if step in _APPROVAL_STEPS and target in _TASK_TARGETS:
        possible.remove(Moment.WITHIN)
    return random.Random(f"{seed} {job} {step} {target}").choice(sorted(possible))


def sample(cells: Sequence[Cell], number: int | None, seed: int) -> list[Cell]:
    """Return this number of cells, from as few batches as possible; all cells when there are no more or it is None."""
    in_batch_order = [cell for batch in batches(cells, seed) for cell in batch.cells]
    return in_batch_order[:number]


def batches(cells: Iterable[Cell], seed: int, max_delay: float = MAX_DELAY_SECONDS) -> list[Batch]:
    """
    Group the cells into batches.

    The targets form a ring, and the faults of a batch go to consecutive targets, so that each target comes once at
    every position. In a batch the scenarios with the most cells come first, with the jobs alternating.

    :param max_delay: seconds; the longest delay of a fault within a step
    """
    rng, cells, result = random.Random(seed), list(cells), []
    # A target's place depends on the seed and its own name only, so that a sample is divided as the whole matrix is.
    ring = sorted({cell.target for cell in cells}, key=lambda target: random.Random(f"{seed} {target}").random())
    for start in range(len(ring)):
        targets = [ring[(start + index) % len(ring)] for index in range(FAULTS_PER_RUN)]
        faults = tuple(Fault(target, round(rng.uniform(max_delay / 10, max_delay), 2)) for target in targets)
        scenarios_by_job = []
        for job in STEPS:
            cells_by_fault = [
                [cell for cell in cells if (cell.job, cell.target, cell.fault_index) == (job, target, index)]
                for index, target in enumerate(targets)
            ]
            scenarios_by_job.append(zip_longest(*cells_by_fault))
        alternating = [scenario for row in zip_longest(*scenarios_by_job) for scenario in row if scenario]
        if alternating:
            result.append(Batch(faults, tuple(sorted(alternating, key=lambda scenario: scenario.count(None)))))
    return result
