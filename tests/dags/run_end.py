"""What Airflow makes of the end of a run, and of *Clear*, from the serialized DAG as the scheduler has it."""

from __future__ import annotations

from unittest.mock import Mock

from airflow.models.dagrun import DagRun
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization


def deciding(dag: DAG) -> set[str]:
    """The tasks by whose states Airflow decides whether a run is green."""
    serialized = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    instances = [Mock(task_id=task_id, state=None) for task_id in dag.task_ids]
    return {each.task_id for each in DagRun._tis_for_dagrun_state(None, dag=serialized, tis=instances)}


def cleared(dag: DAG, task_id: str) -> set[str]:
    """The tasks that are cleared with one and what follows it."""
    serialized = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    return set(serialized.partial_subset({task_id}, include_downstream=True, include_upstream=False).task_dict)
