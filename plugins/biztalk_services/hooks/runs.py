"""What Airflow knows of other runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowRuntimeError

if TYPE_CHECKING:
    from biztalk_services.catalog.reference import Run


def has_ended(ti: Any, run: Run) -> bool:
    """
    Whether a run has ended as far as this Airflow knows; one that it does not know may be another Airflow's.

    :param ti: the running task instance
    """
    try:
        return ti.get_dagrun_state(dag_id=run.dag_id, run_id=run.run_id) in ("success", "failed")
    except AirflowRuntimeError:
        return False
