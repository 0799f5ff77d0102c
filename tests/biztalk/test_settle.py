"""What was used since a backup: seen, computed, unknown, or said in two ways of which one has to be wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from biztalk_services.drivers.biztalk.numbers.findings import OpenNumbers
from biztalk_services.drivers.biztalk.numbers.ranges import HIGHEST, Place, Range
from biztalk_services.drivers.biztalk.numbers.settle import Before, Settled
from biztalk_services.model.control_numbers import ControlNumberUse
from biztalk_services.model.inventory import CONTROL_NUMBERS

from tests.biztalk.inventories import SENDING, inventory
from tests.biztalk.numbering import AGREEMENT, KIND, NOW, SINCE, settled

STRICT = Range(1, HIGHEST)
ROUND = Range(1, 1000, rollover=True)
ASK = "Make the connection to the tracking database work"


def use(highest: int | None, used: int, latest: int | None = -1, **more: object) -> ControlNumberUse:
    """``latest`` is the highest where it is not given; at noon."""
    known = {"last_used": SINCE + timedelta(hours=10), **more}
    return ControlNumberUse(AGREEMENT, KIND, highest, highest if latest == -1 else latest, used, **known)


def before(highest: int | None, used: int, **more: object) -> ControlNumberUse:
    """As last used before the backup."""
    return use(highest, used, last_used=SINCE - timedelta(hours=10), **more)


NONE = ControlNumberUse(AGREEMENT, KIND)


# --- settled ---------------------------------------------------------------------------------------------------------


def test_seen():
    found = settled(STRICT, 1000, use(1020, 20), use(1020, 1010), used_before=990)
    assert (found.steps, found.latest, found.least, found.counter) == (20, 1020, 20, True)
    assert found.source == "seen by the database, query 1f2e3d4c, last used 2026-01-01 12:00:00 UTC"


def test_numbers_that_were_not_seen_are_used_too():
    found = settled(STRICT, 1000, use(1020, 17), use(1020, 1007), used_before=990)
    assert (found.steps, found.latest, found.least) == (20, 1020, 17)


def test_the_range_has_started_over():
    found = settled(ROUND, 990, use(1000, 30, 20))
    assert (found.steps, found.latest) == (30, 20)


@pytest.mark.parametrize(("used", "steps"), [(1030, 1030), (1000, 1030), (2030, 2030), (1981, 2030)])
def test_whole_rounds(used, steps):
    assert settled(ROUND, 990, use(1000, used, 20)).steps == steps


def test_computed_where_only_the_count_is_told():
    found = settled(ROUND, 990, use(None, 30), use(None, 120), used_before=90)
    assert (found.steps, found.latest, found.least) == (30, 20, 30)
    assert found.source.startswith("computed: 990 of the backup + 30 used, by the database")
    first = settled(STRICT, None, use(None, 5), use(None, 5), used_before=0)
    assert first.latest == 5
    assert "none at the backup + 5 used" in first.source


def test_the_highest_is_the_latest_where_the_range_does_not_start_over():
    assert settled(STRICT, 1000, use(1020, 20, None)).latest == 1020


def test_the_highest_is_the_latest_before_the_range_starts_over():
    found = settled(ROUND, 100, use(120, 20, None), use(120, 120, None), used_before=100)
    assert (found.latest, found.source[:4]) == (120, "seen")
    counted = settled(ROUND, 990, use(1000, 30, None), use(1000, 120, None), used_before=90)
    assert (counted.latest, counted.source[:9]) == (20, "computed:")
    assert contradiction(settled(ROUND, 100, use(99, 20, None)))


def test_none_was_used():
    found = settled(STRICT, 1000, NONE, before(1000, 990), used_before=990)
    assert (found.steps, found.latest) == (0, None)
    assert found.source == "seen: none since the backup, by the database, query 1f2e3d4c"
    assert settled(STRICT, None, NONE, NONE, used_before=0).steps == 0
    assert settled(STRICT, 1000, NONE).steps == 0


def test_none_was_used_and_the_last_one_is_seen_now():
    found = settled(STRICT, None, NONE, before(1000, 990), known=False)
    assert (found.walk.last, found.steps, found.counter) == (1000, 0, True)


def test_the_last_one_was_used_on_the_day_of_the_backup_and_the_hour_is_not_told():
    on_the_day = use(1000, 990, last_used=SINCE.replace(hour=0))
    found = settled(STRICT, None, NONE, on_the_day, known=False, margin=0)
    assert isinstance(found, OpenNumbers)
    assert "The last number of the backup is not known." in found.sentence
    assert settled(STRICT, 1000, NONE, on_the_day, used_before=990, margin=0).steps == 0


def test_traffic_between_two_looks_is_no_contradiction():
    later = use(1025, 1015, last_used=SINCE + timedelta(hours=11))
    assert settled(STRICT, 1000, use(1020, 20), later, used_before=990).latest == 1025
    earlier = use(1015, 1005, last_used=SINCE + timedelta(hours=9))
    assert settled(STRICT, 1000, use(1015, 20), earlier, used_before=990).rule == "control-numbers-agree"


def test_old_numbers_were_removed():
    assert settled(STRICT, 1000, use(1020, 20), use(1020, 20), used_before=990).latest == 1020


def test_a_range_that_has_started_over_up_to_its_last_number_again():
    full = settled(ROUND, None, use(1000, 1020), use(1000, 2000), known=False)
    assert isinstance(full, OpenNumbers)
    assert "The last number of the backup is not known, and the range has started over." in full.sentence


def test_a_range_that_a_restore_has_moved():
    assert settled(Range(1071, HIGHEST), 1000, use(1090, 20)).steps == 20
    assert settled(Range(71, 990, rollover=True), 990, use(90, 20)).steps == 20


def test_a_range_that_a_restore_has_made_start_over_below_the_last_number():
    """The backup is of the restored service: its counter is at 990, and the database's last number is 998."""
    moved = Range(71, 990, rollover=True)
    unused = settled(moved, 998, NONE, before(998, 998), used_before=998)
    assert (unused.steps, unused.walk.first) == (0, 71)
    assert settled(moved, 998, use(90, 20), use(998, 1018, 90), used_before=998).steps == 20


