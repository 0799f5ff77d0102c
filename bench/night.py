"""One night of a fleet, measured: `python -m bench.night PLAN` (JSON, :class:`Plan`) in the checkout of a build.

It drives an earlier build as well: of the project it uses only what both have. The emulator's journal is the clock;
where a service's steps run, and under which names, does not matter.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import resource
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.processes import Sampler, cpu_seconds, machine_seconds
from bench.spans import BACKUP, Change, spans_of_night
from stack import Ports, Stack
from stack.layouts import LAYOUTS, Layout
from stack.processes import end_in_order

DAG, WATCHDOG = "biztalk_nightly_backup", "biztalk_watchdog"
COPY = "contosocopy"
OWN_STATES = ("BackingUp", "Resuming")
"""What a suspended service does by itself: of no build's making."""

DURATIONS = {"suspend": 2.0, "resume": 2.0}
POLL_SECONDS = 2
PAGE = 10_000
"""Most entries of the journal in one response."""

MANY_SERVICES = 1000
"""The connections of more do not fit into the environment of a program where the stack may have 8 MiB."""
LARGEST_STACK = 24 * 1024 * 1024
"""Linux grants the environment of a program a quarter of it, and at most 6 MiB."""

LOOP = re.compile(r"Ran scheduling loop in ([\d.]+) ms")
LOOP_SETTINGS = {"AIRFLOW__LOGGING__NAMESPACE_LEVELS": "airflow.jobs.scheduler_job_runner=DEBUG"}
"""The scheduler measures each of its loops and logs the duration at this level."""


@dataclass(frozen=True)
class Plan:
    """What to measure.

    :param parallel_option: name of the option of the build that `parallel` sets.
    :param services: how many the night has.
    :param parallel: how many are backed up at the same time.
    :param backup_seconds: how long the emulator takes for one backup.
    :param alone: how many backups of a single service come before the night.
    :param layout: `local` or `distributed`.
    :param workers: how many Celery workers there are.
    :param seconds: after these the measurement ends, whether or not the night has.
    :param sample_seconds: between two samples of memory.
    :param result: file that receives the result.
    """

    parallel_option: str
    services: int
    parallel: int
    backup_seconds: float
    alone: int
    layout: str
    workers: int
    seconds: float
    sample_seconds: float
    result: str

    @property
    def own_seconds(self) -> float:
        """What one service takes by itself."""
        return self.backup_seconds + sum(DURATIONS.values())


@dataclass
class Journal:
    """The emulator's journal as far as it has been read."""

    stack: Stack
    last: int = 0
    changes: dict[str, list[Change]] = field(default_factory=lambda: defaultdict(list))
    """Of each service."""

    def read(self) -> None:
        """Read the changes of state that are new."""
        while True:
            page = self.stack.emulator.get(f"/journal?after={self.last}&kind=state&limit={PAGE}")
            for entry in page["entries"]:
                change = datetime.fromisoformat(entry["at"]), entry["before"], entry["after"]
                self.changes[entry["service"]].append(change)
            self.last = page["last"]
            if len(page["entries"]) < PAGE:
                return

    def done(self) -> list[str]:
        """The services that were backed up and are Active again."""
        return [
            service
            for service, changes in list(self.changes.items())
            if changes[-1][2] == "Active" and any(before == "BackingUp" for _, before, _ in changes)
        ]

    def suspended(self) -> list[str]:
        """The services that are not Active."""
        return [service for service, changes in self.changes.items() if changes[-1][2] != "Active"]


def overhead(changes: list[Change]) -> float:
    """Seconds for which a service was suspended beyond its own work, from its first suspension to its last resumption.

    As :mod:`bench.suspension` defines it: from Suspended to Active, without the backup and the resume by themselves.
    """
    suspended = next(at for at, _, after in changes if after == "Suspended")
    active = max(at for at, _, after in changes if after == "Active")
    own = sum(
        ((end - start) for (start, _, state), (end, _, _) in itertools.pairwise(changes) if state in OWN_STATES),
        timedelta(),
    )
    return (active - suspended - own).total_seconds()


