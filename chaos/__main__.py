"""`python -m chaos [--seed N] [--cells N] [--stack NAME]`: the kill matrix, on a stack of its own."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from chaos.cells import all_cells, sample
from chaos.runner import Runner
from chaos.victims import VICTIMS
from stack import Ports, Stack
from stack.layouts import LAYOUTS, LOCAL

SETTINGS = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__BIZTALK_SERVICES__SUSPEND_DEADLINE_MINUTES": "2",
    "AIRFLOW__BIZTALK_SERVICES__BACKUP_DEADLINE_MINUTES": "2",
    "AIRFLOW__BIZTALK_SERVICES__RESUME_DEADLINE_MINUTES": "2",
    "AIRFLOW__BIZTALK_SERVICES__SUSPENSION_GRACE_MINUTES": "1",
}
"""So that a death is noticed within seconds; Airflow's own defaults take minutes."""


def main() -> int:
    """Carry the cells out and print the table; 0 when all of them passed."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="which moments and which order (default: %(default)s)")
    parser.add_argument("--cells", type=int, help="take a sample of so many cells (default: all)")
    parser.add_argument("--stack", choices=LAYOUTS, default=LOCAL.name, help="how Airflow is laid out (%(default)s)")
    chosen = parser.parse_args()
    cells = sample(all_cells(list(VICTIMS), chosen.seed), chosen.cells, chosen.seed)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="biztalk-chaos-") as home:
        # PostgreSQL's user, who is not root, has to pass through.
        Path(home).chmod(0o711)
        stack = Stack(Path(home), Ports.free(), layout=LAYOUTS[chosen.stack], airflow_settings=SETTINGS)
        with stack.up():
            runner = Runner(stack)
            runner.prepare()
            for number, cell in enumerate(cells, 1):
                outcome = runner.carry_out(cell)
                verdict = "passed" if outcome.passed else "FAILED" if outcome.wrong else "too late"
                failed += bool(outcome.wrong)
                print(
                    f"{number:4} {verdict:8} {outcome.run_state or '-':8} {outcome.seconds:5.0f} s  {cell}", flush=True
                )
                for sentence in outcome.wrong:
                    print(f"     {sentence}", flush=True)
    return 1 if failed else 0


sys.exit(main())
