"""Airflow's cluster policy on the stack of the kill matrix: every task of both jobs has a gate before and after it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from chaos.gates import FOLDER, Gates, Side
from chaos.settings import DURATIONS

JOBS = ("biztalk_nightly_backup", "biztalk_restore")

OPERATIONS_TAKE_SECONDS = max(DURATIONS.values()) + 0.5


def task_policy(task: Any) -> None:
    if task.dag_id in JOBS:
        task.pre_execute = _begin
        task.post_execute = _end


def dag_policy(dag: Any) -> None:
    """Two runs of the backup (one for the steps that all services share), and a restore for every service."""
    if dag.dag_id in JOBS:
        dag.max_active_runs = 16


def _begin(context: Any) -> None:
    _gates().pass_through(_gate(context, Side.BEFORE))
    if _gates().is_shut(_gate(context, Side.AFTER)):
        # So that its first look finds the operation done: a step that the triggerer ends does not come to that gate.
        time.sleep(OPERATIONS_TAKE_SECONDS)


def _end(context: Any, result: Any = None) -> None:
    _gates().pass_through(_gate(context, Side.AFTER))


def _gates() -> Gates:
    return Gates(Path(os.environ[FOLDER]))


def _gate(context: Any, side: Side) -> str:
    """A gate is of a service, or, where a step of the backup is of the whole run, of the run."""
    task, restored = context["task"], context["params"].get("service")
    whose = restored or getattr(task, "service", "").rpartition("/")[2] or context["run_id"]
    return Gates.name(task.dag_id, whose, task.task_id, side)
