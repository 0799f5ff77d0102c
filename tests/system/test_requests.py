"""Requests that are refused."""

from __future__ import annotations

import pytest
import requests

from tests.system.world import DAG_ID, World


def test_choosing_only_a_service_without_backups_is_red(world):
    night = world.night(["contosodev"])
    assert night.state == "failed"
    assert night.report["contosodev"]["outcome"] == "no backup in this edition"
    assert night.operations("contosodev") == []
    assert "No service was backed up" in log_of(world, night.run_id, "report")


def test_an_unknown_service_makes_the_run_red_before_changes(world):
    night = world.night(["contosoorders", "contosoorder"])
    assert night.state == "failed"
    assert night.operations("contosoorders") == []
    assert night.report == {}
    sentence = "The subscription has no service contosoorder; it has"
    assert sentence in log_of(world, night.run_id, "find_services")
    assert sentence in log_of(world, night.run_id, "report")


@pytest.mark.parametrize(
    "form",
    [
        {"services": "contosoorders"},
        {"services": ["../contosoorders"]},
        {"services": ["contosoorders; DROP TABLE"]},
        {"services": [""]},
        {"services": [7]},
        {"services": {"name": "contosoorders"}},
        {"drain_deadline_minutes": -1},
        {"drain_deadline_minutes": 721},
        {"drain_deadline_minutes": "soon"},
        {"drain_deadline_minutes": 1.5},
        {"batches_are_empty": "perhaps"},
        {"unknown_batches_policy": "shrug"},
        {"refilled_batches_policy": "ignore"},
        {"label": "x" * 201},
        {"label": ["a"]},
    ],
    ids=str,
)
def test_an_invalid_form_is_refused_and_nothing_is_started(world, form):
    before = world.airflow.get(f"/dags/{DAG_ID}/dagRuns")["total_entries"]
    with pytest.raises(requests.HTTPError) as refused:
        world.airflow.trigger(DAG_ID, form)
    assert 400 <= refused.value.response.status_code < 500
    assert next(iter(form)) in refused.value.response.text
    assert world.airflow.get(f"/dags/{DAG_ID}/dagRuns")["total_entries"] == before


def log_of(world: World, run_id: str, task: str) -> str:
    (instance,) = [each for each in world.airflow.task_instances(DAG_ID, run_id) if each["task_id"] == task]
    return world.log(DAG_ID, run_id, instance)
