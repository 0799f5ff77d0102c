"""Airflow's cluster policy for the kill matrix: every task of its jobs has a gate before and after it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from chaos.cells import BACKUP, NIGHT, RESTORE
from chaos.gates import Gates, Side
from chaos.settings import OPERATION_SECONDS

WAIT_DELAY_SECONDS = max(OPERATION_SECONDS.values()) + 0.5


def task_policy(task: Any) -> None:
    if task.dag_id not in (NIGHT, BACKUP, RESTORE):
        return
    if task.start_from_trigger:
        # No worker runs it.
        name = task.start_trigger_args.trigger_cls.rpartition(".")[2]
        task.start_trigger_args = replace(task.start_trigger_args, trigger_cls=f"chaos.triggers.Gated{name}")
    task.pre_execute = _before_step
    task.post_execute = _after_step


def dag_policy(dag: Any) -> None:
    """Allow the concurrent runs of a batch: a few nights, and one restore for each service."""
    if dag.dag_id in (NIGHT, RESTORE):
        dag.max_active_runs = 16


def _before_step(context: Any) -> None:
    gates = Gates.of_environment()
    gates.pass_through(_gate(context, Side.BEFORE))
    if gates.is_shut(_gate(context, Side.AFTER)):
        # A wait that defers to the triggerer never reaches the gate after it. After this delay the operation is done
        # when the wait polls, and with a first poll here the wait does not defer.
        context["task"].polls_first = True
        time.sleep(WAIT_DELAY_SECONDS)


def _after_step(context: Any, result: Any = None) -> None:
    Gates.of_environment().pass_through(_gate(context, Side.AFTER))


def _gate(context: Any, side: Side) -> str:
    """Return the name of a step's gate; its owner is the service, or the run of a night."""
    task, service = context["task"], context["params"].get("service", "")
    return Gates.name(task.dag_id, service.rpartition("/")[2] or context["run_id"], task.task_id, side)
