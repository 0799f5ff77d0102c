"""The cells of the kill matrix: every step, every victim, repeatable; and the waves in which they are carried out."""

from __future__ import annotations

import pytest
from airflow.dag_processing.dagbag import DagBag

from chaos.cells import DEATHS, STEPS, Moment, all_cells, sample, waves
from chaos.victims import VICTIMS
from tests.conftest import ROOT

VICTIM_NAMES = list(VICTIMS)
SIDEWAYS = {"unless_only_the_plan", "is_the_name_taken", "the_name_is_free"}
"""Steps of a restore that begin and end within the scheduler, or choose a way."""


def test_there_are_enough_of_them_and_two_seeds_leave_nothing_out():
    one, other = ({(cell.job, cell.step, cell.victim) for cell in all_cells(VICTIM_NAMES, seed)} for seed in (1, 2))
    assert min(len(one), len(other)) >= 150
    assert not one & other
    assert one | other == {(job, step, victim) for job, steps in STEPS.items() for step in steps for victim in VICTIMS}


def test_the_same_seed_gives_the_same_cells_and_another_one_other_moments():
    one, again, other = (all_cells(VICTIM_NAMES, seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert {cell.moment for cell in one} == set(Moment)
    assert sample(one, 20, 1) == sample(again, 20, 1) != sample(one, 20, 2)
    assert len(set(sample(one, 20, 1))) == 20


def test_no_death_comes_where_nobody_could_meet_it():
    cells = {cell for seed in range(20) for cell in all_cells(VICTIM_NAMES, seed)}
    of_approval = {(cell.victim, cell.moment) for cell in cells if cell.step == "approval"}
    assert ("scheduler", Moment.WITHIN) in of_approval
    assert not of_approval & {("task", Moment.WITHIN), ("worker", Moment.WITHIN)}
    ended_by_triggerer = {cell.moment for cell in cells if cell.step in ("service.resume", "resume_when_asked")}
    assert ended_by_triggerer == {Moment.BEFORE, Moment.WITHIN}


@pytest.mark.parametrize("number", [None, 1, 20, 150])
def test_every_cell_has_its_wave(number):
    cells = sample(all_cells(VICTIM_NAMES, seed=3), number, seed=3)
    made = waves(cells, seed=3)
    assert sorted(map(str, cells)) == sorted(str(cell) for wave in made for cell in wave.cells)
    assert made == waves(cells, seed=3)


def test_a_wave_has_each_of_its_deaths_at_many_steps():
    for wave in waves(all_cells(VICTIM_NAMES, seed=1), seed=1):
        assert len(wave.deaths) == DEATHS
        for fate in wave.fates:
            assert len({cell.job for cell in fate if cell}) == 1
            assert all(cell.victim == death.victim for cell, death in zip(fate, wave.deaths, strict=True) if cell)
            places = [STEPS[cell.job].index(cell.step) for cell in fate if cell]
            assert places == sorted(places)
            # A step of the whole run would keep its other services away from their own cells.
            assert len({cell.of_the_whole_run for cell in fate if cell}) == 1


@pytest.mark.parametrize("seed", range(5))
def test_a_sample_takes_few_waves(seed):
    cells = all_cells(VICTIM_NAMES, seed)
    assert len(waves(sample(cells, 8, seed), seed)) == 1
    assert len(waves(cells, seed)) == len(VICTIM_NAMES)


@pytest.mark.parametrize("job", STEPS)
def test_every_step_of_the_dags_has_its_cells(job):
    dag = DagBag(dag_folder=ROOT / "dags").dags[job]
    replacing = {step for step in dag.task_dict if not step.startswith("delete_as_it_is.")}
    assert set(STEPS[job]) == replacing - SIDEWAYS
