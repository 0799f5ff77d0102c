"""`make backup`: one run of the nightly DAG, watched to its end and checked against the emulator's records."""

from __future__ import annotations

from rich.console import Console

from stack.progress import Progress
from stack.report import result_table, shortcomings
from stack.stack import Stack
from stack.steps import current_steps, failed_tasks
from stack.watch import follow, require_startable

DAG_ID = "biztalk_nightly_backup"


def run_backup(stack: Stack) -> int:
    """Run the DAG once and print its progress; returns the exit code, 0 only when there is no shortcoming.

    Raises `StackError` when the run cannot be started, or not be followed to its end.
    """
    # Messages of services and storage are printed unchanged: `[name]` is no markup, `:key:` no emoji.
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 200
    airflow = stack.airflow
    require_startable(airflow, DAG_ID)
    run_id = airflow.trigger(DAG_ID)
    console.print(f"Run {run_id} of {DAG_ID}", soft_wrap=True)
    with Progress(console) as progress:
        state = follow(airflow, DAG_ID, run_id, lambda instances: progress.show(current_steps(instances)))

    report = airflow.xcom(DAG_ID, run_id, "report") or []
    console.print()
    console.print(result_table(report))
    faults = shortcomings(report, stack.emulator.services())
    if state != "success":
        failed = failed_tasks(airflow.task_instances(DAG_ID, run_id))
        faults.append(f"The run ended as {state}; failed tasks: {', '.join(failed) or 'none'}.")
    if faults:
        console.print("\n" + "\n".join(faults), style="red", soft_wrap=True)
        return 1
    console.print("\nEvery service that can have a backup has a new, verified one, and is Active again.", style="green")
    return 0
