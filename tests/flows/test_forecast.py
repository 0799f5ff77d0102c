"""When a night ends: on random nights, and what is said of it."""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from biztalk_services.flows.forecast import Forecast, forecast, similar_sizes
from biztalk_services.model.night import NightEnd
from biztalk_services.model.run import Run

RUN = Run("biztalk_nightly_backup", "scheduled__1", "a1b2c3d4")
BEGUN = datetime(2026, 11, 29, 2, 0, tzinfo=UTC)


def ended(seconds: float, services: int = 60, max_parallel: int = 15, not_begun: int = 0) -> NightEnd:
    begun_at = BEGUN - timedelta(days=1)
    ended_at = begun_at + timedelta(seconds=seconds)
    failed = not_begun
    return NightEnd(
        RUN, "nightly", begun_at, ended_at, max_parallel, services, services - failed, failed, not_begun
    )  # fmt: skip


def seen(seconds: float, done: int, at_work: int, *earlier: NightEnd, services: int = 60) -> Forecast | None:
    return forecast(
        services=services,
        max_parallel=15,
        begun_at=BEGUN,
        now=BEGUN + timedelta(seconds=seconds),
        done=done,
        at_work=at_work,
        earlier=earlier,
    )


def width(found: Forecast) -> float:
    return (found.latest - found.earliest).total_seconds()


# Random nights


@dataclass(frozen=True)
class RandomNight:
    """Services that begin as slots become free; times in seconds since the night began."""

    max_parallel: int
    starts: list[float]
    ends: list[float]

    @property
    def seconds(self) -> float:
        return max(self.ends)

    def end(self) -> NightEnd:
        return ended(self.seconds, len(self.ends), self.max_parallel)

    def forecast_at(self, seconds: float, earlier: list[NightEnd]) -> Forecast | None:
        return forecast(
            services=len(self.ends),
            max_parallel=self.max_parallel,
            begun_at=BEGUN,
            now=BEGUN + timedelta(seconds=seconds),
            done=sum(end <= seconds for end in self.ends),
            at_work=sum(start <= seconds < end for start, end in zip(self.starts, self.ends, strict=True)),
            earlier=earlier,
        )


def random_night(
    chance: random.Random, services: int, max_parallel: int, median: float, spread: float, first: float
) -> RandomNight:
    """
    :param spread: of the logarithm of how long a backup takes.
    :param first: when the first ones begin.
    """
    slots, starts, ends = [first] * max_parallel, [], []
    for _ in range(services):
        starts.append(heapq.heappop(slots))
        ends.append(starts[-1] + median * math.exp(chance.gauss(0, spread)))
        heapq.heappush(slots, ends[-1])
    return RandomNight(max_parallel, starts, ends)


def hits(nights_before: int, at: float, chance: random.Random, trials: int = 300) -> tuple[float, int]:
    """In which part of random nights the true end lies in the range; and in how many there is one.

    :param at: when it is looked, as a part of the night.
    """
    found = right = 0
    for _ in range(trials):
        services = chance.choice([4, 12, 60, 200])
        max_parallel, median = min(chance.choice([1, 3, 15, 25]), services), chance.uniform(20, 300)
        spread, first, differ = chance.choice([0.05, 0.3, 0.55, 0.8]), chance.uniform(5, 40), chance.choice([0.03, 0.2])

        def one(share: float = 1.0) -> RandomNight:
            tonight = median * math.exp(chance.gauss(0, differ))  # noqa: B023
            size = max(round(services * share), 1)  # noqa: B023
            return random_night(chance, size, min(max_parallel, size), tonight, spread, first)  # noqa: B023

        earlier = [one(chance.choice([1, 1, 0.9, 1.1, 0.6])).end() for _ in range(nights_before)]
        night = one()
        forecast = night.forecast_at(night.seconds * at, earlier)
        if forecast:
            found += 1
            right += forecast.earliest <= BEGUN + timedelta(seconds=night.seconds) <= forecast.latest
    return right / max(found, 1), found


