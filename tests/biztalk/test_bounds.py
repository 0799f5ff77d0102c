"""No control number twice: where to continue, case by case, and on many simulated services."""

from __future__ import annotations

from dataclasses import replace

import pytest
from biztalk_services.drivers.biztalk.numbers.bounds import NewBounds
from biztalk_services.drivers.biztalk.numbers.findings import OpenNumbers
from biztalk_services.drivers.biztalk.numbers.partners import Partner
from biztalk_services.drivers.biztalk.numbers.ranges import HIGHEST, WIDTHS, Range
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.biztalk.numbering import AGREEMENT, KIND, Numbering, as_text, needed

WIDE = Range(1, HIGHEST, rollover=True)
SMALL = Range(1, 1000, rollover=True)
STRICT = Range(1, 1000)


def numbers(first: int, last: int) -> list[int]:
    return list(range(first, last + 1))


# --- case by case ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("restored", [WIDE, SMALL, STRICT])
@pytest.mark.parametrize("last", [None, 500, 1000])
def test_nothing_was_used_since(restored, last):
    """The margin may have been used unseen; where none was ever used or none is left, nothing comes again."""
    result = needed(restored, last, [])
    if last is None or (last == 1000 and restored == STRICT):
        assert result is None
    else:
        assert result.lower == restored.after(last) + 50
    assert needed(restored, last, [], margin=0) is None


def test_nothing_was_seen_and_there_is_no_room_for_the_margin():
    result = needed(STRICT, 960, [])
    assert result.rule == "control-numbers-room"
    assert "as far as seen" in result.sentence
    assert "plan with a smaller margin" in result.sentence
    assert needed(STRICT, 949, []).lower == 1000


def test_the_usual_new_bounds():
    result = needed(WIDE, 10_000, numbers(10_001, 10_020))
    assert (result.lower, result.upper, result.room) == (10_071, None, HIGHEST - 10_070)
    assert result.changes() == {"InterchangeControlNumberLowerBound": 10_071}
    assert result.reason == (
        "Agreement Fabrikam X12 send has given out 20 interchange control numbers since the backup, the highest 10020. "
        "With a margin of 50 the next one has to be 10071. "
        "Once it was given out, the lower bound may go back to 1 to 999999999."
    )


def test_new_bounds_need_no_last_number_where_the_range_never_started_over():
    used = numbers(10_001, 10_020)
    assert needed(WIDE, None, used, known=False, ever=used).lower == 10_071
    assert needed(STRICT, None, numbers(101, 120), known=False).lower == 171
    assert "does not start over" in needed(STRICT, None, numbers(901, 920), known=False).sentence
    near_the_end = needed(SMALL, None, numbers(901, 920), known=False, ever=numbers(901, 920))
    assert "not known without the last number of the backup" in near_the_end.sentence


def test_a_person_has_moved_the_range_beyond_what_was_used():
    used = numbers(1001, 1020)
    for lower in (1072, 2000):
        assert needed(WIDE, 1000, used, now=replace(WIDE, lower=lower)) is None
    assert needed(WIDE, 1000, used, now=replace(WIDE, lower=1070)).lower == 1071


def test_an_earlier_try_has_set_the_bounds():
    first = needed(SMALL, 800, numbers(801, 970))
    assert needed(SMALL, 800, numbers(801, 970), now=first.range) == first
    assert needed(SMALL, 800, numbers(801, 980), now=first.range).lower == 31


def test_without_rollover_there_is_an_end():
    last_fit = needed(STRICT, 800, numbers(801, 900))
    assert (last_fit.lower, last_fit.room) == (951, 50)
    result = needed(STRICT, 800, numbers(801, 901))
    assert (result.rule, result.agreement, result.kind) == ("control-numbers-room", AGREEMENT, KIND)
    assert "101 interchange control numbers since the backup, the highest 901" in result.sentence
    assert "The range 1 to 1000 has no room for a margin of 50" in result.sentence
    assert "does not start over" in result.sentence
    assert "can be raised up to 999999999" in result.sentence


def test_an_upper_bound_that_cannot_grow():
    result = needed(Range(1, 9999, "12345", ""), 9000, numbers(9001, 9990))
    assert "another prefix or suffix" in result.sentence
    assert "can be raised" not in result.sentence
    edifact = needed(Range(1, 9999, "12345", ""), 9000, numbers(9001, 9990), protocol="EDIFACT")
    assert "can be raised up to 999999999" in edifact.sentence


def test_with_rollover_it_starts_over_at_the_lower_bound():
    result = needed(SMALL, 800, numbers(801, 970))
    assert (result.lower, result.upper, result.room) == (21, 800, 780)
    assert result.changes() == {
        "InterchangeControlNumberLowerBound": 21,
        "InterchangeControlNumberUpperBound": 800,
    }
    assert result.restored == SMALL
    assert "the next one has to be 21, and 800 the last before it starts over" in result.reason
    assert "both bounds may go back to 1 to 1000" in result.reason


