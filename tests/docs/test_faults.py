"""docs/faults.md names faults enough, and only tests that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs/faults.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| fault ", "|--"))
]


def test_there_are_at_least_forty_faults_and_none_twice():
    faults = [row[0] for row in ROWS]
    assert len(faults) >= 40
    assert len(set(faults)) == len(faults)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_each_has_an_outcome_and_a_test_that_exists(row):
    fault, made_by, outcome, test = row
    assert all((fault, made_by, outcome))
    (path, *names) = re.fullmatch(r"`([^`]+)`", test)[1].split("::")
    body = ast.parse((ROOT / "tests" / path).read_text()).body
    for name in names:
        (found,) = [node for node in body if getattr(node, "name", None) == name]
        body = found.body
    assert names[-1].startswith("test_")
