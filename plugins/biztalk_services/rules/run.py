"""A run of Airflow, as the records name it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """
    :param dag_id: its DAG.
    :param run_id: its id.
    """

    dag_id: str
    run_id: str

    def __str__(self) -> str:
        return f"run {self.run_id} of {self.dag_id}"