def test_the_archive_may_lack_numbers():
    found = settled(STRICT, 1000, use(1020, 20), sent=use(1018, 12))
    assert found.source.endswith("; the archive has 12, the latest 1018")


# --- contradictions --------------------------------------------------------------------------------------------------


def contradiction(found: Settled | OpenNumbers) -> str:
    assert isinstance(found, OpenNumbers)
    assert found.rule == "control-numbers-agree"
    assert "Both cannot be true, so neither is believed." in found.sentence
    assert found.source == "unknown: control-numbers-agree"
    return found.sentence


def test_max_over_text():
    """9991 to 10090 were given out, and the greatest text is 9999."""
    said = contradiction(settled(STRICT, 9990, use(9999, 100)))
    assert "9990 was the last one at the backup" in said
    assert "100 were used, the highest 9999, the latest 9999, which is only 9 further" in said


def test_max_over_text_from_the_beginning():
    """8001 to 12000 were given out, and the greatest text was 999 at the backup, and is 9999."""
    said = contradiction(settled(STRICT, 999, use(9999, 4000), use(9999, 12_000), used_before=8000))
    assert "and that 12000 were used ever, none above 9999" in said
    counted = settled(STRICT, 1000, use(1020, 20), use(1020, 1120), used_before=1100)
    assert counted.steps == 20  # an earlier restore kept its numbers, and each one since the backup was counted


@pytest.mark.parametrize("latest", [5000, 4999, 100])
def test_it_is_not_beyond_the_backup(latest):
    assert "not on the way on from there" in contradiction(settled(STRICT, 5000, use(latest, 10)))


def test_a_number_that_is_not_in_the_range():
    assert "in the range 1 to 1000" in contradiction(settled(ROUND, 800, use(5020, 20)))
    assert "its range was 1 to 1000" in contradiction(settled(ROUND, 5000, use(20, 20)))


def test_highest_and_latest_differ_though_the_range_does_not_start_over():
    assert "these cannot differ" in contradiction(settled(STRICT, 1000, use(1020, 15, 1015)))


def test_the_highest_is_not_on_the_way():
    assert "and 980 is not on the way to 20" in contradiction(settled(ROUND, 990, use(980, 30, 20)))


def test_it_would_have_started_over_unseen():
    said = contradiction(settled(Range(1, HIGHEST, rollover=True), 1000, use(999, 5)))
    assert f"and none from 1001 to {HIGHEST}, where the range would have started over" in said
    assert settled(ROUND, 960, use(20, 20)).steps == 60


def test_numbers_above_were_used_before():
    """As after an earlier restore that kept its numbers."""
    assert "that 1100 was used before" in contradiction(settled(STRICT, 1000, use(1020, 20), use(1100, 1110, 1020)))
    assert "above the last one" in contradiction(settled(STRICT, 1000, NONE, before(1100, 1090, latest=1000)))


def test_more_rounds_than_the_counts_allow():
    said = contradiction(settled(ROUND, 990, use(1000, 100, 20)))
    assert "counted are 100, and from there to 20 are 30" in said
    assert "or 1030 after whole rounds" in said


def test_more_are_counted_ever_than_fit():
    said = contradiction(settled(STRICT, 1000, use(1020, 20), use(1020, 1200), used_before=990))
    assert "and ever 210 more than at the backup" in said


def test_none_since_then_and_a_higher_one_of_which_only_the_number_is_told():
    told = use(1100, 500, None, last_used=None)
    assert "1000 was the last one at the backup" in contradiction(settled(STRICT, 1000, NONE, told, used_before=1000))


def test_none_since_then_and_another_last_number():
    said = contradiction(settled(STRICT, 1000, NONE, before(1020, 1010), used_before=990))
    assert "1000 was the last one at the backup, of 990" in said
    assert "none was used since, and that 1010 were used, the highest 1020, the latest 1020 ever" in said
    assert contradiction(settled(STRICT, 1000, NONE, before(None, 1010), used_before=990))
    assert contradiction(settled(STRICT, None, NONE, before(20, 20), used_before=0))