@pytest.mark.parametrize("at", [0.02, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("nights_before", [0, 1, 6])
def test_in_most_nights_the_true_end_lies_in_the_range(nights_before, at):
    right, found = hits(nights_before, at, random.Random(17))
    assert right >= 0.8
    assert found == 300 or nights_before == 0


def test_the_range_becomes_narrow_as_the_night_goes_on():
    chance = random.Random(3)
    earlier = [random_night(chance, 200, 15, 60, 0.3, 10).end() for _ in range(6)]
    night = random_night(chance, 200, 15, 60, 0.3, 10)
    widths = [width(night.forecast_at(night.seconds * part, earlier)) for part in (0, 0.3, 0.7, 0.95)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < widths[0] / 2


# What it is from


def test_without_anything_there_is_none():
    assert seen(60, 0, 15) is None
    assert seen(60, 0, 0, ended(600, services=1), ended(600, services=500)) is None
    assert seen(60, 0, 0, services=0) is None


def test_earlier_nights_alone():
    found = seen(0, 0, 0, *[ended(3600)] * 6)
    assert (found.nights, found.done) == (6, 0)
    assert found.earliest < BEGUN + timedelta(hours=1) < found.latest
    assert width(found) < 3600


def test_more_nights_that_agree_make_the_range_narrow_and_those_that_do_not_wide():
    alike, few = seen(0, 0, 0, *[ended(3600)] * 9), seen(0, 0, 0, ended(3600))
    unlike = seen(0, 0, 0, *[ended(each) for each in (1800, 3600, 7200, 2000, 3600, 6000)])
    assert width(alike) < width(few)
    assert width(alike) < width(unlike)


def test_a_night_of_another_size_is_scaled():
    assert seen(0, 0, 0, *[ended(3600, services=120, max_parallel=15)] * 6).latest < BEGUN + timedelta(seconds=3600)


def test_a_night_of_as_many_services_with_other_slots_counts_less():
    same, other = seen(0, 0, 0, *[ended(3600)] * 6), seen(0, 0, 0, *[ended(3600, max_parallel=5)] * 6)
    assert width(other) > width(same)
    assert other.earliest < BEGUN + timedelta(seconds=3600)


def test_services_that_were_not_begun_do_not_count():
    whole, cut = ended(3600, services=60), ended(3600, services=90, not_begun=30)
    assert seen(0, 0, 0, *[whole] * 6) == seen(0, 0, 0, *[cut] * 6)


def test_the_pace_of_this_night_weighs_more_and_more():
    """Earlier nights took an hour, this one takes twice as long."""
    earlier = [ended(3600)] * 6
    ends = [seen(part * 7200, int(60 * part), 15, *earlier).latest for part in (0.1, 0.5, 0.9)]
    assert abs(ends[-1] - BEGUN - timedelta(seconds=7200)) < timedelta(minutes=20)
    assert seen(0.9 * 7200, 54, 6, *earlier).earliest > BEGUN + timedelta(seconds=3600)


def test_nothing_ends_in_the_past():
    found = seen(10_000, 0, 1, *[ended(600)] * 6)
    assert found.earliest >= BEGUN + timedelta(seconds=10_000) - timedelta(minutes=1)
    assert found.latest >= found.earliest


@pytest.mark.parametrize("odd", [ended(0), ended(-5), ended(60, max_parallel=0), ended(60, 60, 15, 60), ended(60, 0)])
def test_an_odd_record_counts_for_nothing(odd):
    assert seen(0, 0, 0, odd) is None


def test_more_done_than_there_are():
    assert seen(600, 61, 0).earliest >= BEGUN + timedelta(minutes=10)


def test_which_sizes_are_similar():
    assert [60 in similar_sizes(each) for each in (19, 20, 180, 181)] == [False, True, True, False]
    assert list(similar_sizes(1)) == [1, 2, 3]
    assert 10 not in similar_sizes(0)


# What is said


def at(hour: int, minute: int, day: int = 29) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (Forecast(at(3, 40), at(3, 55), 6, 0), "Ends about 03:40 to 03:55 UTC, by 6 earlier nights."),
        (
            Forecast(at(3, 40), at(3, 55), 6, 12),
            "Ends about 03:40 to 03:55 UTC, by 6 earlier nights and the pace of the first 12 services.",
        ),
        (
            Forecast(at(3, 40), at(3, 40), 1, 1),
            "Unsure, few earlier nights: it ends about 03:40 UTC, by 1 earlier night and the pace of the first "
            "service.",
        ),
        (
            Forecast(at(23, 50), at(0, 10, day=30), 0, 12),
            "Unsure, no earlier night of this size: by the pace of the first 12 services it ends about 23:50 to "
            "2026-11-30 00:10 UTC.",
        ),
    ],
)
def test_sentences(found, sentence):
    assert found.sentence(at(3, 0)) == sentence


def test_local_time_is_told_in_utc():
    found = forecast(
        services=60,
        max_parallel=15,
        begun_at=datetime.fromisoformat("2026-11-29T04:00:00+02:00"),
        now=datetime.fromisoformat("2026-11-29T04:00:00+02:00"),
        done=0,
        at_work=0,
        earlier=[ended(3600)] * 6,
    )
    assert found == seen(0, 0, 0, *[ended(3600)] * 6)
    assert found.earliest.utcoffset() == timedelta(0)
