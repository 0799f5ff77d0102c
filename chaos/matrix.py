"""The whole matrix, or a sample of it, on a stack of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from chaos.cells import BACKUP, LONGEST_SECONDS, RESTORE, Cell, Wave, waves
from chaos.gates import FOLDER, Gates
from chaos.runner import Outcome, Runner
from chaos.settings import DEATHS_ARE_NOTICED, DURATIONS, FRUGAL
from stack import Ports, Stack
from stack.layouts import Layout
from stack.parts import ROOT

POLICY = Path(__file__).parent / "policy"

SPARE = 5
"""How many services more are restored than a wave needs at the most; a red restore may leave one in pieces."""

ROUNDS = 3
"""How often a cell is tried whose step was over before its victim could die."""

EARLIER = 3
"""How many times earlier within its step the death comes that is tried again."""

SETTINGS = {
    **FRUGAL,
    **DEATHS_ARE_NOTICED,
    # No night of its own comes in between.
    "AIRFLOW__BIZTALK_SERVICES__SCHEDULE": "0 0 29 2 *",
    # A task that stands at a gate takes a slot.
    "AIRFLOW__CORE__PARALLELISM": "20",
    "AIRFLOW__CELERY__WORKER_CONCURRENCY": "10",
    "AIRFLOW__BIZTALK_SERVICES__SERVICES_AT_ONCE": "7",
    "AIRFLOW__BIZTALK_SERVICES__SUSPEND_DEADLINE_MINUTES": "2",
    "AIRFLOW__BIZTALK_SERVICES__BACKUP_DEADLINE_MINUTES": "2",
    "AIRFLOW__BIZTALK_SERVICES__RESUME_DEADLINE_MINUTES": "2",
    "AIRFLOW__BIZTALK_SERVICES__SUSPENSION_GRACE_MINUTES": "1",
}


def carry_out(cells: Sequence[Cell], seed: int, layout: Layout) -> Iterator[list[Outcome]]:
    """
    The outcomes, wave by wave. Cells that came too late are tried again, earlier, in further waves.

    :param cells: which ones
    :param seed: their order, and the seconds within the steps
    :param layout: how Airflow is laid out
    """
    with tempfile.TemporaryDirectory(prefix="biztalk-chaos-") as home:
        # PostgreSQL's user, who is not root, has to pass through.
        Path(home).chmod(0o711)
        gates, (backed_up, restored) = Path(home) / "gates", _services(waves(cells, seed))
        stack = Stack(
            Path(home),
            Ports.free(),
            layout=layout,
            emulator_options=["--sample-copies", str(len(backed_up + restored)), "--durations", json.dumps(DURATIONS)],
            airflow_settings={**SETTINGS, FOLDER: str(gates), "PYTHONPATH": f"{POLICY}:{ROOT}"},
        )
        with stack.up():
            # A replaced service gets its name back at once.
            stack.emulator.patch("/settings", {"name_hold_seconds": 0})
            runner = Runner(stack, Gates(gates), backed_up, restored)
            runner.prepare()
            yield from _in_rounds(runner, cells, seed)


def _services(made: Sequence[Wave]) -> tuple[list[str], list[str]]:
    """Names of the services that are backed up, and of those that are restored."""
    of_backups, of_restores = (
        max(sum(any(cell and cell.job == job for cell in fate) for fate in wave.fates) for wave in made)
        for job in (BACKUP, RESTORE)
    )
    names = [f"contosocopy{number}" for number in range(1, 1 + of_backups + of_restores + min(SPARE, len(made) - 1))]
    return names[:of_backups], names[of_backups:]


def _in_rounds(runner: Runner, cells: Sequence[Cell], seed: int) -> Iterator[list[Outcome]]:
    for number in range(ROUNDS):
        late: list[Cell] = []
        for wave in waves(cells, seed + number, LONGEST_SECONDS / EARLIER**number):
            outcomes = runner.carry_out(wave)
            again = [each for each in outcomes if each.verdict == "too late" and number < ROUNDS - 1]
            late += [each.cell for each in again]
            yield [each for each in outcomes if each not in again]
        cells = late
