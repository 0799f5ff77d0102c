"""The format of a recorded line: files recorded earlier and later are read together."""

from __future__ import annotations

from chaos.cells import BACKUP, Cell, Moment
from chaos.records import record_line
from chaos.runner import Outcome

CELL = Cell(BACKUP, "suspend", Moment.WITHIN, "task")


def test_a_cell_that_passed():
    assert record_line(Outcome(CELL, True, False, ()), "local", 3) == (
        '{"stack": "local", "seed": 3, "verdict": "passed", "cell": {"job": "biztalk_backup", '
        '"step": "suspend", "moment": "within", "victim": "task"}, "met": true, "green": false, "wrong": []}'
    )


def test_a_red_run_says_why():
    line = record_line(Outcome(CELL, True, False, (), "The backup failed."), "local", 3)
    assert line.endswith('"green": false, "wrong": [], "reason": "The backup failed."}')


def test_a_cell_whose_run_did_not_end():
    line = record_line(Outcome(CELL, False, None, ("the run did not end",)), "local", 3)
    assert line.endswith('"victim": "task"}, "met": false, "green": null, "wrong": ["the run did not end"]}')
    assert '"verdict": "FAILED"' in line
