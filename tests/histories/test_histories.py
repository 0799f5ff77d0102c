"""No number twice: random histories of a service, with every kind of wrong answer that a database was seen to give.

``pytest -s`` prints how each kind ends.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from functools import cache
from itertools import cycle
from typing import get_args

import pytest
from biztalk_services.drivers.biztalk.numbers.findings import Rule
from biztalk_services.drivers.biztalk.numbers.ranges import Range
from biztalk_services.model.control_numbers import ControlNumberUse

from tests.biztalk.numbering import AGREEMENT, KIND, SINCE, needed, settled
from tests.histories.history import Counter as Numbered
from tests.histories.history import History, history
from tests.histories.tracking import FAULTS

HISTORIES = 2000
KINDS = ("earlier exact restore", *FAULTS)
RULES = set(get_args(Rule))


def ending(each: History) -> str:
    if each.decision.open:
        return min(found.rule for found in each.decision.open)
    return "new bounds" if each.decision.bounds else "nothing to do"


@cache
def all_histories() -> tuple[History, ...]:
    """Every third one has a right answer."""
    wrong = cycle(KINDS)
    return tuple(history(seed, fault=next(wrong) if seed % 3 else "") for seed in range(HISTORIES))


def test_no_partner_sees_a_number_twice():
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for each in all_histories():
        table[each.fault or "right"][ending(each)] += 1
    columns = sorted({name for endings in table.values() for name in endings})
    print("\n" + " " * 26 + " ".join(f"{name:>22}" for name in columns))
    for kind, endings in sorted(table.items()):
        print(f"{kind:26}" + " ".join(f"{endings[name]:22}" for name in columns))
    refused = {seed: each.refused for seed, each in enumerate(all_histories()) if each.refused}
    assert refused == {}


def test_every_kind_of_wrong_answer_is_there_and_some_of_each_is_named():
    seen = {each.fault for each in all_histories()}
    assert seen == {"", *KINDS}
    harmless = {"another case", "without last_used", "seconds cut off", "purged", "latest is the highest"}
    for kind in set(KINDS) - harmless:
        endings = {ending(each) for each in all_histories() if each.fault == kind}
        assert endings & {"control-numbers-known", "control-numbers-agree"}, kind


def test_right_answers_are_not_blocked_but_for_room():
    right = [each for each in all_histories() if not each.fault]
    blocked = [each for each in right if each.decision.open]
    assert {found.rule for each in blocked for found in each.decision.open} <= {"control-numbers-room"}
    assert len(blocked) < 0.42 * len(right)  # small ranges, and margins of up to 200
    roomy = [each for each in right if all(_has_room(counter) for counter in each.counters)]
    assert len(roomy) > 5
    assert not any(each.decision.open for each in roomy)


def _has_room(counter: Numbered) -> bool:
    return counter.range.size > 1000 and counter.range.rollover and counter.receiver.terms.policy == "increasing"


def test_what_is_blocked_names_its_rule_and_says_what_to_do():
    for each in all_histories():
        for found in each.decision.open:
            assert found.rule in RULES
            assert any(word in found.sentence for word in ("Correct", "Agree with", "agree on it", "Ask", "Make the"))


# --- what cannot be known --------------------------------------------------------------------------------------------


def test_a_counter_of_which_nothing_is_known_at_the_backup_nor_now():
    """The limit: it is taken for one that was never used, unless an archive knows better."""
    never = ControlNumberUse(AGREEMENT, KIND)
    assert needed(Range(1, 9999), None, never, ever=never, used_before=0) is None
    sent = ControlNumberUse(AGREEMENT, KIND, 7, 7, 7)
    assert needed(Range(1, 9999), None, never, ever=never, used_before=0, sent=sent).rule == "control-numbers-agree"


def test_a_latest_that_was_always_wrong_while_nothing_is_used():
    """The limit: 60 to 120 and 1 to 22 were given out, and the first is told as the latest. The next shows it."""
    whole, earlier = Range(1, 120, rollover=True), SINCE - timedelta(days=1)
    before = ControlNumberUse(AGREEMENT, KIND, 120, 60, 83, earlier)
    found = settled(whole, 60, ControlNumberUse(AGREEMENT, KIND), before, used_before=83)
    assert found.walk.last == 60
    since = ControlNumberUse(AGREEMENT, KIND, 23, 23, 1, SINCE + timedelta(hours=1))
    ever = ControlNumberUse(AGREEMENT, KIND, 120, 60, 84, SINCE + timedelta(hours=1))
    assert settled(whole, 60, since, ever, used_before=83).rule == "control-numbers-agree"


@pytest.mark.parametrize("has_archive", [False, True], ids=["alone", "with an archive"])
def test_a_database_that_is_behind_by_more_than_the_margin(has_archive):
    """The limit: its answer is right, and of another moment. A second source knows better."""
    stale = [history(seed, stale_beyond=True, has_archive=has_archive) for seed in range(200)]
    refused = [each for each in stale if each.refused]
    assert bool(refused) is not has_archive
    assert sum(bool(each.decision.open) for each in stale) > 0