def lateness(since: datetime, until: datetime, starts: Iterable[datetime]) -> list[float]:
    """For each full minute of a span: how many seconds later the next check began; at least until the span's end."""
    ordered, found = sorted(starts), []
    minute = since.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while minute < until:
        found.append((next((start for start in ordered if start >= minute), until) - minute).total_seconds())
        minute += timedelta(minutes=1)
    return found


def measure(plan: Plan) -> dict[str, Any]:
    """The figures of one build, as the report of the bench uses them."""
    if plan.services > MANY_SERVICES:
        hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
        resource.setrlimit(resource.RLIMIT_STACK, (LARGEST_STACK, hard))
    options = ["--sample-copies", str(plan.services)]
    options += ["--durations", json.dumps(DURATIONS | {"backup": plan.backup_seconds})]
    with tempfile.TemporaryDirectory(prefix="biztalk-night-") as home:
        Path(home).chmod(0o711)  # PostgreSQL runs as another user where this is root's
        stack = Stack(
            Path(home),
            Ports.free(),
            layout=_layout(plan),
            emulator_options=options,
            airflow_settings=_settings(plan),
        )
        with stack.up():
            for dag in (DAG, WATCHDOG):
                stack.airflow.wait_for_dag(dag, seconds=180)
            _log("The stack is up.")
            alone = [_alone(stack, number) for number in range(plan.alone + 1)][1:]
            return {"plan": dataclasses.asdict(plan), "alone": alone, **_night(stack, plan)}


def _layout(plan: Plan) -> Layout:
    layout = LAYOUTS[plan.layout]
    unwanted = layout.named("worker")[plan.workers :]
    programs = {name: arguments for name, arguments in layout.programs.items() if name not in unwanted}
    return dataclasses.replace(layout, programs=programs)


def _settings(plan: Plan) -> dict[str, str]:
    """The build's own plugins come before those of the environment; no night begins by its schedule meanwhile."""
    at = datetime.now(UTC) + timedelta(hours=12)
    options = {
        "include": f"{COPY}*",
        "schedule": f"{at.minute} {at.hour} * * *",
        "timezone": "UTC",
        plan.parallel_option: str(plan.parallel),
    }
    own = {f"AIRFLOW__BIZTALK_SERVICES__{name.upper()}": value for name, value in options.items()}
    return {"PYTHONPATH": str(Path.cwd() / "plugins"), **LOOP_SETTINGS, **own}


def _alone(stack: Stack, number: int) -> float:
    """The overhead of one service with nothing beside it; the first one warms up."""
    journal = Journal(stack, stack.emulator.get("/journal?limit=1")["newest"])
    run_id = stack.airflow.trigger(DAG, {"services": [f"{COPY}1"]})
    state = stack.airflow.wait_run(DAG, run_id, 600)
    _await_runs(stack, time.monotonic() + 60)
    journal.read()
    if state != "success" or journal.done() != [f"{COPY}1"]:
        raise RuntimeError(f"Run {run_id} of {DAG} for one service ended {state}, and {journal.done()} was backed up.")
    seconds = overhead(journal.changes[f"{COPY}1"])
    _log(f"Alone {number}: {seconds:.2f} s")
    return seconds


