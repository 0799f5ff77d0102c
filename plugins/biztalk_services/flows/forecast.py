"""When a night ends: a range of moments, out of how long earlier nights were and how far this one is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import exp, hypot, log, sqrt

from biztalk_services.model.night import NightEnd
from biztalk_services.model.wording import how_many

FEW_NIGHTS = 3
"""With fewer of them the range is called unsure."""

_SIMILAR = 3
"""A night of more than so many times fewer or more services says nothing."""
_NIGHTS_DIFFER = 0.2
"""How much nights are believed to differ before any two were seen, as a part of their length."""
_SERVICES_DIFFER = 0.7
"""How much backups of services differ, as a part of how long one takes."""
_WAVE = 0.5
"""How wrong the count of what is half done may be, in services at once."""
_LAST = 0.7
"""How much the last services delay the end, in backups: those that begin last wait for no other."""
_BELOW, _ABOVE = 1.28, 1.8
"""Standard deviations below and above the middle. More are above: what goes wrong takes longer, never less."""


@dataclass(frozen=True)
class Forecast:
    """When a night ends.

    :param nights: how many earlier nights it is from.
    :param done: how many services of this night it is from.
    """

    earliest: datetime
    latest: datetime
    nights: int
    done: int

    def sentence(self, now: datetime) -> str:
        """The range to the minute in UTC, where it is from, and whether it is unsure."""
        when = " to ".join(dict.fromkeys(_shown(each, now) for each in (self.earliest, self.latest)))
        services = f"the pace of the first {f'{self.done} services' if self.done > 1 else 'service'}"
        if not self.nights:
            return f"Unsure, no earlier night of this size: by {services} it ends about {when} UTC."
        origin = how_many(self.nights, "earlier night") + (f" and {services}" if self.done else "")
        unsure = "Unsure, few earlier nights: it ends" if self.nights < FEW_NIGHTS else "Ends"
        return f"{unsure} about {when} UTC, by {origin}."


def similar_sizes(services: int) -> range:
    """How many services a night may have had that says something about one of so many."""
    return range(max(-(-services // _SIMILAR), 1), services * _SIMILAR + 1)


NO_FORECAST = "No estimate yet: no earlier night of this size, and no service is done."


def forecast(
    *,
    services: int,
    max_parallel: int,
    begun_at: datetime,
    now: datetime,
    done: int,
    at_work: int,
    earlier: Iterable[NightEnd],
) -> Forecast | None:
    """When a night ends that is not over; None where nothing is known.

    Two guesses of how long the night is, each with a standard deviation, are weighed by these, on the scale of the
    logarithm: lengths differ by factors.

    * *Earlier nights* of a third to three times as many services, scaled to this one: by the services at once, as if
      only slots were scarce, and by the services alone, as if the machine were. Where the two differ, their middle
      counts, and less. They agree for a night like this one.
    * *The pace of this night*: what is at work counts half. It is worth more the more services are done, and in the end
      it is all that counts.

    Where the two contradict each other, the range is widened by as much (as the Particle Data Group does it).

    Tried on random nights (tests/flows/test_forecast.py): the true end lies in the range in 85 to 95 of 100 nights, be
    services alike or as different as 1 to 10. Where 3 of 100 services take half an hour longer than all others, such as
    one that waits for its batches, it is 55 to 90: no number tells in advance which ones those are.

    :param services: how many the night is for.
    :param done: how many of them have ended; ``at_work``: how many have begun and not ended.
    :param earlier: ends of other nights.
    """
    if services < 1 or max_parallel < 1:
        return None
    passed = max((now - begun_at).total_seconds(), 1.0)
    similar = [end for end in earlier if _is_similar(end, services)]
    guesses = [
        guess
        for guess in (
            _by_earlier_nights(similar, services, max_parallel),
            _by_pace(services, min(max_parallel, services), passed, done, at_work),
        )
        if guess
    ]
    if not guesses:
        return None
    weight = sum(1 / variance for _, variance in guesses)
    middle = sum(length / variance for length, variance in guesses) / weight
    deviation = sqrt(1 / weight)
    if len(guesses) > 1:
        (one, its_variance), (other, others_variance) = guesses
        deviation *= max(1.0, abs(one - other) / sqrt(its_variance + others_variance))
    earliest, latest = (max(exp(each), passed) for each in (middle - _BELOW * deviation, middle + _ABOVE * deviation))
    start = begun_at.astimezone(UTC)
    return Forecast(
        (start + timedelta(seconds=earliest)).replace(second=0, microsecond=0),
        (start + timedelta(seconds=latest + 59.999999)).replace(second=0, microsecond=0),
        len(similar),
        done,
    )


def _by_earlier_nights(ends: Sequence[NightEnd], services: int, max_parallel: int) -> tuple[float, float] | None:
    """The logarithm of how long the night is, and its variance; None without an earlier night."""
    if not ends:
        return None
    lengths, variances = [], []
    for end in ends:
        by_slots = log(end.seconds * _rounds(services, max_parallel) / _rounds(end.begun, end.max_parallel))
        by_services = log(end.seconds * services / end.begun)
        lengths.append((by_slots + by_services) / 2)
        variances.append(((by_slots - by_services) / 2) ** 2)
    weights = [1 / (_NIGHTS_DIFFER**2 + each) for each in variances]
    mean = _mean(lengths, weights)
    number = len(ends)
    spread = (2 * _NIGHTS_DIFFER**2 + sum((each - mean) ** 2 for each in lengths)) / (number + 1)
    return mean, spread * (1 + 1 / number) + _mean(variances, weights)


def _by_pace(services: int, at_once: int, passed: float, done: int, at_work: int) -> tuple[float, float] | None:
    """As :func:`_by_earlier_nights`, by this night alone; None before a service is done."""
    if not done:
        return None
    worked = done + min(at_work, at_once) / 2
    a_service = passed * at_once / worked
    left = passed * max(services - worked, 0) / worked + _LAST * a_service * (at_once - 1) / at_once / 2
    left = max(left, a_service / 4)
    differs = hypot(_SERVICES_DIFFER / sqrt(worked), _WAVE * at_once / worked)
    deviation = hypot(left * differs, _LAST * a_service)
    return log(passed + left), (deviation / (passed + left)) ** 2


def _rounds(services: int, max_parallel: int) -> float:
    """How many backups stand behind each other in a night, the last ones counted in part."""
    at_once = min(max_parallel, services)
    return services / at_once + _LAST * (at_once - 1) / at_once


def _is_similar(end: NightEnd, services: int) -> bool:
    """Whether a night says something about this one. One in which most backups failed does not: that may be quick."""
    worked = end.backed_up * 2 >= end.begun
    return worked and end.seconds >= 1 and end.max_parallel >= 1 and end.begun in similar_sizes(services)


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)


def _shown(moment: datetime, now: datetime) -> str:
    return f"{moment:%H:%M}" if moment.date() == now.astimezone(UTC).date() else f"{moment:%Y-%m-%d %H:%M}"
