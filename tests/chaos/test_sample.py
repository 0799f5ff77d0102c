"""A fixed sample of the kill matrix, run on a local stack."""

from __future__ import annotations

import pytest

from chaos.cells import STEPS, all_cells, sample
from chaos.matrix import run_cells
from chaos.runner import Outcome
from chaos.targets import TARGETS
from stack.layouts import LOCAL

SEED, NUMBER = 11, 9
CELLS = sample(all_cells(TARGETS, SEED), NUMBER, SEED)


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return [outcome for batch in run_cells(CELLS, SEED, LOCAL) for outcome in batch]


def test_the_sample_has_several_targets_and_every_job():
    assert len({cell.target for cell in CELLS}) > 1
    assert {cell.job for cell in CELLS} == set(STEPS)


@pytest.mark.timeout(900)
def test_every_cell_passes(outcomes):
    assert {outcome.cell for outcome in outcomes} == set(CELLS)
    assert [outcome for outcome in outcomes if outcome.verdict != "passed"] == []