def test_it_has_started_over_already():
    result = needed(SMALL, 990, [*numbers(991, 1000), *numbers(1, 20)])
    assert (result.lower, result.upper) == (71, 990)
    assert "the highest 1000, the latest 20" in result.reason


def test_starting_over_needs_room_too():
    last_fit = needed(SMALL, 990, [*numbers(991, 1000), *numbers(1, 890)])
    assert (last_fit.lower, last_fit.upper, last_fit.room) == (941, 990, 50)
    assert needed(SMALL, 990, [*numbers(991, 1000), *numbers(1, 891)]).rule == "control-numbers-room"


def test_the_backup_was_at_the_upper_bound():
    result = needed(SMALL, 1000, numbers(1, 20))
    assert (result.lower, result.upper) == (71, None)
    service = Numbering(SMALL, 1000)
    service.apply(result)
    assert service.give() == 71


def test_it_has_gone_all_the_way_round():
    used = Numbering(SMALL, 400).give_up_to(990)
    assert needed(SMALL, 400, used).rule == "control-numbers-room"
    assert "meet numbers that were used since" in needed(SMALL, 400, used).sentence
    assert needed(SMALL, 400, Numbering(SMALL, 400).give_up_to(1500)).rule == "control-numbers-room"


def test_numbers_at_the_beginning_were_used_and_above_there_is_room():
    """The counter goes on at 301, which was used; so the last number of the backup has to be the upper bound."""
    result = needed(SMALL, 300, [*numbers(301, 1000), *numbers(1, 20)])
    assert (result.lower, result.upper, result.room) == (71, 300, 230)


# --- partners --------------------------------------------------------------------------------------------------------


def test_a_partner_that_takes_each_number_once():
    once = {"partner": Partner("unique")}
    assert needed(SMALL, 800, numbers(801, 900), terms=once).lower == 951
    result = needed(SMALL, 800, numbers(801, 970), terms=once)
    assert (result.rule, "takes none a second time" in result.sentence) == ("control-numbers-room", True)
    assert "control_number_partners" in result.sentence


def test_numbers_above_were_used_before_the_backup():
    used = numbers(101, 120)
    once = {"partner": Partner("unique")}
    result = needed(SMALL, 100, used, ever=[*numbers(990, 1000), *numbers(1, 100), *used], terms=once)
    assert result.rule == "control-numbers-room"


def test_what_was_used_before_the_window_may_come_again():
    used = [*numbers(401, 1000), *numbers(1, 990)]
    month = Partner("unique", 30)
    assert needed(SMALL, 400, used).rule == "control-numbers-room"
    assert needed(SMALL, 400, used, terms={"partner": month}).rule == "control-numbers-room"
    result = needed(SMALL, 400, used, terms={"partner": month, "in_window": 100})
    assert (result.lower, result.upper, result.room) == (41, 400, 360)
    twice = [*used, *numbers(991, 1000), *numbers(1, 990)]
    again = needed(SMALL, 400, twice, terms={"partner": month, "in_window": 100})
    assert (again.lower, again.upper, again.room) == (41, 400, 360)


def test_the_window_begins_before_the_backup():
    result = needed(SMALL, 100, numbers(101, 970), terms={"partner": Partner("unique", 30), "in_window": 970})
    assert result.rule == "control-numbers-room"


def test_a_partner_without_gaps():
    gapless = {"partner": Partner("gapless")}
    result = needed(STRICT, 800, numbers(801, 900), terms=gapless)
    assert (result.lower, result.upper, result.room) == (901, None, 100)
    over = needed(SMALL, 800, numbers(801, 1000), terms=gapless)
    assert (over.lower, over.upper) == (1, 800)
    assert needed(STRICT, 800, [], terms=gapless) is None
    unseen = needed(STRICT, 800, [*numbers(801, 850), *numbers(860, 900)], terms=gapless)
    assert unseen.rule == "control-numbers-known"
    assert "91 were counted since the backup, up to 900 there are 100" in unseen.sentence


def test_numbers_of_another_agreement_count_too():
    terms = {"others": ((900, 979),), "shared": "The numbers of Litware count, too."}
    result = needed(Range(1, 9999), 800, numbers(801, 820), terms=terms)
    assert result.lower == 980
    assert "The numbers of Litware count, too." in result.reason
    assert needed(Range(1, 9999), 860, [], terms=terms).lower == 980
    assert needed(Range(1, 9999), 890, [], margin=0, terms=terms) is None
    assert needed(Range(1, 9999), 899, [], margin=0, terms=terms).lower == 980


# --- ranges that cannot be used --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "restored",
    [Range(1, HIGHEST + 1), Range(1, 99_999, "12345"), Range(1, 10, "", "x" * 8)],
)
def test_a_range_that_cannot_be_used(restored):
    result = needed(restored, 4, [5])
    assert (result.rule, result.agreement, result.kind) == ("control-number-range", AGREEMENT, KIND)
    assert "Correct it" in result.sentence


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
    """Protocol, range, last number of the backup, numbers given out and known, given out and unknown, margin."""
    protocol = draw(st.sampled_from(sorted(WIDTHS)))
    restored = draw(ranges(protocol))
    last = draw(st.none() | st.integers(max(restored.lower - 3, 0), restored.upper))
    service = Numbering(restored, last)
    known = service.give_up_to(draw(st.integers(0, 70)))
    margin = draw(st.integers(0, 12))
    unknown = service.give_up_to(draw(st.integers(0, margin))) if known else []
    return protocol, restored, last, known, unknown, margin


