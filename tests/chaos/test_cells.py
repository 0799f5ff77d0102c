"""The cells of the kill matrix cover every step and every target and are reproducible; and they run in batches."""

from __future__ import annotations

import pytest
from airflow.dag_processing.dagbag import DagBag

from chaos import triggers
from chaos.cells import FAULTS_PER_RUN, STEPS, Moment, all_cells, batches, sample
from chaos.targets import TARGETS
from tests.conftest import ROOT

TARGET_NAMES = list(TARGETS)
CONTROL_FLOW_STEPS = {"unless_plan_only", "free_the_name", "name_is_free"}
"""Steps of a restore that run within the scheduler, or choose a branch."""


def test_at_least_150_cells_and_two_seeds_cover_every_pair():
    first, second = ({(cell.job, cell.step, cell.target) for cell in all_cells(TARGET_NAMES, seed)} for seed in (1, 2))
    assert min(len(first), len(second)) >= 150
    assert not first & second
    every_pair = {(job, step, target) for job, steps in STEPS.items() for step in steps for target in TARGETS}
    assert first | second == every_pair


def test_the_same_seed_gives_the_same_cells():
    first, repeated, second = (all_cells(TARGET_NAMES, seed) for seed in (1, 1, 2))
    assert first == repeated
    assert first != second
    assert {cell.moment for cell in first} == set(Moment)
    assert sample(first, 20, 1) == sample(repeated, 20, 1) != sample(first, 20, 2)
    assert len(set(sample(first, 20, 1))) == 20


def test_no_cell_has_a_moment_at_which_its_target_does_not_exist():
    cells = {cell for seed in range(20) for cell in all_cells(TARGET_NAMES, seed)}
    of_approval = {(cell.target, cell.moment) for cell in cells if cell.step == "approval"}
    assert ("scheduler", Moment.WITHIN) in of_approval
    assert not of_approval & {("task", Moment.WITHIN), ("worker", Moment.WITHIN)}
    steps_in_triggerer = ("resume", "resume_if_requested", "first_numbers")
    moments_in_triggerer = {cell.moment for cell in cells if cell.step in steps_in_triggerer}
    assert moments_in_triggerer == {Moment.BEFORE, Moment.WITHIN}


@pytest.mark.parametrize("number", [None, 1, 20, 150])
def test_every_cell_is_in_one_batch(number):
    cells = sample(all_cells(TARGET_NAMES, seed=3), number, seed=3)
    planned = batches(cells, seed=3)
    assert sorted(map(str, cells)) == sorted(str(cell) for batch in planned for cell in batch.cells)
    assert planned == batches(cells, seed=3)


def test_a_batch_injects_each_of_its_faults_at_many_steps():
    for batch in batches(all_cells(TARGET_NAMES, seed=1), seed=1):
        assert len(batch.faults) == FAULTS_PER_RUN
        for scenario in batch.scenarios:
            assert len({cell.job for cell in scenario if cell}) == 1
            pairs = zip(scenario, batch.faults, strict=True)
            assert all(cell.target == fault.target for cell, fault in pairs if cell)
            positions = [STEPS[cell.job].index(cell.step) for cell in scenario if cell]
            assert positions == sorted(positions)


@pytest.mark.parametrize("seed", range(5))
def test_a_sample_takes_few_batches(seed):
    cells = all_cells(TARGET_NAMES, seed)
    assert len(batches(sample(cells, 8, seed), seed)) == 1
    assert len(batches(cells, seed)) == len(TARGET_NAMES)


@pytest.mark.parametrize("job", STEPS)
def test_every_step_of_the_dags_has_cells(job):
    dag = DagBag(dag_folder=ROOT / "dags").dags[job]
    steps = {step for step in dag.task_dict if not step.startswith("delete_without_backup.")}
    assert set(STEPS[job]) == steps - CONTROL_FLOW_STEPS


def test_every_trigger_that_the_scheduler_starts_has_one_with_gates():
    tasks = [task for dag in DagBag(dag_folder=ROOT / "dags").dags.values() for task in dag.tasks]
    started = {task.start_trigger_args.trigger_cls.rpartition(".")[2] for task in tasks if task.start_from_trigger}
    assert started == {"SlotTrigger", "RequestTrigger"}
    assert all(hasattr(triggers, f"Gated{name}") for name in started)
