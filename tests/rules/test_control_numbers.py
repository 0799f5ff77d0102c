"""No control number twice: the rule case by case, and on many simulated services."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from biztalk_services.drivers.biztalk.numbers.bounds import Finding, Raise, estimated_use, needed_raise
from biztalk_services.drivers.biztalk.numbers.ranges import HIGHEST, WIDTHS, Range
from biztalk_services.model.control_numbers import ControlNumberUse
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.rules.numbering import AGREEMENT, KIND, Numbering, as_text, use_of

WIDE = Range(1, HIGHEST, rollover=True)
SMALL = Range(1, 1000, rollover=True)
STRICT = Range(1, 1000)
NOW = datetime(2026, 1, 1, 2, tzinfo=UTC)


def needed(
    restored: Range, last: int | None, use: ControlNumberUse | list[int] | None, margin: int = 50, **options: object
) -> Raise | Finding | None:
    use = use_of(use) if isinstance(use, list) else use
    options = {"agreement": AGREEMENT, "kind": KIND, "protocol": "X12"} | options
    return needed_raise(restored, last=last, use=use, margin=margin, **options)


def numbers(first: int, last: int) -> list[int]:
    return list(range(first, last + 1))


# --- case by case ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("restored", [WIDE, SMALL, STRICT, Range(5, 4)])
@pytest.mark.parametrize("last", [None, 0, 500, 1000])
def test_nothing_was_used_since(restored, last):
    assert needed(restored, last, []) is None
    assert needed(restored, last, None, estimate=0) is None


def test_the_usual_raise():
    found = needed(WIDE, 10_000, numbers(10_001, 10_020))
    assert (found.new_lower, found.new_upper, found.room) == (10_071, None, HIGHEST - 10_070)
    assert found.changes() == {"InterchangeControlNumberLowerBound": 10_071}
    assert found.changes_back() == {"InterchangeControlNumberLowerBound": 1}
    assert found.reason == (
        "Agreement Fabrikam X12 send has given out 20 interchange control numbers since the backup, the highest 10020. "
        "With a margin of 50 the next one has to be 10071. "
        "Once it was given out, the lower bound may go back to 1 to 999999999."
    )


def test_the_raise_needs_no_last_number():
    assert needed(WIDE, None, numbers(10_001, 10_020)) == needed(WIDE, 10_000, numbers(10_001, 10_020))


def test_the_range_begins_beyond_what_was_used():
    assert needed(Range(2000, 3000), None, numbers(1001, 1020)) is None
    assert needed(Range(1071, 3000), None, numbers(1001, 1020)) is None
    assert needed(Range(1070, 3000), None, numbers(1001, 1020)).new_lower == 1071


def test_without_rollover_there_is_an_end():
    last_fit = needed(STRICT, 800, numbers(801, 900))
    assert (last_fit.new_lower, last_fit.room) == (951, 50)
    found = needed(STRICT, 800, numbers(801, 901))
    assert (found.rule, found.agreement, found.kind) == ("control-numbers-room", AGREEMENT, KIND)
    assert "101 interchange control numbers since the backup, the highest 901" in found.sentence
    assert "The range 1 to 1000 has no room for a margin of 50" in found.sentence
    assert "does not start over" in found.sentence
    assert "can be raised up to 999999999" in found.sentence


def test_an_upper_bound_that_cannot_grow():
    found = needed(Range(1, 9999, "12345", ""), 9000, numbers(9001, 9990))
    assert "another prefix or suffix" in found.sentence
    assert "can be raised" not in found.sentence
    edifact = needed(Range(1, 9999, "12345", ""), 9000, numbers(9001, 9990), protocol="EDIFACT")
    assert "can be raised up to 999999999" in edifact.sentence


def test_with_rollover_it_starts_over_at_the_lower_bound():
    found = needed(SMALL, 800, numbers(801, 970))
    assert (found.new_lower, found.new_upper, found.room) == (21, 800, 780)
    assert found.changes() == {
        "InterchangeControlNumberLowerBound": 21,
        "InterchangeControlNumberUpperBound": 800,
    }
    assert found.changes_back() == {
        "InterchangeControlNumberLowerBound": 1,
        "InterchangeControlNumberUpperBound": 1000,
    }
    assert "the next one has to be 21, and 800 the last before it starts over" in found.reason
    assert "both bounds may go back to 1 to 1000" in found.reason


def test_it_has_started_over_already():
    found = needed(SMALL, 990, [*numbers(991, 1000), *numbers(1, 20)])
    assert (found.new_lower, found.new_upper) == (71, 990)
    assert "the highest 1000, the latest 20" in found.reason


def test_starting_over_needs_room_too():
    last_fit = needed(SMALL, 990, [*numbers(991, 1000), *numbers(1, 890)])
    assert (last_fit.new_lower, last_fit.new_upper, last_fit.room) == (941, 990, 50)
    assert needed(SMALL, 990, [*numbers(991, 1000), *numbers(1, 891)]).rule == "control-numbers-room"
    assert needed(SMALL, 1049, numbers(1, 901)).rule == "control-numbers-room"


def test_the_backup_stood_at_the_upper_bound():
    found = needed(SMALL, 1000, numbers(1, 20))
    assert (found.new_lower, found.new_upper) == (71, None)
    service = Numbering(SMALL, 1000)
    service.apply(found)
    assert service.give() == 71


def test_it_has_gone_all_the_way_round():
    used = Numbering(SMALL, 400).give_up_to(990)
    assert needed(SMALL, 400, used).rule == "control-numbers-room"
    assert "meet numbers that were used since" in needed(SMALL, 400, used).sentence
    assert needed(SMALL, 400, Numbering(SMALL, 400).give_up_to(1500)).rule == "control-numbers-room"


def test_starting_over_wants_evidence():
    used = numbers(801, 970)
    assert "without the last number" in needed(SMALL, None, used).sentence
    assert "not the numbers that follow 790" in needed(SMALL, 790, used).sentence
    assert "not the numbers that follow 800" in needed(SMALL, 800, [*used, *numbers(801, 810)]).sentence
    changed = needed(SMALL, 800, used, living=replace(SMALL, lower=10))
    assert "the range was changed meanwhile (from 10 to 1000)" in changed.sentence
    assert isinstance(needed(SMALL, 800, used, living=SMALL), Raise)


def test_bounds_changed_meanwhile_do_not_matter_where_there_is_room():
    living = Range(5000, 9000)
    assert needed(WIDE, 100, numbers(5000, 5020), living=living).new_lower == 5071
    beyond = needed(STRICT, 100, numbers(5000, 5020), living=living)
    assert (beyond.rule, "the highest 5020" in beyond.sentence) == ("control-numbers-room", True)


def test_a_counter_that_stands_beyond_what_was_used():
    assert needed(STRICT, 500, numbers(1, 20)) is None
    assert "the counter stands at 990" in needed(STRICT, 990, numbers(1, 20)).sentence
    assert needed(SMALL, 500, numbers(1, 20)).new_lower == 71


@pytest.mark.parametrize("living", [replace(WIDE, prefix="1"), replace(WIDE, suffix="A")])
def test_another_prefix_or_suffix_meanwhile(living):
    found = needed(WIDE, 100, numbers(101, 120), living=living)
    assert found.rule == "control-number-range"
    assert str(living) in found.sentence
    assert needed(WIDE, 100, [], living=living) is None


@pytest.mark.parametrize(
    "restored",
    [Range(0, 10), Range(10, 9), Range(1, HIGHEST + 1), Range(1, 99_999, "12345"), Range(1, 10, "", "x" * 8)],
)
def test_a_range_that_cannot_be_used(restored):
    for options in ({"use": [5]}, {"use": None, "estimate": 5}):
        found = needed(restored, 5, **options)
        assert found.rule == "control-number-range"
        assert "Mend it" in found.sentence


def test_unknown_use():
    nothing_known = needed(WIDE, 100, None)
    assert nothing_known.rule == "control-numbers-known"
    assert "Give the tracking database, or an estimate" in nothing_known.sentence
    assert "last number of the backup" in needed(WIDE, None, None, estimate=5).sentence
    assert "changed meanwhile" in needed(WIDE, 100, None, estimate=5, living=SMALL).sentence


def test_an_estimate():
    found = needed(WIDE, 10_000, None, estimate=480)
    assert found.new_lower == 10_531
    assert "was assumed to have given out up to 480 interchange control numbers, the highest 10480" in found.reason
    assert needed(SMALL, 800, None, estimate=170).changes() == needed(SMALL, 800, numbers(801, 970)).changes()
    assert needed(SMALL, 990, None, estimate=30).new_lower == 71
    assert needed(STRICT, 990, None, estimate=30).rule == "control-numbers-room"
    assert needed(SMALL, 500, None, estimate=100_000).rule == "control-numbers-room"
    assert needed(WIDE, 10_000, numbers(10_001, 10_002), estimate=480).new_lower == 10_053


def test_how_many_are_estimated():
    assert estimated_use(10, since=NOW, until=NOW + timedelta(hours=24)) == 480
    assert estimated_use(0.3, since=NOW, until=NOW + timedelta(minutes=1), safety=1) == 1
    assert estimated_use(10, since=NOW, until=NOW) == 0
    for wrong in ({"until": NOW - timedelta(1)}, {"until": NOW, "safety": -1}):
        with pytest.raises(ValueError, match="span that ends after"):
            estimated_use(10, since=NOW, **wrong)


@pytest.mark.parametrize("options", [{"margin": -1}, {"estimate": -1}])
def test_counts_are_not_negative(options):
    with pytest.raises(ValueError, match="0 or more"):
        needed(WIDE, 1, None, **options)


# --- on many services ------------------------------------------------------------------------------------------------


@st.composite
def ranges(draw: st.DrawFn, protocol: str = "X12") -> Range:
    """Small ranges, anywhere up to the end of what fits."""
    prefix, suffix = draw(st.sampled_from([("", ""), ("7", ""), ("", "3"), ("12", "34"), ("1234", "5678")]))
    top = min(HIGHEST, 10 ** (WIDTHS[protocol] - len(prefix + suffix)) - 1)
    size = min(draw(st.integers(1, 60)), top)
    lower = draw(st.integers(1, top - size + 1) | st.just(1) | st.just(top - size + 1))
    return Range(lower, lower + size - 1, prefix, suffix, draw(st.booleans()))


@st.composite
def restores(draw: st.DrawFn) -> tuple[str, Range, int | None, list[int], list[int], int]:
    """Protocol, range, last number of the backup, numbers given out and seen, given out and unseen, margin."""
    protocol = draw(st.sampled_from(sorted(WIDTHS)))
    restored = draw(ranges(protocol))
    last = draw(st.none() | st.integers(max(restored.lower - 3, 0), restored.upper + 3))
    service = Numbering(restored, last)
    seen = service.give_up_to(draw(st.integers(0, 70)))
    margin = draw(st.integers(0, 12))
    unseen = service.give_up_to(draw(st.integers(0, margin))) if seen else []
    return protocol, restored, last, seen, unseen, margin


def check(service: Numbering, found: Raise | None, used: list[int], margin: int) -> None:
    """The next numbers are there, differ, and were not used; also when the bounds go back after the first."""
    wanted = max(margin, 1)
    if found:
        bounds = (found.new_lower, found.new_upper or service.range.upper)
        assert found.restored.lower <= bounds[0] <= bounds[1] <= found.restored.upper
        assert found.room == bounds[1] - bounds[0] + 1
    for take_back in (False, True):
        trial = replace(service)
        if found:
            trial.apply(found)
        given = [trial.give()]
        if found and take_back:
            trial.take_back(found)
        given += trial.give_up_to(wanted - 1)
        texts = {as_text(trial.range, number) for number in given}
        assert not texts & {as_text(trial.range, number) for number in used}
        if not take_back:
            assert len(texts) == wanted
            assert trial.range.trouble("X12") is None or trial.range.trouble("EDIFACT") is None


@given(restores())
@example(("X12", SMALL, 800, numbers(801, 970), numbers(971, 1000) + numbers(1, 20), 50))
@example(("X12", SMALL, 990, numbers(991, 1000) + numbers(1, 20), numbers(21, 70), 50))
def test_no_number_comes_again(restore):
    protocol, restored, last, seen, unseen, margin = restore
    found = needed(restored, last, seen, margin, protocol=protocol, living=restored)
    if not seen:
        assert found is None
    elif isinstance(found, Raise):
        check(Numbering(restored, last), found, seen + unseen, margin)
    else:
        assert isinstance(found, Finding)
        assert not possible(restored, last, seen, margin)


def possible(restored: Range, last: int | None, seen: list[int], margin: int) -> bool:
    """Whether any bounds inside the range would do, tried out one by one."""
    service = Numbering(restored, seen[-1])
    taboo = {*seen, *service.give_up_to(margin)}
    if not restored.rollover and len(taboo) < len(set(seen)) + margin:
        return False
    for lower in range(restored.lower, restored.upper + 1):
        for upper in range(lower, restored.upper + 1):
            trial = Numbering(replace(restored, lower=lower, upper=upper), last)
            given = trial.give_up_to(max(margin, 1))
            if len(set(given)) == max(margin, 1) and not taboo & set(given):
                return True
    return False


@given(restores(), st.integers(0, 20))
def test_no_number_comes_again_when_the_use_is_estimated(restore, too_much):
    protocol, restored, last, seen, unseen, margin = restore
    found = needed(restored, last, None, margin, protocol=protocol, estimate=len(seen) + too_much)
    if isinstance(found, Raise):
        check(Numbering(restored, last), found, seen + unseen, margin)


@given(restores(), ranges(), st.integers(0, 70), st.booleans(), st.booleans(), st.booleans())
def test_no_number_comes_again_when_the_range_was_changed_meanwhile(restore, other, more, known, last_known, went_back):
    protocol, restored, last, _, _, margin = restore
    other = replace(other, prefix=restored.prefix, suffix=restored.suffix)
    service = Numbering(restored, last)
    used = service.give_up_to(5)
    service.range = other
    used += service.give_up_to(more)
    if went_back:
        service.range = restored
        used += service.give_up_to(5)
    assume(used)
    living = service.range if known else None
    found = needed(restored, last if last_known else None, used, margin, protocol=protocol, living=living)
    if isinstance(found, Finding):
        return
    again = Numbering(restored, last)
    if found:
        again.apply(found)
    given_out = again.give_up_to(max(margin, 1))
    assert not set(given_out) & set(used)
    assert len(set(given_out)) == len(given_out)


@given(ranges(), st.none() | st.integers(0, HIGHEST))
def test_the_next_number_is_the_one_that_a_service_gives_out(pattern, last):
    given_out = Numbering(pattern, last).give_up_to(1)
    assert pattern.after(last) == (given_out[0] if given_out else None)