def _night(stack: Stack, plan: Plan) -> dict[str, Any]:
    leaders = {name: process.pid for name, process in stack.running().items() if process}
    logs = {name: stack.log(name).stat().st_size for name in stack.layout.named("scheduler")}
    before = stack.emulator.get("/journal?limit=1")["newest"]
    journal = Journal(stack, before)
    cpu, machine, own, began = cpu_seconds(leaders), machine_seconds(), time.process_time(), datetime.now(UTC)
    deadline = time.monotonic() + plan.seconds
    with Sampler(leaders, lambda: len(journal.done()), plan.sample_seconds) as sampler:
        run_id = stack.airflow.trigger(DAG)
        state = _await_night(stack, journal, run_id, deadline)
    ended = datetime.now(UTC)
    used = {part: seconds - cpu[part] for part, seconds in cpu_seconds(leaders).items()}
    journal.read()
    done = [service for service in journal.done() if service.startswith(COPY)]
    last = max((journal.changes[service][-1][0] for service in done), default=began)
    return {
        "state": state,
        "done": len(done),
        "suspended": journal.suspended(),
        "night": (last - began).total_seconds(),
        "until_the_end_of_the_runs": (ended - began).total_seconds(),
        "ideal": -(-plan.services // plan.parallel) * plan.own_seconds,
        "overheads": [overhead(journal.changes[service]) for service in done],
        "spans": _spans(stack, {service: journal.changes[service] for service in done}, began),
        "requests": _requests(stack, before),
        "cpu": used,
        "cpu_beside": machine_seconds() - machine - sum(used.values()) - (time.process_time() - own),
        "memory": sampler.samples,
        "loops": _loops(stack, logs),
        "watchdog_lateness": lateness(began, ended, _watchdog_starts(stack)),
    }


def _await_night(stack: Stack, journal: Journal, run_id: str, deadline: float) -> str:
    """Wait until the run and all that it started have ended, or for the deadline; returns the state of the run."""
    shown = 0
    while time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        journal.read()
        if len(journal.done()) >= shown + 10:
            shown = len(journal.done())
            _log(f"{shown} services done, {len(journal.suspended())} not Active")
        state = stack.airflow.run(DAG, run_id)["state"]
        if state in ("success", "failed"):
            _await_runs(stack, deadline)
            return str(state)
    return str(stack.airflow.run(DAG, run_id)["state"])


def _await_runs(stack: Stack, deadline: float) -> None:
    """Wait until no run is active that was not begun by its schedule."""
    while time.monotonic() < deadline:
        runs = stack.airflow.get("/dags/~/dagRuns", state=["queued", "running"], limit=100)["dag_runs"]
        if all(run["run_type"] == "scheduled" for run in runs):
            return
        time.sleep(POLL_SECONDS)


def _requests(stack: Stack, after: int) -> dict[str, Any]:
    """By port (`management`, `data`) how many requests of each kind; the most management requests in ten seconds."""
    found: dict[str, Counter[str]] = {"management": Counter(), "data": Counter()}
    spans: Counter[int] = Counter()
    while True:
        page = stack.emulator.get(f"/journal?after={after}&kind=request&limit={PAGE}")
        for entry in page["entries"]:
            found[entry["port"]][str(entry["operation"])] += 1
            if entry["port"] == "management":
                spans[int(datetime.fromisoformat(entry["at"]).timestamp()) // 10] += 1
        after = page["last"]
        if len(page["entries"]) < PAGE:
            return {**found, "most_in_ten_seconds": max(spans.values(), default=0)}


def _loops(stack: Stack, logs: Mapping[str, int]) -> list[float]:
    """The duration in seconds of each loop of the schedulers since their logs had these sizes."""
    found = []
    for name, size in logs.items():
        with stack.log(name).open("rb") as log:
            log.seek(size)
            found += [float(each) / 1000 for each in LOOP.findall(log.read().decode(errors="replace"))]
    return found


def _spans(stack: Stack, changes: Mapping[str, list[Change]], since: datetime) -> dict[str, list[float]]:
    """Where the overhead of each service went; empty where a service has no run of its own, as in an earlier build."""
    if not any(dag["dag_id"] == BACKUP for dag in stack.airflow.get("/dags", limit=100)["dags"]):
        return {}
    return spans_of_night(changes, stack.airflow.task_instances(BACKUP, "~"), since)


def _watchdog_starts(stack: Stack) -> list[datetime]:
    """When the first task of each run of the watchdog began."""
    first: dict[str, datetime] = {}
    for task in stack.airflow.task_instances(WATCHDOG, "~"):
        if task["start_date"]:
            start = datetime.fromisoformat(task["start_date"])
            first[task["dag_run_id"]] = min(start, first.get(task["dag_run_id"], start))
    return list(first.values())


def _log(line: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", file=sys.stderr, flush=True)


def main() -> None:
    end_in_order()
    plan = Plan(**json.loads(sys.argv[1]))
    Path(plan.result).write_text(json.dumps(measure(plan)))


if __name__ == "__main__":
    main()
