"""A fixed sample of the kill matrix, carried out."""

from __future__ import annotations

import pytest

from chaos.cells import BACKUP, RESTORE, all_cells, sample
from chaos.matrix import carry_out
from chaos.runner import Outcome
from chaos.victims import VICTIMS
from stack.layouts import LOCAL

SEED, NUMBER = 11, 6
CELLS = sample(all_cells(VICTIMS, SEED), NUMBER, SEED)


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return [outcome for wave in carry_out(CELLS, SEED, LOCAL) for outcome in wave]


def test_it_has_several_deaths_in_both_jobs():
    assert len({cell.victim for cell in CELLS}) > 1
    assert {cell.job for cell in CELLS} == {BACKUP, RESTORE}


@pytest.mark.timeout(900)
def test_every_cell_ends_as_it_has_to(outcomes):
    assert {outcome.cell for outcome in outcomes} == set(CELLS)
    assert [outcome for outcome in outcomes if outcome.verdict != "passed"] == []
