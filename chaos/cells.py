"""The cells of the matrix: at which moment of which step what dies; and the waves in which they are carried out."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest

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
"""Every step of each job that may change something or that others wait for, in the order in which they begin."""

OF_THE_WHOLE_RUN = ("find_services", "report")
"""Steps of a backup that are not of one service: every service of the run waits for them."""

_ENDED_BY_TRIGGERER = ("service.resume", "resume_when_asked")
"""Steps that always wait for what they asked for, and whose end Airflow knows at once, since the triggerer tells it."""

_OF_A_PERSON = ("approval",)
"""Steps whose process has asked and is gone before anything could be within it."""

_OF_A_TASK = ("task", "worker")
"""Victims that are there while a process of the task is."""

DEATHS = 3
"""How many deaths a run meets."""

LONGEST_SECONDS = 1.0
"""How long after the beginning of a step a death comes at the latest that is within it."""


class Moment(StrEnum):
    """When death comes, seen from a step."""

    BEFORE = "before"
    WITHIN = "within"
    AFTER = "after"
    """It was done, and Airflow does not know it yet."""


@dataclass(frozen=True)
class Cell:
    """
    :param job: id of the DAG
    :param step: id of the task at which the death comes
    :param moment: when
    :param victim: what dies, a name in :data:`chaos.victims.VICTIMS`
    """

    job: str
    step: str
    moment: Moment
    victim: str

    def __str__(self) -> str:
        return f"{self.victim}, {self.moment} {self.step} ({self.job})"

    @property
    def turn(self) -> int:
        """Which of the deaths of a run is this one: the later the step, the later the death."""
        steps = STEPS[self.job]
        return steps.index(self.step) * DEATHS // len(steps)

    @property
    def of_the_whole_run(self) -> bool:
        return self.job == BACKUP and self.step in OF_THE_WHOLE_RUN


@dataclass(frozen=True)
class Death:
    """
    :param victim: what dies
    :param seconds: how long after the beginning of a step, where it comes within one
    """

    victim: str
    seconds: float


Fate = tuple[Cell | None, ...]
"""The cell of one service for each of the deaths; None: it meets that one wherever it happens to be."""


@dataclass(frozen=True)
class Wave:
    """
    Services that go through the same deaths beside each other, each at steps of its own.

    :param deaths: in their order
    :param fates: one a service
    """

    deaths: tuple[Death, ...]
    fates: tuple[Fate, ...]

    @property
    def cells(self) -> list[Cell]:
        return [cell for fate in self.fates for cell in fate if cell]


def all_cells(victims: Iterable[str], seed: int) -> list[Cell]:
    """
    Every second pair of a step and a victim, as on one colour of a chessboard, at a moment that follows from the seed;
    the next seed takes the other colour.
    """
    return [
        Cell(job, step, _moment(job, step, victim, seed), victim)
        for job, steps in STEPS.items()
        for row, step in enumerate(steps)
        for column, victim in enumerate(victims)
        if (row + column + seed) % 2
    ]


def _moment(job: str, step: str, victim: str, seed: int) -> Moment:
    possible = set(Moment)
    if step in _ENDED_BY_TRIGGERER:
        possible.remove(Moment.AFTER)
    if step in _OF_A_PERSON and victim in _OF_A_TASK:
        possible.remove(Moment.WITHIN)
    return random.Random(f"{seed} {job} {step} {victim}").choice(sorted(possible))


def sample(cells: Sequence[Cell], number: int | None, seed: int) -> list[Cell]:
    """As many of them, of as few waves as possible; all when there are not more."""
    taken = [cell for wave in waves(cells, seed) for cell in wave.cells]
    return taken[:number]


def waves(cells: Iterable[Cell], seed: int, longest: float = LONGEST_SECONDS) -> list[Wave]:
    """
    The cells, put together: every wave has its first deaths of one victim, its second ones of the next victim, and so
    on, so that each victim comes once as every one of them. In a wave those stand first who meet the most deaths, of
    either job in turn.

    :param longest: seconds; how late within a step a death may come
    """
    chance, cells, made = random.Random(seed), list(cells), []
    # Each victim's place follows from the seed and not from the others, so that a sample falls apart as the whole does.
    victims = sorted({cell.victim for cell in cells}, key=lambda victim: random.Random(f"{seed} {victim}").random())
    for first in range(len(victims)):
        named = [victims[(first + number) % len(victims)] for number in range(DEATHS)]
        deaths = tuple(Death(victim, round(chance.uniform(longest / 10, longest), 2)) for victim in named)
        groups = []
        for alike in _alike(cells):
            met = [
                [cell for cell in alike if (cell.victim, cell.turn) == (victim, number)]
                for number, victim in enumerate(named)
            ]
            groups.append(zip_longest(*met))
        in_turn = [fate for one_of_each in zip_longest(*groups) for fate in one_of_each if fate]
        if in_turn:
            made.append(Wave(deaths, tuple(sorted(in_turn, key=lambda fate: fate.count(None)))))
    return made


def _alike(cells: Sequence[Cell]) -> list[list[Cell]]:
    """The cells that may share a service's fate."""
    return [
        [cell for cell in cells if cell.job == BACKUP and not cell.of_the_whole_run],
        [cell for cell in cells if cell.of_the_whole_run],
        [cell for cell in cells if cell.job == RESTORE],
    ]
