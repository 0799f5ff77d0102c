"""Restore overhead: how much longer a restore to the same name takes than the service needs for it."""

from __future__ import annotations

import tempfile
import time
from datetime import timedelta
from pathlib import Path

import requests

from bench import emulator, suspension
from bench.bare_script import restore
from bench.figures import table
from stack import Ports, Stack
from stack.settings import storage_connection_string

DAG = "biztalk_restore"
RUNS = 5
PLAN_SECONDS = 120
READING_SECONDS = 3
TRANSITIONAL = ("Suspending", "BackingUp", "Deleting", "Restoring", "Resuming")


def measure() -> str:
    """
    Restore one service to its own name by the DAG, whose plan is approved at once, and by the bare script, in turn.

    The emulator's journal is the clock: from the moment at which the existing service begins to suspend to the moment
    at which the restored one is Active, minus the time of suspend, backup, deletion, restore and resume by themselves,
    and the time for which the emulator holds the name.
    """
    overheads: dict[str, list[float]] = {"bare script": [], "DAG": []}
    with tempfile.TemporaryDirectory(prefix="biztalk-bench-") as home, Stack(Path(home), Ports.free()).up() as stack:
        for dag in (suspension.DAG, DAG):
            stack.airflow.wait_for_dag(dag)
        session, backup = emulator.session(stack), _backup(stack)
        for number in range(RUNS + 1):
            for variant, take in (("bare script", _by_script), ("DAG", _by_dag)):
                seen = emulator.newest(stack)
                take(stack, session, backup, number)
                overhead = _overhead(stack, seen)
                if number:  # the first round warms up
                    overheads[variant].append(overhead)
    return f"## Restore overhead\n\n{table(overheads, 's', 'bare script')}\n"


def _backup(stack: Stack) -> str:
    """Name of the backup that all runs restore; taken by the nightly DAG, because it has to be in the catalog."""
    run_id = stack.airflow.trigger(suspension.DAG, {"services": [emulator.SERVICE]})
    _require_success(stack, suspension.DAG, run_id)
    rows = stack.airflow.xcom(suspension.DAG, run_id, "report")
    return next(row["backup"] for row in rows if row["service"] == emulator.SERVICE).rpartition("/")[2]


def _by_script(stack: Stack, session: requests.Session, backup: str, number: int) -> None:
    storage = storage_connection_string(stack.ports)
    restore(session, emulator.service_url(stack), storage, f"bare-{number}-{int(time.time())}", backup)


def _by_dag(stack: Stack, session: requests.Session, backup: str, number: int) -> None:
    form = {
        "service": emulator.SERVICE,
        "backup": backup,
        "existing_service_policy": "replace",
        "resume_afterwards": True,
    }
    run_id = stack.airflow.trigger(DAG, form)
    deadline = time.monotonic() + PLAN_SECONDS
    while not any(
        each["task_id"] == "approval" and each["state"] == "awaiting_input"
        for each in stack.airflow.task_instances(DAG, run_id)
    ):
        if time.monotonic() > deadline:
            raise RuntimeError(f"Run {run_id} of {DAG} has not requested the approval within {PLAN_SECONDS} seconds.")
        time.sleep(0.5)
    time.sleep(READING_SECONDS)
    stack.airflow.approve(DAG, run_id, "approval")
    _require_success(stack, DAG, run_id)


def _require_success(stack: Stack, dag: str, run_id: str) -> None:
    state = stack.airflow.wait_run(dag, run_id, seconds=600)
    if state != "success":
        raise RuntimeError(f"Run {run_id} of {dag} ended {state}.")


def _overhead(stack: Stack, seen: int) -> float:
    moments = emulator.changes_since(stack, seen)
    entered = {after: at for (_, after), at in moments.items() if after in TRANSITIONAL}
    left = {before: at for (before, _), at in moments.items() if before in TRANSITIONAL}
    own = sum((left[state] - entered[state] for state in TRANSITIONAL), timedelta())
    held = timedelta(seconds=stack.emulator.get("/settings")["name_hold_seconds"])
    return (left["Resuming"] - entered["Suspending"] - own - held).total_seconds()
