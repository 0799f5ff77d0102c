"""Waits that start in the triggerer: their templates ask what a triggerer answers, and nothing cuts their deadlines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag

PULL = re.compile(r"xcom_pull\(([^)]*)\)")


@pytest.fixture(scope="module")
def triggered(dags: DagBag) -> list[Any]:
    return [task for dag in dags.dags.values() for task in dag.tasks if getattr(task, "start_from_trigger", False)]


def pulls(task: Any) -> Iterator[str]:
    return (found[1] for found in PULL.finditer(json.dumps(task.start_trigger_args.trigger_kwargs)))


def test_there_are_some(triggered):
    assert {task.dag_id for task in triggered} == {"biztalk_backup", "biztalk_restore"}


def test_each_xcom_is_named_by_its_map_index(triggered):
    """A triggerer of Airflow 3.3.2 does not answer another question, and the wait would never end."""
    taken = [pull for task in triggered for pull in pulls(task)]
    assert taken
    assert [pull for pull in taken if "map_indexes=-1" not in pull] == []


def test_nothing_cuts_the_deadline(triggered):
    for task in triggered:
        minutes = timedelta(minutes=float(task.start_trigger_args.trigger_kwargs["deadline_minutes"]))
        assert task.execution_timeout is None
        assert task.start_trigger_args.timeout > minutes
