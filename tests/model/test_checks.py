"""Checks and the refusal that lists all broken ones."""

from __future__ import annotations

import pickle

import pytest
from biztalk_services.model.checks import Check, RefusedError, refuse_if_broken


def test_nothing_is_refused_without_a_broken_rule():
    refuse_if_broken([], "anything")
    refuse_if_broken([Check("r", True, "S.", "d")], "anything")
    with pytest.raises(ValueError, match="at least one"):
        RefusedError([])
    assert RefusedError([Check("r", False, "S.", "d")]).broken[0].rule == "r"


def test_a_refusal_lists_broken_rules_only():
    broken = [Check("a", False, "It is not.", "chart"), Check("b", False, "Nor is this.", "docs")]
    with pytest.raises(RefusedError) as caught:
        refuse_if_broken([Check("c", True, "It is.", "page"), *broken], "the backup")
    assert str(caught.value) == "Refused the backup: [a] It is not. (chart) [b] Nor is this. (docs)"
    assert caught.value.broken == tuple(broken)


def test_a_refusal_survives_pickling():
    error = RefusedError([Check("a", False, "It is not.", "chart")], "the backup")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.broken, copy.subject) == (str(error), error.broken, error.subject)
