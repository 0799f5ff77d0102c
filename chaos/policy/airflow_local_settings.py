"""Airflow's cluster policy on the stack of the kill matrix: every task of both jobs has a gate before and after it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from chaos.gates import FOLDER, Gates, Side

JOBS = ("biztalk_nightly_backup", "biztalk_restore")


def task_policy(task: Any) -> None:
    if task.dag_id in JOBS:
        task.pre_execute = lambda context: _gate(context, Side.BEFORE)
        task.post_execute = lambda context, result=None: _gate(context, Side.AFTER)


def dag_policy(dag: Any) -> None:
    """Two runs of the backup (one for the steps that all services share), and a restore for every service."""
    if dag.dag_id in JOBS:
        dag.max_active_runs = 16


def _gate(context: Any, side: Side) -> None:
    """A gate is of a service, or, where a step of the backup is of the whole run, of the run."""
    task, restored = context["task"], context["params"].get("service")
    whose = restored or getattr(task, "service", "").rpartition("/")[2] or context["run_id"]
    Gates(Path(os.environ[FOLDER])).pass_through(Gates.name(task.dag_id, whose, task.task_id, side))