def test_none_since_then_and_last_used_since_then():
    assert "was not used since" in contradiction(settled(STRICT, 1000, NONE, use(1000, 990)))


def test_used_since_then_and_never():
    assert "and never at all" in contradiction(settled(STRICT, 1000, use(1020, 20), NONE))


@pytest.mark.parametrize(
    "ever",
    [use(1020, 19), use(1019, 1010), use(1021, 1010)],
    ids=["fewer ever", "highest ever is lower", "latest ever is another"],
)
def test_since_then_against_ever(ever):
    assert contradiction(settled(STRICT, 1000, use(1020, 20), ever))


@pytest.mark.parametrize(
    "moment", [SINCE - timedelta(hours=5), NOW + timedelta(hours=1)], ids=["before", "in the future"]
)
def test_times_that_cannot_be(moment):
    assert "contradicts itself" in contradiction(settled(STRICT, 1000, use(1020, 20, last_used=moment)))


def test_a_clock_may_be_ahead_by_minutes():
    assert settled(STRICT, 1000, use(1020, 20, last_used=NOW + timedelta(minutes=4))).latest == 1020


@pytest.mark.parametrize("ever", [None, use(None, 1015)], ids=["not asked", "another count"])
def test_counts_that_do_not_agree_compute_nothing(ever):
    assert "cannot be computed" in contradiction(settled(STRICT, 1000, use(None, 20), ever, used_before=990))


def test_a_computed_number_outside_of_the_range():
    found = settled(Range(1, 1010), 1000, use(None, 20), use(None, 1010), used_before=990)
    assert "does not hold" in contradiction(found)


@pytest.mark.parametrize(
    ("answer", "known"),
    [(use(1020, 20), "1020 is the last one used"), (NONE, "none was used")],
    ids=["used", "none used"],
)
def test_the_archive_knows_of_more(answer, known):
    said = contradiction(settled(STRICT, 1000, answer, sent=use(1040, 3)))
    assert f"the database, query 1f2e3d4c says that {known} since the backup; the archive has 1040" in said


def test_sent_after_the_database_was_asked():
    sent = use(1025, 18, last_used=NOW + timedelta(seconds=3))
    found = settled(STRICT, 1000, use(1020, 20), sent=sent)
    assert (found.steps, found.latest) == (25, 1025)


# --- unknown ---------------------------------------------------------------------------------------------------------


def unknown(found: Settled | OpenNumbers) -> str:
    assert isinstance(found, OpenNumbers)
    assert found.rule == "control-numbers-known"
    assert ASK in found.sentence
    assert "set the lower bound beyond it by hand" in found.sentence
    return found.sentence


def test_the_answer_is_not_known():
    assert "Which were used since the backup is unknown." in unknown(settled(STRICT, 1000, None))


def test_the_database_does_not_know_the_agreement_any_more():
    assert "knows none at all: it is another database" in unknown(settled(STRICT, 1000, NONE, NONE))


def test_neither_is_known():
    assert "Neither the last number" in unknown(settled(STRICT, None, use(None, 5), known=False))
    assert "is not known" in unknown(settled(STRICT, None, NONE, use(None, 5, last_used=None), known=False))


@pytest.mark.parametrize("ever", [None, use(990, 700, 20)], ids=["not asked", "has started over"])
def test_the_last_number_of_the_backup_is_needed_where_the_range_may_have_started_over(ever):
    assert "started over" in unknown(settled(ROUND, None, use(20, 20), ever, known=False))


def test_without_backup_all_from_the_lower_bound_on_counts():
    found = settled(ROUND, None, use(20, 15), use(20, 18), known=False)
    assert (found.steps, found.latest, found.counter) == (20, 20, False)
    assert contradiction(settled(STRICT, None, use(20, 30), known=False))
    assert contradiction(settled(Range(1, 10), None, use(20, 10), known=False))


# --- what the inventory knows ----------------------------------------------------------------------------------------

PLACE = Place(SENDING.upper(), "interchange", "X12", STRICT)


def test_the_last_number_of_an_inventory():
    assert Before.of(inventory(), PLACE) == Before(1000, 990, True)
    assert Before.of(inventory(), replace(PLACE, kind="group")) == Before(None, 0, True)
    assert Before.of(None, PLACE) == Before()
    blind = inventory(control_numbers=(), parts={CONTROL_NUMBERS: "It does not respond."})
    assert Before.of(blind, PLACE) == Before()


def test_an_inventory_that_does_not_tell_the_latest():
    only_highest = ControlNumberUse(SENDING, "interchange", 1000, None, 990)
    assert Before.of(inventory(control_numbers=(only_highest,)), PLACE) == Before(1000, 990, True)
    rollover = replace(PLACE, range=replace(STRICT, upper=1000, rollover=True))
    assert Before.of(inventory(control_numbers=(only_highest,)), rollover) == Before(None, 990, False)
    none = ControlNumberUse(SENDING, "interchange")
    assert Before.of(inventory(control_numbers=(none,)), PLACE) == Before(None, 0, True)
