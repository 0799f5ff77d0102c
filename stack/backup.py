"""`make backup`: one run of the nightly DAG, watched to its end and checked against the emulator's records."""

from __future__ import annotations

import time

from rich.console import Console

from stack.estimate import Estimate
from stack.night import BACKUP, MOST_ROWS, NIGHTLY, Night
from stack.progress import Progress
from stack.report import result_table, shortcomings
from stack.stack import Stack
from stack.steps import current_steps, failed_tasks
from stack.watch import follow, require_startable

LARGE_NIGHT_SECONDS = 5
"""So seldom a night of more services is looked at than have a row each."""
NIGHT_SECONDS = 6 * 3600


def run_backup(stack: Stack) -> int:
    """Run the DAG once and print its progress; returns the exit code, 0 only when there is no shortcoming.

    Raises `StackError` when the run cannot be started, or not be followed to its end.
    """
    # Messages of services and storage are printed unchanged: `[name]` is no markup, `:key:` no emoji.
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 200
    airflow = stack.airflow
    require_startable(airflow, BACKUP)
    require_startable(airflow, NIGHTLY)
    run_id = airflow.trigger(NIGHTLY)
    console.print(f"Run {run_id} of {NIGHTLY}", soft_wrap=True)
    night = Night(airflow, run_id)
    with Estimate(stack, run_id) as estimate, Progress(console) as progress:
        watcher = _Watcher(night, estimate, progress)
        state = follow(airflow, NIGHTLY, run_id, watcher.show, seconds=NIGHT_SECONDS)

    report = airflow.xcom(NIGHTLY, run_id, "report") or []
    console.print()
    console.print(result_table(report))
    faults = shortcomings(report, stack.emulator.services())
    if state != "success":
        failed = [*failed_tasks(airflow.task_instances(NIGHTLY, run_id)), *night.failed_tasks()]
        faults.append(f"The run ended as {state}; failed tasks: {', '.join(failed) or 'none'}.")
    if faults:
        console.print("\n" + "\n".join(faults), style="red", soft_wrap=True)
        return 1
    console.print("\nEvery service that can have a backup has a new, verified one, and is Active again.", style="green")
    return 0


class _Watcher:
    """Shows where the services are, how many are done, and when the night ends."""

    def __init__(self, night: Night, estimate: Estimate, progress: Progress) -> None:
        self._night = night
        self._estimate = estimate
        self._progress = progress
        self._next = 0.0

    def show(self, instances: list[dict]) -> None:
        """
        :param instances: of the tasks of the nightly run.
        """
        if time.monotonic() < self._next:
            return
        look = self._night.look()
        steps = look.steps
        if (look.services or 0) > MOST_ROWS:
            self._next = time.monotonic() + LARGE_NIGHT_SECONDS
            steps = steps if self._progress.renews else []
        sentence = look.sentence()
        if sentence and look.done < look.services:
            sentence = f"{sentence} {self._estimate.latest()}".rstrip()
        self._progress.show([*steps, *current_steps(instances)], sentence)
