"""Parse time of the DAG file, against an empty DAG, in fresh processes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.figures import table

ROOT = Path(__file__).resolve().parent.parent
RUNS = 15
EMPTY_DAG = "from airflow.sdk import DAG\n\nDAG('empty', schedule=None)\n"


def measure() -> str:
    """Wall time of a fresh Python that runs the file as the DAG processor would, in turn for both."""
    times: dict[str, list[float]] = {"empty DAG": [], "nightly DAG": []}
    with tempfile.TemporaryDirectory(prefix="biztalk-bench-") as folder:
        empty = Path(folder) / "empty.py"
        empty.write_text(EMPTY_DAG)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | {
            "AIRFLOW_HOME": folder,
            "PYTHONPATH": str(ROOT / "plugins"),
        }
        for number in range(RUNS + 1):
            for name, file in (("empty DAG", empty), ("nightly DAG", ROOT / "dags/biztalk_nightly_backup.py")):
                seconds = _run(file, environment)
                if number:  # the first round warms up
                    times[name].append(seconds)
    return f"## Parse time of the DAG file\n\n{table(times, 's', 'empty DAG')}\n"


def _run(file: Path, environment: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, str(file)], env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start
