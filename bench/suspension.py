"""Suspension overhead: how long a service stands still beyond its own work."""

from __future__ import annotations

import tempfile
import time
from datetime import datetime
from pathlib import Path

import requests

from bench.bare_script import back_up
from bench.figures import table
from stack import Ports, Stack
from stack.settings import STORAGE_ACCOUNT, STORAGE_KEY, storage_endpoint

DAG = "biztalk_nightly_backup"
SERVICE, CLOUD_SERVICE = "contosoorders", "contoso-west-us"
RUNS = 10


def measure() -> str:
    """
    Back up one service by the DAG and by the bare script, in turn.

    The emulator's journal is the clock: from the moment at which the service is Suspended to the moment at which it is
    Active, minus the time that the backup and the resume took by themselves.
    """
    overheads: dict[str, list[float]] = {"bare script": [], "DAG": []}
    with tempfile.TemporaryDirectory(prefix="biztalk-bench-") as home:
        stack = Stack(Path(home), Ports.free())
        try:
            stack.start()
            stack.airflow.wait_for_dag(DAG)
            session = _session(stack)
            for number in range(RUNS + 1):
                for variant, take in (("bare script", _by_script), ("DAG", _by_dag)):
                    seen = stack.emulator.get("/journal?limit=1")["newest"]
                    take(stack, session, number)
                    overhead = _overhead(stack, seen)
                    if number:  # the first round warms up
                        overheads[variant].append(overhead)
        finally:
            stack.stop()
    return f"## Suspension overhead\n\n{table(overheads, 's', 'bare script')}\n"


def _session(stack: Stack) -> requests.Session:
    pki = stack.home / "emulator/pki"
    session = requests.Session()
    session.trust_env = False
    session.cert = (str(pki / "management.pem"), str(pki / "management.key"))
    session.verify = str(pki / "ca.pem")
    session.headers["x-ms-version"] = "2013-04-26"
    return session


def _by_script(stack: Stack, session: requests.Session, number: int) -> None:
    url = (
        f"https://127.0.0.1:{stack.ports.emulator}/{stack.emulator.subscription_id()}/cloudservices/{CLOUD_SERVICE}"
        f"/resources/biztalkservices/~/biztalk/{SERVICE}"
    )
    storage = f"BlobEndpoint={storage_endpoint(stack.ports)};AccountName={STORAGE_ACCOUNT};AccountKey={STORAGE_KEY}"
    back_up(session, url, storage, f"bare-{number}-{int(time.time())}")


def _by_dag(stack: Stack, session: requests.Session, number: int) -> None:
    run_id = stack.airflow.trigger(DAG, {"services": [SERVICE]})
    state = stack.airflow.wait_run(DAG, run_id)
    if state != "success":
        raise RuntimeError(f"Run {run_id} of {DAG} ended {state}.")


def _overhead(stack: Stack, seen: int) -> float:
    entries = stack.emulator.get(f"/journal?after={seen}&service={SERVICE}&limit=1000")["entries"]
    changes = [entry for entry in entries if entry["kind"] == "state"]
    moments = {(entry["before"], entry["after"]): datetime.fromisoformat(entry["at"]) for entry in changes}
    if len(changes) != len(moments):
        raise RuntimeError(f"The journal tells of more than one backup: {changes}")
    still = moments["Resuming", "Active"] - moments["Suspending", "Suspended"]
    backing_up = moments["BackingUp", "Suspended"] - moments["Suspended", "BackingUp"]
    resuming = moments["Resuming", "Active"] - moments["Suspended", "Resuming"]
    return (still - backing_up - resuming).total_seconds()
