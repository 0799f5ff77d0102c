"""What the kill matrix takes for a failure: each wrong ending has its sentence."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from chaos.books import Left
from chaos.cells import BACKUP, RESTORE
from chaos.verdict import shortcomings

HELD = {"agreements": [{"Name": "A", "Id": 1}], "partners": []}
BACKED_UP = Left("Active", HELD, Counter(suspend=1, backup=1, resume=1), ("orders-1",), (), ())
RESTORED = Left(
    "Active",
    {"agreements": [{"Name": "A", "Id": 9}], "partners": []},
    Counter(suspend=1, backup=1, delete=1, restore=1),
    ("s-1",),
    (),
    (),
)


@pytest.mark.parametrize(("job", "left"), [(BACKUP, BACKED_UP), (RESTORE, RESTORED)])
def test_what_went_well(job, left):
    assert shortcomings(job, True, left, HELD) == []


@pytest.mark.parametrize(
    ("green", "changes", "sentence"),
    [
        (True, {"state": "Suspended"}, "the service is Suspended"),
        (False, {"state": None}, "the service is gone"),
        (False, {"content": {}}, "the service does not hold what it held"),
        (True, {"whole": ()}, "green with 0 whole backups"),
        (True, {"broken": ("orders-1",)}, "the reference of orders-1 is published, and the backup is not whole"),
        (True, {"open_tickets": ("x",)}, "ticket x is open"),
        (True, {"operations": Counter(suspend=1, backup=2, resume=1)}, "2 effective operations backup"),
        (False, {"operations": Counter(suspend=1)}, "1 suspensions and 0 resumptions"),
    ],
)
def test_a_backup(green, changes, sentence):
    assert sentence in shortcomings(BACKUP, green, replace(BACKED_UP, **changes), HELD)


def test_a_red_backup_without_effect_is_honest():
    left = replace(BACKED_UP, operations=Counter(), whole=())
    assert shortcomings(BACKUP, False, left, HELD) == []


@pytest.mark.parametrize(
    ("green", "changes", "sentence"),
    [
        (True, {"state": "Suspended"}, "green, and the service is Suspended"),
        (True, {"content": {"agreements": []}}, "green, and the service does not hold what it held"),
        (
            True,
            {"whole": ()},
            "green with {'suspend': 1, 'backup': 1, 'delete': 1, 'restore': 1} and 0 safety backups",
        ),
        (False, {"operations": Counter(delete=2)}, "2 effective operations delete"),
        (False, {"whole": ()}, "deleted without a whole backup of it"),
        (
            False,
            {"operations": Counter(suspend=1), "state": "Suspended"},
            "nothing was deleted, and the service is Suspended",
        ),
    ],
)
def test_a_restore(green, changes, sentence):
    assert sentence in shortcomings(RESTORE, green, replace(RESTORED, **changes), HELD)


def test_a_red_restore_that_deleted_and_has_the_safety_backup_is_honest():
    assert shortcomings(RESTORE, False, replace(RESTORED, state="RestoreFailed"), HELD) == []
