"""The whole matrix, or a sample of it, on a stack of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from chaos.cells import MAX_DELAY_SECONDS, RESTORE, Batch, Cell, batches, job_of
from chaos.gates import FOLDER_VARIABLE, Gates
from chaos.runner import Outcome, Runner
from chaos.settings import FAST_FAILURE_DETECTION, LOW_CPU, OPERATION_SECONDS
from stack import Ports, Stack
from stack.layouts import Layout
from stack.parts import ROOT

POLICY_FOLDER = Path(__file__).parent / "policy"

SPARE_SERVICES = 5
"""Services to restore beyond those that the largest batch needs: a failed restore may leave one in a partial state."""

MAX_ATTEMPTS = 3
"""Largest number of attempts at a cell. A cell is tried again when its step had ended before the fault was injected."""

DELAY_DIVISOR = 3
"""Each further attempt divides the longest delay of a fault within its step by this number."""

AIRFLOW_SETTINGS = {
    **LOW_CPU,
    **FAST_FAILURE_DETECTION,
    # No scheduled backup runs in between.
    "AIRFLOW__BIZTALK_SERVICES__SCHEDULE": "none",
    # A task that waits at a gate takes a slot.
    "AIRFLOW__CORE__PARALLELISM": "20",
    "AIRFLOW__CELERY__WORKER_CONCURRENCY": "10",
    "AIRFLOW__BIZTALK_SERVICES__MAX_CONCURRENT_BACKUPS": "7",
    # They count from the request on, also while a wait is held at its gate.
    "AIRFLOW__BIZTALK_SERVICES__SUSPEND_DEADLINE_MINUTES": "4",
    "AIRFLOW__BIZTALK_SERVICES__BACKUP_DEADLINE_MINUTES": "4",
    "AIRFLOW__BIZTALK_SERVICES__RESUME_DEADLINE_MINUTES": "2",
    "AIRFLOW__BIZTALK_SERVICES__SUSPENSION_GRACE_MINUTES": "1",
    "AIRFLOW__BIZTALK_SERVICES__FIRST_NUMBERS_MINUTES": "1",
}


def run_cells(cells: Sequence[Cell], seed: int, layout: Layout) -> Iterator[list[Outcome]]:
    """
    Yield the outcomes of each batch. Cells that were too late are tried again in further batches, with shorter delays.

    :param cells: the cells to run
    :param seed: determines their order and the delays within the steps
    :param layout: layout of Airflow
    """
    with tempfile.TemporaryDirectory(prefix="biztalk-chaos-") as home:
        # PostgreSQL runs as a user of its own, which must be able to traverse the folder.
        Path(home).chmod(0o711)
        gates_folder, (backed_up, restored) = Path(home) / "gates", _services(batches(cells, seed))
        durations = json.dumps(OPERATION_SECONDS)
        stack = Stack(
            Path(home),
            Ports.free(),
            layout=layout,
            emulator_options=["--sample-copies", str(len(backed_up + restored)), "--durations", durations],
            airflow_settings={
                **AIRFLOW_SETTINGS,
                FOLDER_VARIABLE: str(gates_folder),
                "PYTHONPATH": f"{POLICY_FOLDER}:{ROOT}",
            },
        )
        with stack.up():
            # The name of a deleted service becomes free at once.
            stack.emulator.patch("/settings", {"name_hold_seconds": 0})
            runner = Runner(stack, Gates(gates_folder), backed_up, restored)
            runner.prepare()
            yield from _run_with_retries(runner, cells, seed)


def _services(planned: Sequence[Batch]) -> tuple[list[str], list[str]]:
    """Return the names of the services to back up, and of those to restore."""
    backup_count, restore_count = (
        max(sum((job_of(each) == RESTORE) is restores for each in batch.scenarios) for batch in planned)
        for restores in (False, True)
    )
    total = backup_count + restore_count + min(SPARE_SERVICES, len(planned) - 1)
    names = [f"contosocopy{number}" for number in range(1, 1 + total)]
    return names[:backup_count], names[backup_count:]


def _run_with_retries(runner: Runner, cells: Sequence[Cell], seed: int) -> Iterator[list[Outcome]]:
    for attempt in range(MAX_ATTEMPTS):
        late: list[Cell] = []
        for batch in batches(cells, seed + attempt, MAX_DELAY_SECONDS / DELAY_DIVISOR**attempt):
            outcomes = runner.run_batch(batch)
            to_retry = [each for each in outcomes if each.verdict == "too late" and attempt < MAX_ATTEMPTS - 1]
            late += [each.cell for each in to_retry]
            yield [each for each in outcomes if each not in to_retry]
        cells = late
