"""Suspension overhead: how long a service is suspended beyond its own work."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import requests

from bench import emulator
from bench.bare_script import back_up
from bench.figures import table
from stack import Ports, Stack
from stack.settings import storage_connection_string

DAG = "biztalk_nightly_backup"
RUNS = 10


def measure() -> str:
    """
    Back up one service by the DAG and by the bare script, in turn.

    The emulator's journal is the clock: from the moment at which the service is Suspended to the moment at which it is
    Active, minus the time that the backup and the resume took by themselves.
    """
    overheads: dict[str, list[float]] = {"bare script": [], "DAG": []}
    with tempfile.TemporaryDirectory(prefix="biztalk-bench-") as home, Stack(Path(home), Ports.free()).up() as stack:
        stack.airflow.wait_for_dag(DAG)
        session = emulator.session(stack)
        for number in range(RUNS + 1):
            for variant, take in (("bare script", _by_script), ("DAG", _by_dag)):
                seen = emulator.newest(stack)
                take(stack, session, number)
                overhead = _overhead(stack, seen)
                if number:  # the first round warms up
                    overheads[variant].append(overhead)
    return f"## Suspension overhead\n\n{table(overheads, 's', 'bare script')}\n"


def _by_script(stack: Stack, session: requests.Session, number: int) -> None:
    storage = storage_connection_string(stack.ports)
    back_up(session, emulator.service_url(stack), storage, f"bare-{number}-{int(time.time())}")


def _by_dag(stack: Stack, session: requests.Session, number: int) -> None:
    run_id = stack.airflow.trigger(DAG, {"services": [emulator.SERVICE]})
    state = stack.airflow.wait_run(DAG, run_id)
    if state != "success":
        raise RuntimeError(f"Run {run_id} of {DAG} ended {state}.")


def _overhead(stack: Stack, seen: int) -> float:
    moments = emulator.changes_since(stack, seen)
    suspended = moments["Resuming", "Active"] - moments["Suspending", "Suspended"]
    backing_up = moments["BackingUp", "Suspended"] - moments["Suspended", "BackingUp"]
    resuming = moments["Resuming", "Active"] - moments["Suspended", "Resuming"]
    return (suspended - backing_up - resuming).total_seconds()