def check(service: Numbering, result: NewBounds | None, used: list[int], margin: int) -> None:
    """The next numbers are there, differ, and were not used; also when the bounds go back after the first."""
    wanted = max(margin, 1)
    if result:
        bounds = (result.lower, result.upper or service.range.upper)
        assert result.restored.lower <= bounds[0] <= bounds[1] <= result.restored.upper
        assert result.room == bounds[1] - bounds[0] + 1
    for is_reset in (False, True):
        trial = replace(service)
        if result:
            trial.apply(result)
        following = [trial.give()]
        if result and is_reset:
            trial.reset(result)
        following += trial.give_up_to(wanted - 1)
        texts = {as_text(trial.range, number) for number in following}
        assert not texts & {as_text(trial.range, number) for number in used}
        if not is_reset:
            assert len(texts) == wanted
            assert trial.range.problem("X12") is None or trial.range.problem("EDIFACT") is None


@given(restores())
@example(("X12", SMALL, 800, numbers(801, 970), numbers(971, 1000) + numbers(1, 20), 50))
@example(("X12", SMALL, 990, numbers(991, 1000) + numbers(1, 20), numbers(21, 70), 50))
def test_no_number_comes_again(restore):
    protocol, restored, last, known, unknown, margin = restore
    result = needed(restored, last, known, margin, protocol=protocol)
    if not known and (last is None or not margin):
        assert result is None
    elif known and isinstance(result, NewBounds):
        check(Numbering(restored, last), result, known + unknown, margin)
    elif known:
        assert isinstance(result, OpenNumbers)
        assert not possible(restored, last, known, margin)


def possible(restored: Range, last: int | None, known: list[int], margin: int) -> bool:
    """Whether any bounds inside the range would do, tried out one by one."""
    service = Numbering(restored, known[-1])
    taboo = {*known, *service.give_up_to(margin)}
    if not restored.rollover and len(taboo) < len(set(known)) + margin:
        return False
    for lower in range(restored.lower, restored.upper + 1):
        for upper in range(lower, restored.upper + 1):
            trial = Numbering(replace(restored, lower=lower, upper=upper), last)
            following = trial.give_up_to(max(margin, 1))
            if len(set(following)) == max(margin, 1) and not taboo & set(following):
                return True
    return False


@given(restores(), ranges(), st.integers(0, 70), st.booleans(), st.booleans())
def test_no_number_comes_again_after_a_changed_range(restore, other, more, last_known, was_reset):
    protocol, restored, last, _, _, margin = restore
    other = replace(other, prefix=restored.prefix, suffix=restored.suffix)
    service = Numbering(restored, last)
    used = service.give_up_to(5)
    service.range = other
    used += service.give_up_to(more)
    if was_reset:
        service.range = restored
        used += service.give_up_to(5)
    assume(used)
    ever = ([last] if last is not None else []) + used
    known = last if last_known else None
    result = needed(restored, known, used, margin, ever=ever, known=last_known, protocol=protocol)
    if isinstance(result, OpenNumbers):
        return
    again = Numbering(restored, last)
    if result:
        again.apply(result)
    given_out = again.give_up_to(max(margin, 1))
    assert not set(given_out) & set(used)
    assert len(set(given_out)) == len(given_out)


@given(ranges(), st.none() | st.integers(0, HIGHEST))
def test_the_next_number_is_the_one_that_a_service_gives_out(pattern, last):
    given_out = Numbering(pattern, last).give_up_to(1)
    assert pattern.after(last) == (given_out[0] if given_out else None)


@pytest.mark.parametrize("rollover", [False, True], ids=["strict", "rollover"])
def test_a_range_that_was_raised_by_hand_as_the_sentence_says(rollover):
    whole = Range(1, 1000, rollover=rollover)
    used = Numbering(whole, 2).give_up_to(990)
    found = needed(whole, 2, used)
    assert "raised up to 999999999; agree on it with the partner, and set the lower bound to" in found.sentence
    lower = int(found.sentence.partition("set the lower bound to ")[2].split()[0])
    raised = Range(lower, 5000, rollover=rollover)
    assert needed(whole, 2, used, now=raised) is None
    assert set(Numbering(raised, 2).give_up_to(500)).isdisjoint(used)


def test_a_window_that_is_not_known():
    whole = Range(1, 1000, rollover=True)
    found = needed(whole, 2, Numbering(whole, 2).give_up_to(990), terms={"partner": Partner("increasing", 30)})
    assert "how many were used in the 30 days of its partner is not known" in found.sentence
