"""Airflow's cluster policy for the kill matrix: every task of both jobs has a gate before and after it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from chaos.gates import FOLDER_VARIABLE, Gates, Side
from chaos.settings import OPERATION_SECONDS

JOBS = ("biztalk_nightly_backup", "biztalk_restore")

WAIT_DELAY_SECONDS = max(OPERATION_SECONDS.values()) + 0.5


def task_policy(task: Any) -> None:
    if task.dag_id in JOBS:
        task.pre_execute = _before_step
        task.post_execute = _after_step


def dag_policy(dag: Any) -> None:
    """Allow the concurrent runs of a batch: a few backups, and one restore for each service."""
    if dag.dag_id in JOBS:
        dag.max_active_runs = 16


def _before_step(context: Any) -> None:
    _gates().pass_through(_gate(context, Side.BEFORE))
    if _gates().is_shut(_gate(context, Side.AFTER)):
        # A wait that defers to the triggerer never reaches the gate after it. After this delay the operation is done
        # when the wait first polls it, so the wait does not defer.
        time.sleep(WAIT_DELAY_SECONDS)


def _after_step(context: Any, result: Any = None) -> None:
    _gates().pass_through(_gate(context, Side.AFTER))


def _gates() -> Gates:
    return Gates(Path(os.environ[FOLDER_VARIABLE]))


def _gate(context: Any, side: Side) -> str:
    """Return the name of a step's gate; its owner is the service, or the run for the run-level steps of a backup."""
    task, restored_service = context["task"], context["params"].get("service")
    owner = restored_service or getattr(task, "service", "").rpartition("/")[2] or context["run_id"]
    return Gates.name(task.dag_id, owner, task.task_id, side)
