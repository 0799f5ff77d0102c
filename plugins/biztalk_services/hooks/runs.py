"""What Airflow knows of other runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowRuntimeError

if TYPE_CHECKING:
    from biztalk_services.catalog.reference import Run

_ENDED = ("success", "failed")


def has_ended(ti: Any, run: Run) -> bool:
    """
    Whether a run has ended, as far as this Airflow knows; one that it does not know has not.

    :param ti: the running task instance
    :param run: the other run
    """
    try:
        return ti.get_dagrun_state(dag_id=run.dag_id, run_id=run.run_id) in _ENDED
    except AirflowRuntimeError:
        return False
