"""What Airflow knows of other runs."""

from __future__ import annotations

from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError

from biztalk_services.model.run import Owner, Run

_ENDED = ("success", "failed")


def run_of(ti: Any) -> Run:
    """The run of a task instance."""
    return Run(ti.dag_id, ti.run_id)


def owner(ti: Any, run: Run) -> Owner:
    """
    What this Airflow knows of a run.

    :param ti: the running task instance
    :param run: the other run
    """
    try:
        return Owner.ENDED if ti.get_dagrun_state(dag_id=run.dag_id, run_id=run.run_id) in _ENDED else Owner.WORKS
    except AirflowRuntimeError:
        return Owner.UNKNOWN


def has_ended(ti: Any, run: Run) -> bool:
    """
    Whether a run has ended, as far as this Airflow knows; one that it does not know has not.

    :param ti: the running task instance
    :param run: the other run
    """
    return owner(ti, run) is Owner.ENDED
