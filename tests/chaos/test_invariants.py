"""The invariants of the end state: each violation has a sentence of its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from chaos.cells import NIGHT, RESTORE
from chaos.ground_truth import EndState
from chaos.invariants import violations

CONTENT = {"agreements": [{"Name": "A", "Id": 1}], "partners": []}
BACKED_UP = EndState("Active", CONTENT, Counter(suspend=1, backup=1, resume=1), ("orders-1",), (), (), ("run-1",))
RESTORED = EndState(
    "Active",
    {"agreements": [{"Name": "A", "Id": 9}], "partners": []},
    Counter(suspend=1, backup=1, delete=1, restore=1),
    ("s-1",),
    (),
    (),
)


@pytest.mark.parametrize(("job", "end"), [(NIGHT, BACKED_UP), (RESTORE, RESTORED)])
def test_the_end_state_of_a_successful_run_violates_nothing(job, end):
    assert violations(job, True, end, CONTENT) == []


@pytest.mark.parametrize(
    ("green", "changes", "sentence"),
    [
        (True, {"state": "Suspended"}, "the service is Suspended"),
        (False, {"state": None}, "the service is gone"),
        (False, {"content": {}}, "the service does not hold what it held"),
        (True, {"intact_backups": ()}, "green with 0 whole backups"),
        (True, {"damaged_backups": ("x-1",)}, "the reference of x-1 is published, and the backup is not whole"),
        (True, {"open_records": ("x",)}, "suspension record x is open"),
        (True, {"operations": Counter(suspend=1, backup=2, resume=1)}, "2 effective operations backup"),
        (False, {"operations": Counter(suspend=1)}, "1 suspensions and 0 resumptions"),
        (True, {"started_runs": ()}, "0 runs of the service were started"),
        (False, {"started_runs": ("run-1", "run-2")}, "2 runs of the service were started"),
        (False, {"unended_runs": ("run-1",)}, "run run-1 had not ended when the night ended"),
    ],
)
def test_a_violation_after_a_backup(green, changes, sentence):
    assert sentence in violations(NIGHT, green, replace(BACKED_UP, **changes), CONTENT)


def test_a_failed_backup_without_effect_violates_nothing():
    end = replace(BACKED_UP, operations=Counter(), intact_backups=(), started_runs=())
    assert violations(NIGHT, False, end, CONTENT) == []


@pytest.mark.parametrize(
    ("green", "changes", "sentence"),
    [
        (True, {"state": "Suspended"}, "green, and the service is Suspended"),
        (True, {"content": {"agreements": []}}, "green, and the service does not hold what it held"),
        (
            True,
            {"intact_backups": ()},
            "green with {'suspend': 1, 'backup': 1, 'delete': 1, 'restore': 1} and 0 safety backups",
        ),
        (False, {"operations": Counter(delete=2)}, "2 effective operations delete"),
        (False, {"intact_backups": ()}, "deleted without a whole backup of it"),
        (
            False,
            {"operations": Counter(suspend=1), "state": "Suspended"},
            "nothing was deleted, and the service is Suspended",
        ),
    ],
)
def test_a_violation_after_a_restore(green, changes, sentence):
    assert sentence in violations(RESTORE, green, replace(RESTORED, **changes), CONTENT)


def test_a_failed_restore_with_safety_backup_is_allowed():
    assert violations(RESTORE, False, replace(RESTORED, state="RestoreFailed"), CONTENT) == []
