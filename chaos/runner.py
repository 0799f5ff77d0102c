"""Runs batches of cells on a running stack."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from chaos.cells import BACKUP, NIGHT, RESTORE, Batch, Cell, Fault, Moment, Scenario, job_of
from chaos.gates import Gates, Side
from chaos.ground_truth import GroundTruth
from chaos.invariants import violations
from chaos.targets import TARGETS
from stack import Stack

DOWN_SECONDS = 1.0
"""Shortest time between a kill and the restart, which takes seconds more."""

APPROVAL_DELAY_SECONDS = 3.0
"""How long a plan waits at least before it is approved, as for a person who reads it."""

ARRIVAL_TIMEOUT_SECONDS = 120
RUN_TIMEOUT_SECONDS = 600
RECORDS_TIMEOUT_SECONDS = 300
"""For the watchdog: two minutes until it may act, one until its next run, and the resumption."""

POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Outcome:
    """
    :param cell: the cell that was run
    :param injected: whether the task had arrived at its gate when the fault was injected, and the fault hit it
    :param green: whether the run reports success for the service; None when the run did not end
    :param violations: a sentence for each violated invariant
    :param reason: what the report of a run that is not green says of it
    """

    cell: Cell
    injected: bool
    green: bool | None
    violations: tuple[str, ...]
    reason: str = ""

    @property
    def verdict(self) -> str:
        return "FAILED" if self.violations else "passed" if self.injected else "too late"


@dataclass(frozen=True, eq=False)
class _ServiceRun:
    """
    A service with its scenario, the run that does something with it, and its content before the run.

    :param job: job of the run: the night, for a service that is backed up
    """

    job: str
    scenario: Scenario
    service: str
    run_id: str
    content_before: Any

    def gate(self, cell: Cell) -> str:
        side = Side.AFTER if cell.moment is Moment.AFTER else Side.BEFORE
        return Gates.name(cell.job, self.run_id if cell.job == NIGHT else self.service, cell.step, side)

    @property
    def gates(self) -> list[str]:
        return [self.gate(cell) for cell in self.scenario if cell]


class Runner:
    """
    Runs batches one after another on one stack.

    :param stack: running stack
    :param gates: gates that the tasks of the stack poll
    :param backed_up: names of the services to back up
    :param restored: names of the services to replace by a backup of their own; a service that a failed restore has left
        in a partial state is not used again
    """

    def __init__(self, stack: Stack, gates: Gates, backed_up: Sequence[str], restored: Sequence[str]) -> None:
        self._stack, self._gates = stack, gates
        self._services = {NIGHT: backed_up, RESTORE: restored}
        self._ground_truth = GroundTruth(stack)
        self._awaiting_approval_since: dict[str, float] = {}

    def prepare(self) -> None:
        """Take the backups that all restores of the matrix use."""
        for dag in (NIGHT, BACKUP, RESTORE, "biztalk_watchdog"):
            self._stack.airflow.wait_for_dag(dag)
        run_id = self._stack.airflow.trigger(NIGHT, {"services": self._services[RESTORE]})
        ended = ("success", "failed")
        _wait_until(lambda: self._stack.airflow.run(NIGHT, run_id)["state"] in ended, RUN_TIMEOUT_SECONDS)
        if self._stack.airflow.run(NIGHT, run_id)["state"] != "success":
            raise RuntimeError(f"The backup before the matrix failed: run {run_id}.")

    def run_batch(self, batch: Batch) -> list[Outcome]:
        """Inject each fault when the tasks are at their gates, wait for the runs to end, and check the end state."""
        last_entry = self._ground_truth.last_entry()
        service_runs = self._start_runs(batch)
        hit: set[Cell] = set()
        for index, fault in enumerate(batch.faults):
            hit |= self._inject(fault, service_runs, {each: each.scenario[index] for each in service_runs})
        self._wait_and_approve(service_runs, lambda: not self._any_running(service_runs), RUN_TIMEOUT_SECONDS)
        _wait_until(lambda: not self._ground_truth.open_records(), RECORDS_TIMEOUT_SECONDS)
        self._stack.emulator.delete("/faults")
        return [outcome for each in service_runs for outcome in self._outcomes(each, hit, last_entry)]

    def _start_runs(self, batch: Batch) -> list[_ServiceRun]:
        stamp = time.time_ns()
        available = {job: self._active(names) for job, names in self._services.items()}
        service_runs = []
        for number, scenario in enumerate(batch.scenarios):
            # A fault at a step of a night is for one service: it would keep the others from reaching their cells.
            run_id = f"chaos__{stamp}_{'many' if job_of(scenario) == BACKUP else number}"
            job = RESTORE if job_of(scenario) == RESTORE else NIGHT
            if not available[job]:
                raise RuntimeError(
                    f"Too many services are in a partial state for the {len(batch.scenarios)} scenarios of this batch."
                )
            service = available[job].pop(0)
            content = self._ground_truth.content(service)
            service_runs.append(_ServiceRun(job, scenario, service, run_id, content))
        self._gates.shut(gate for each in service_runs for gate in each.gates)
        for job, run_id in dict.fromkeys((each.job, each.run_id) for each in service_runs):
            services = [each.service for each in service_runs if each.run_id == run_id]
            if job == NIGHT:
                parameters = {"services": services}
            else:
                parameters = {"service": services[0], "existing_service_policy": "replace", "resume_afterwards": True}
            self._stack.airflow.trigger(job, parameters, run_id)
        return service_runs

    def _active(self, services: Sequence[str]) -> list[str]:
        return [name for name in services if self._ground_truth.state(name) == "Active"]

    def _inject(
        self, fault: Fault, service_runs: Sequence[_ServiceRun], cells: dict[_ServiceRun, Cell | None]
    ) -> set[Cell]:
        """Inject a fault, restart what it has killed, and return the cells that the fault has hit."""
        gates = {cell: service_run.gate(cell) for service_run, cell in cells.items() if cell}
        if not gates:
            return set()
        self._wait_and_approve(service_runs, lambda: self._arrived_or_ended(cells), ARRIVAL_TIMEOUT_SECONDS)
        arrived = {cell: pid for cell, gate in gates.items() if (pid := self._gates.arrived(gate))}
        within = [gates[cell] for cell in arrived if cell.moment is Moment.WITHIN]
        self._gates.open(within)
        if within:
            time.sleep(fault.delay_seconds)
        hit_pids = TARGETS[fault.target](self._stack, arrived.values()) if arrived else ()
        # The gates open before the restart, so that the surviving processes run on while the target is down.
        self._gates.open(gates.values())
        time.sleep(DOWN_SECONDS)
        self._stack.revive()
        return {cell for cell, pid in arrived.items() if pid in hit_pids}

    def _arrived_or_ended(self, cells: dict[_ServiceRun, Cell | None]) -> bool:
        """Whether every task is at its gate, or the runs of the missing ones have ended."""
        missing = [each for each, cell in cells.items() if cell and not self._gates.arrived(each.gate(cell))]
        return not missing or not self._any_running(missing)

    def _any_running(self, service_runs: Collection[_ServiceRun]) -> bool:
        """Whether runs have not ended, or runs that they have started."""
        run_ids = {each.run_id for each in service_runs}
        prefixes = tuple(f"{run_id}__" for run_id in run_ids)
        runs = self._stack.airflow.get("/dags/~/dagRuns", state=["running", "queued"], limit=100)["dag_runs"]
        return any(run["dag_run_id"] in run_ids or run["dag_run_id"].startswith(prefixes) for run in runs)

    def _wait_and_approve(
        self, service_runs: Sequence[_ServiceRun], condition: Callable[[], bool], seconds: float
    ) -> bool:
        """Wait as :func:`_wait_until` does, and meanwhile approve every plan that waits for approval."""
        return _wait_until(lambda: self._approve_plans(service_runs) or condition(), seconds)

    def _approve_plans(self, service_runs: Sequence[_ServiceRun]) -> None:
        """Approve every plan that has been waiting for :data:`APPROVAL_DELAY_SECONDS`."""
        if not any(each.job == RESTORE for each in service_runs):
            return
        waiting = self._stack.airflow.get(f"/dags/{RESTORE}/dagRuns/~/taskInstances", state="awaiting_input")
        for instance in waiting["task_instances"]:
            run_id, now = instance["dag_run_id"], time.monotonic()
            if now - self._awaiting_approval_since.setdefault(run_id, now) >= APPROVAL_DELAY_SECONDS:
                self._stack.airflow.approve(RESTORE, run_id, "approval")
                self._awaiting_approval_since[run_id] = now

    def _outcomes(self, service_run: _ServiceRun, hit: set[Cell], last_entry: int) -> list[Outcome]:
        job, service, run_id = service_run.job, service_run.service, service_run.run_id
        state, reported = self._stack.airflow.run(job, run_id)["state"], self._reported(service_run)
        if state not in ("success", "failed"):
            green, violated = None, (f"the run did not end within {RUN_TIMEOUT_SECONDS} seconds",)
        else:
            # A night that failed may have backed this service up.
            green = state == "success" or (job == NIGHT and bool(reported.get("backup")))
            end = self._ground_truth.end_state(service, job, run_id, last_entry)
            violated = tuple(violations(job, green, end, service_run.content_before))
        reason = "" if green else reported.get("reason") or "There is no report."
        return [Outcome(cell, cell in hit, green, violated, reason) for cell in service_run.scenario if cell]

    def _reported(self, service_run: _ServiceRun) -> dict[str, Any]:
        """What the report of a run says of the service; empty without a report."""
        report = self._stack.airflow.xcom(service_run.job, service_run.run_id, "report")
        if service_run.job == NIGHT:
            report = next((row for row in report or [] if row["service"] == service_run.service), None)
        return report or {}


def _wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Return whether the condition was met in time; it counts as not met while a part of the stack does not respond."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return True
        except requests.RequestException:
            pass
        time.sleep(POLL_SECONDS)
    return False
