"""Carries out one cell on a running stack."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from chaos.books import SERVICE, Books
from chaos.cells import BACKUP, RESTORE, Cell
from chaos.verdict import shortcomings
from chaos.victims import VICTIMS
from stack import Stack

DOWN_SECONDS = 1.0
"""How long what died stays dead."""

READING_SECONDS = 3.0
"""How long a person takes at least to read a plan."""

RUN_SECONDS = 420
SETTLE_SECONDS = 300
"""For the watchdog: two minutes until it may act, one until it looks, and the resumption."""

POLL_SECONDS = 0.1
FORMS = {
    BACKUP: {"services": [SERVICE]},
    RESTORE: {"service": SERVICE, "when_name_is_taken": "replace", "resume_afterwards": True},
}
_ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")


@dataclass(frozen=True)
class Outcome:
    """
    :param cell: which one
    :param hit: whether anything died; else the step was over before
    :param run_state: how the run ended; None when it did not
    :param wrong: what is wrong, one sentence each
    :param seconds: how long it all took
    """

    cell: Cell
    hit: bool
    run_state: str | None
    wrong: tuple[str, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        return self.hit and not self.wrong


class Runner:
    """Cells, one after another, on one stack with one service."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._books = Books(stack)

    def prepare(self) -> None:
        """Take the backup that is restored again and again."""
        for dag in (BACKUP, RESTORE, "biztalk_watchdog"):
            self._stack.airflow.wait_for_dag(dag)
        run_id = self._stack.airflow.trigger(BACKUP, FORMS[BACKUP])
        if self._stack.airflow.wait_run(BACKUP, run_id) != "success":
            raise RuntimeError(f"The backup before the matrix failed: run {run_id}.")

    def carry_out(self, cell: Cell) -> Outcome:
        """Run the job, let the victim die at its moment, bring it back, and look at what is left."""
        began, after, before = time.monotonic(), self._books.newest(), self._books.content()
        run_id = self._stack.airflow.trigger(cell.job, FORMS[cell.job])
        hit = self._let_die(cell, run_id)
        time.sleep(DOWN_SECONDS)
        self._stack.start()
        state = self._end_of(cell.job, run_id)
        wrong = [] if state else [f"the run did not end within {RUN_SECONDS} seconds"]
        _until(lambda: not self._books.open_tickets(), SETTLE_SECONDS)
        self._stack.emulator.delete("/faults")
        if state:
            wrong += shortcomings(cell.job, state, self._books.left(run_id, after), before)
        return Outcome(cell, hit, state, tuple(wrong), time.monotonic() - began)

    def _let_die(self, cell: Cell, run_id: str) -> bool:
        instances: dict[str, dict[str, Any]] = {}

        def begun() -> bool:
            instances.update(self._watched(cell.job, run_id))
            state = instances.get(cell.step, {}).get("state")
            return state in ("running", "deferred", "awaiting_input", *_ENDED) or self._is_over(instances)

        if not _until(begun, RUN_SECONDS) or instances.get(cell.step, {}).get("state") in (None, *_ENDED):
            return False
        if cell.after:
            time.sleep(cell.after)
            instances.update(self._instances(cell.job, run_id))
        return VICTIMS[cell.victim](self._stack, instances[cell.step])

    def _end_of(self, job: str, run_id: str) -> str | None:
        state: list[str] = []

        def ended() -> bool:
            self._watched(job, run_id)
            state[:] = [self._stack.airflow.run(job, run_id)["state"]]
            return state[0] in ("success", "failed")

        return state[0] if _until(ended, RUN_SECONDS) else None

    def _watched(self, job: str, run_id: str) -> dict[str, dict[str, Any]]:
        """The task instances; a plan that waits for a person is approved."""
        instances = self._instances(job, run_id)
        if instances.get("approval", {}).get("state") == "awaiting_input":
            time.sleep(READING_SECONDS)
            self._stack.airflow.approve(job, run_id, "approval")
        return instances

    def _instances(self, job: str, run_id: str) -> dict[str, dict[str, Any]]:
        """The task instances by the ids of their tasks; each run has one service."""
        return {each["task_id"]: each for each in self._stack.airflow.task_instances(job, run_id)}

    @staticmethod
    def _is_over(instances: dict[str, dict[str, Any]]) -> bool:
        return bool(instances) and all(each["state"] in _ENDED for each in instances.values())


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
