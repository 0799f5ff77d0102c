"""The tables of recorded outcomes of the kill matrix."""

from __future__ import annotations

from chaos.cells import BACKUP, STEPS
from chaos.table import counts, matrix


def record(stack: str, seed: int, step: str, verdict: str = "passed", *, green: bool = True) -> dict:
    cell = {"job": BACKUP, "step": step, "moment": "after", "victim": "task"}
    return {"stack": stack, "seed": seed, "verdict": verdict, "green": green, "cell": cell}


RECORDS = [
    record("local", 1, "check_backup"),
    record("local", 1, "resume", "FAILED", green=False),
    record("local", 2, "suspend", "too late"),
    record("distributed", 1, "check_backup", green=False),
]


def test_outcomes_are_counted_by_stack_and_seed():
    assert counts(RECORDS).splitlines()[2:] == [
        "| local | 1 | 2 | 1 | 1 | 0 | 1 | 1 |",
        "| local | 2 | 1 | 0 | 0 | 1 | 1 | 0 |",
        "| distributed | 1 | 1 | 1 | 0 | 0 | 0 | 1 |",
    ]


def test_every_step_has_a_row_with_the_outcomes_of_its_cells():
    lines = matrix(BACKUP, RECORDS).splitlines()
    fields = {line.split(" | ")[0][2:]: line.split(" | ")[1] for line in lines[2:]}
    assert list(fields) == list(STEPS[BACKUP])
    assert (fields["check_backup"], fields["resume"], fields["suspend"]) == ("a gr", "a !", "a !")
    assert fields["back_up"] == ""
