"""The cells of the kill matrix: every step, every victim, repeatable."""

from __future__ import annotations

import pytest
from airflow.dag_processing.dagbag import DagBag

from chaos.cells import STEPS, all_cells, sample
from chaos.victims import VICTIMS
from tests.conftest import ROOT

VICTIM_NAMES = list(VICTIMS)
SIDEWAYS = {"unless_only_the_plan", "is_the_name_taken", "the_name_is_free"}
"""Steps of a restore that begin and end within the scheduler, or choose a way."""


def test_there_are_enough_of_them():
    cells = all_cells(VICTIM_NAMES, seed=1)
    assert len(cells) == len(set(cells)) == 2 * len(VICTIM_NAMES) * sum(len(steps) for steps in STEPS.values())
    assert len(cells) >= 150


def test_the_same_seed_gives_the_same_cells():
    one, again, other = (sample(all_cells(VICTIM_NAMES, seed), 20, seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert len(set(one)) == 20


def test_half_of_them_are_at_the_beginning_of_a_step():
    cells = all_cells(VICTIM_NAMES, seed=1)
    assert sum(cell.after == 0 for cell in cells) == len(cells) / 2


@pytest.mark.parametrize("job", STEPS)
def test_every_step_of_the_dags_has_its_cells(job):
    dag = DagBag(dag_folder=ROOT / "dags").dags[job]
    replacing = {step for step in dag.task_dict if not step.startswith("delete_as_it_is.")}
    assert set(STEPS[job]) == replacing - SIDEWAYS
