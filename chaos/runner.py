"""Carries out waves of cells on a running stack."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from chaos.books import Books
from chaos.cells import BACKUP, RESTORE, Cell, Death, Fate, Moment, Wave
from chaos.gates import Gates, Side
from chaos.verdict import shortcomings
from chaos.victims import VICTIMS
from stack import Stack

DOWN_SECONDS = 1.0
"""How long what died stays dead at least; its start takes seconds more."""

READING_SECONDS = 3.0
"""How long a person takes at least to read a plan."""

ARRIVAL_SECONDS = 120
RUN_SECONDS = 600
SETTLE_SECONDS = 300
"""For the watchdog: two minutes until it may act, one until it looks, and the resumption."""

POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Outcome:
    """
    :param cell: which one
    :param met: whether its task stood where it should when death came, and what should die died
    :param green: whether the run says that all went well with the service; None when it did not end
    :param wrong: what is wrong, one sentence each
    """

    cell: Cell
    met: bool
    green: bool | None
    wrong: tuple[str, ...]

    @property
    def verdict(self) -> str:
        return "FAILED" if self.wrong else "passed" if self.met else "too late"


@dataclass(frozen=True, eq=False)
class _Story:
    """A service, its fate, the run, and how it was before."""

    job: str
    fate: Fate
    service: str
    run_id: str
    before: Any

    def gate(self, cell: Cell) -> str:
        side = Side.AFTER if cell.moment is Moment.AFTER else Side.BEFORE
        return Gates.name(cell.job, self.run_id if cell.of_the_whole_run else self.service, cell.step, side)

    @property
    def gates(self) -> list[str]:
        return [self.gate(cell) for cell in self.fate if cell]


class Runner:
    """
    Waves, one after another, on one stack.

    :param stack: running
    :param gates: those that its tasks look at
    :param backed_up: names of the services that are backed up
    :param restored: names of the services that are replaced by a backup of their own; one that a red restore has left
        in pieces is left alone from then on
    """

    def __init__(self, stack: Stack, gates: Gates, backed_up: Sequence[str], restored: Sequence[str]) -> None:
        self._stack, self._gates = stack, gates
        self._services = {BACKUP: backed_up, RESTORE: restored}
        self._books = Books(stack)
        self._asked: dict[str, float] = {}

    def prepare(self) -> None:
        """Take the backups that are restored again and again."""
        for dag in (BACKUP, RESTORE, "biztalk_watchdog"):
            self._stack.airflow.wait_for_dag(dag)
        run_id = self._stack.airflow.trigger(BACKUP, {"services": self._services[RESTORE]})
        if self._stack.airflow.wait_run(BACKUP, run_id, RUN_SECONDS) != "success":
            raise RuntimeError(f"The backup before the matrix failed: run {run_id}.")

    def carry_out(self, wave: Wave) -> list[Outcome]:
        """Let each death come when every run stands at its gate, bring back what died, and look at what is left."""
        after = self._books.newest()
        stories = self._begin(wave)
        met: set[Cell] = set()
        for number, death in enumerate(wave.deaths):
            met |= self._let_die(death, stories, {story: story.fate[number] for story in stories})
        self._until(stories, lambda: not self._at_work(stories), RUN_SECONDS)
        _until(lambda: not self._books.open_tickets(), SETTLE_SECONDS)
        self._stack.emulator.delete("/faults")
        return [outcome for story in stories for outcome in self._outcomes(story, met, after)]

    def _begin(self, wave: Wave) -> list[_Story]:
        stamp = time.time_ns()
        free = {job: self._usable(names) for job, names in self._services.items()}
        stories = []
        for number, fate in enumerate(wave.fates):
            cell = next(cell for cell in fate if cell)
            together = cell.job == BACKUP and not cell.of_the_whole_run
            run_id = f"chaos__{stamp}_{'many' if together else number}"
            if not free[cell.job]:
                raise RuntimeError(f"Too many services are in pieces for the {len(wave.fates)} fates of this wave.")
            service = free[cell.job].pop(0)
            stories.append(_Story(cell.job, fate, service, run_id, self._books.content(service)))
        self._gates.shut(gate for story in stories for gate in story.gates)
        for job, run_id in dict.fromkeys((story.job, story.run_id) for story in stories):
            services = [story.service for story in stories if story.run_id == run_id]
            if job == BACKUP:
                form = {"services": services}
            else:
                form = {"service": services[0], "when_name_is_taken": "replace", "resume_afterwards": True}
            self._stack.airflow.trigger(job, form, run_id)
        return stories

    def _usable(self, services: Sequence[str]) -> list[str]:
        return [name for name in services if self._books.state(name) == "Active"]

    def _let_die(self, death: Death, stories: Sequence[_Story], cells: dict[_Story, Cell | None]) -> set[Cell]:
        """The cells that met this death."""
        gates = {cell: story.gate(cell) for story, cell in cells.items() if cell}
        if not gates:
            return set()
        self._until(stories, lambda: self._are_there(stories, cells), ARRIVAL_SECONDS)
        arrived = {cell: pid for cell, gate in gates.items() if (pid := self._gates.arrived(gate))}
        within = [gates[cell] for cell in arrived if cell.moment is Moment.WITHIN]
        self._gates.open(within)
        if within:
            time.sleep(death.seconds)
        killed = VICTIMS[death.victim](self._stack, arrived.values()) if arrived else ()
        # What lives goes on while the victim is dead.
        self._gates.open(gates.values())
        time.sleep(DOWN_SECONDS)
        self._stack.revive()
        return {cell for cell, pid in arrived.items() if pid in killed}

    def _are_there(self, stories: Sequence[_Story], cells: dict[_Story, Cell | None]) -> bool:
        missing = [story for story, cell in cells.items() if cell and not self._gates.arrived(story.gate(cell))]
        return not missing or not self._at_work(missing)

    def _at_work(self, stories: Collection[_Story]) -> bool:
        """Whether a run of these has not ended."""
        ours = {story.run_id for story in stories}
        runs = self._stack.airflow.get("/dags/~/dagRuns", state=["running", "queued"], limit=100)["dag_runs"]
        return any(run["dag_run_id"] in ours for run in runs)

    def _until(self, stories: Sequence[_Story], look: Callable[[], bool], seconds: float) -> bool:
        """As :func:`_until`; meanwhile every plan that waits for a person is approved."""
        return _until(lambda: self._approve(stories) or look(), seconds)

    def _approve(self, stories: Sequence[_Story]) -> None:
        """Approve every plan that has waited for a person as long as one takes to read it."""
        if not any(story.job == RESTORE for story in stories):
            return
        waiting = self._stack.airflow.get(f"/dags/{RESTORE}/dagRuns/~/taskInstances", state="awaiting_input")
        for instance in waiting["task_instances"]:
            run_id, now = instance["dag_run_id"], time.monotonic()
            if now - self._asked.setdefault(run_id, now) >= READING_SECONDS:
                self._stack.airflow.approve(RESTORE, run_id, "approval")
                self._asked[run_id] = now

    def _outcomes(self, story: _Story, met: set[Cell], after: int) -> list[Outcome]:
        state = self._stack.airflow.run(story.job, story.run_id)["state"]
        if state not in ("success", "failed"):
            green, wrong = None, (f"the run did not end within {RUN_SECONDS} seconds",)
        else:
            green = state == "success" or self._reported_well(story)
            left = self._books.left(story.service, story.run_id, after)
            wrong = tuple(shortcomings(story.job, green, left, story.before))
        return [Outcome(cell, cell in met, green, wrong) for cell in story.fate if cell]

    def _reported_well(self, story: _Story) -> bool:
        """Whether a red run says that all went well with this service, as a backup of several can."""
        rows = self._stack.airflow.xcom(story.job, story.run_id, "report") if story.job == BACKUP else None
        return any(row["service"] == story.service and row["backup"] for row in rows or [])


def _until(look: Callable[[], bool], seconds: float) -> bool:
    """Whether something came about in time; a part that does not answer at the moment has not brought it about."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if look():
                return True
        except requests.RequestException:
            pass
        time.sleep(POLL_SECONDS)
    return False
