"""What a schedule means: in words, its next times, and the longest time that it leaves between two runs.

The times are those of Airflow's ``CronTriggerTimetable``: cron by the clock of a time zone. A time that the clock
leaves out in spring is moved by its hour; of one that it shows twice in autumn the second counts, except where the
schedule runs in every hour.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo, available_timezones

from croniter import CroniterError, croniter  # type: ignore[import-untyped]

NONE = "none"
"""In place of a cron expression: no schedule."""

_FIELDS = 5
_WATCHED = timedelta(days=5 * 366)
"""How long a schedule is watched: every month, and a leap year."""

_DENSE_WATCHED = timedelta(days=400)
_DENSE_STEPS = 400
"""A schedule with so many runs is watched for little more than a year, in which each month comes."""

_CLOCK_CHANGES_IN = 366
_AROUND_A_CHANGE = timedelta(days=2)

_REMEMBERED = 64
"""Of how many schedules the answers are remembered: options are read before every step."""

_RANDOM = {"r", "h"}
"""Fields that mean another time at each reading, or a time that depends on a name."""


@dataclass(frozen=True)
class Gap:
    """A time without a run.

    :param begins: the last run before it, aware.
    :param ends: the first run after it, aware.
    """

    begins: datetime
    ends: datetime

    @property
    def length(self) -> timedelta:
        return self.ends.astimezone(UTC) - self.begins.astimezone(UTC)

    def __str__(self) -> str:
        hours = self.length.total_seconds() / 3600
        return f"{round(hours, 2):g} hours, from {moment(self.begins)} to {moment(self.ends)}"


@dataclass(frozen=True)
class Schedule:
    """A cron expression with its time zone; both are understood, see :func:`broken_schedule`, :func:`broken_zone`."""

    expression: str
    timezone: str

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The five fields; those of ``@daily`` too."""
        return tuple(str(each) for each in croniter(self.expression).expressions)

    def __str__(self) -> str:
        return f"{self.words} (`{self.expression}`, {self.timezone})"

    @property
    def words(self) -> str:
        """The expression in words (``At 02:00, only on Sunday``), or itself where there are none."""
        from cron_descriptor import CasingTypeEnum, ExpressionDescriptor  # type: ignore[import-untyped]

        try:
            described = ExpressionDescriptor(
                " ".join(self.fields).upper(),
                casing_type=CasingTypeEnum.Sentence,
                use_24hour_time_format=True,
                locale_code="en_US",
            )
            return str(described.get_description())
        except Exception:  # it raises whatever happens inside of it
            return self.expression

    def next_times(self, after: datetime, count: int = 5) -> list[datetime]:
        """The next times, in the time zone.

        :param after: aware.
        """
        return list(islice(self._times(after), count))

    @lru_cache(maxsize=_REMEMBERED)  # noqa: B019 - schedules are values, and few
    def closest(self) -> timedelta:
        """The shortest time between two of twenty runs."""
        times = islice(self._times(datetime(2026, 1, 1, tzinfo=UTC)), 20)
        return min(later.astimezone(UTC) - earlier.astimezone(UTC) for earlier, later in pairwise(times))

    @lru_cache(maxsize=_REMEMBERED)  # noqa: B019 - as above
    def longest_gap(self, allowed: timedelta, since: datetime) -> Gap | None:
        """The longest time between two runs, when it is longer than allowed.

        :param since: when to begin, aware. It is watched for five years; one that runs every day only where the clock
            is changed, and one with many runs for some more than a year.
        """
        gaps = [gap for begin, end in self._watched(since) for gap in self._gaps(allowed, begin, end)]
        return max(gaps, key=lambda gap: gap.length, default=None)

    def _watched(self, since: datetime) -> Iterator[tuple[datetime, datetime]]:
        if any(each not in ("*", "?") for each in self.fields[2:]):
            yield since, since + _WATCHED
            return
        yield since, since + _AROUND_A_CHANGE
        days = [(since + timedelta(days=day)).astimezone(self._zone) for day in range(_CLOCK_CHANGES_IN)]
        for day, next_day in pairwise(days):
            if day.utcoffset() != next_day.utcoffset():
                yield day - _AROUND_A_CHANGE, day + _AROUND_A_CHANGE

    def _gaps(self, allowed: timedelta, since: datetime, until: datetime) -> Iterator[Gap]:
        """The times without a run that are longer than allowed: from a run to the last one that is allowed, and so
        on."""
        run, found = self._next(since), False
        for step in range(int(_WATCHED / timedelta(minutes=1))):
            dense = step > _DENSE_STEPS and (found or run > since + _DENSE_WATCHED)
            if run >= until or dense:
                return
            last = self._last_until(run + allowed)
            if last > run:
                run = last
                continue
            gap = Gap(run.astimezone(self._zone), self._next(run).astimezone(self._zone))
            if gap.length > allowed:
                found = True
                yield gap
            run = gap.ends.astimezone(UTC)

    def _times(self, after: datetime) -> Iterator[datetime]:
        while True:
            after = self._next(after)
            yield after.astimezone(self._zone)

    def _next(self, after: datetime) -> datetime:
        """The first run after a moment, in UTC."""
        by_clock = self._by_clock(after)
        self._cron.set_current(by_clock, force=True)
        found: datetime = self._cron.get_next()
        return after.astimezone(UTC) + (found - by_clock) if self._in_every_hour else self._aware(found)

    def _last_until(self, until: datetime) -> datetime:
        """The last run at or before a moment, in UTC."""
        by_clock = self._by_clock(until)
        self._cron.set_current(by_clock + timedelta(seconds=1), force=True)
        found: datetime = self._cron.get_prev()
        if self._in_every_hour:
            return until.astimezone(UTC) - (by_clock - found)
        while (run := self._aware(found)) > until:  # moved by the clock
            found = self._cron.get_prev()
        return run

    @cached_property
    def _cron(self) -> croniter:
        return croniter(self.expression, datetime(2026, 1, 1), ret_type=datetime)

    @cached_property
    def _in_every_hour(self) -> bool:
        return bool(self._cron.expanded[1] == ["*"])

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def _aware(self, by_clock: datetime) -> datetime:
        readings = (by_clock.replace(tzinfo=self._zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        return max(readings)  # left out by the clock: moved by its hour; shown twice: the second

    def _by_clock(self, at: datetime) -> datetime:
        return at.astimezone(self._zone).replace(tzinfo=None, fold=0)


def page_of(schedule: Schedule | None, now: datetime) -> str:
    """What the page of a DAG says of its schedule, in Markdown: the same from one noon to the next, because a DAG with
    another page is another version of it.

    :param now: aware.
    """
    if schedule is None:
        return f"\n#### Schedule\n\nNone (option `schedule` is `{NONE}`): a run is started by hand only.\n"
    local = now.astimezone(ZoneInfo(schedule.timezone))
    noon = local.replace(hour=12, minute=0, second=0, microsecond=0)
    times = schedule.next_times(noon if noon <= local else noon - timedelta(days=1))
    listed = "\n".join(f"- {moment(each)}" for each in times)
    return f"\n#### Schedule\n\n{schedule}. Its next times:\n\n{listed}\n"


def moment(at: datetime) -> str:
    """A time as people read it: ``Sunday 29 November 2026, 02:00 CET``."""
    return f"{at:%A} {at.day} {at:%B %Y, %H:%M %Z}"


def broken_schedule(text: str) -> str | None:
    """What is wrong with a cron expression, as a rule of an option says it; None when Airflow takes it."""
    five = "it has to be a cron expression of five fields: minute, hour, day of the month, month, day of the week"
    if not text.isascii():
        return five
    try:
        times = croniter(text, datetime(2026, 1, 1))
        if len(times.expressions) != _FIELDS:
            return f"{five}; it has {len(times.expressions)}"
        if _RANDOM & {part for each in times.expressions for part in str(each).lower().replace("(", ",").split(",")}:
            return f"{five}, with no time left to chance (R, H)"
        times.get_next()
    except CroniterError as error:
        if "failed to find next date" in str(error):
            return "it has to come in some year, and the months that it names do not have that day"
        return five
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError):
        return five
    return None


def broken_zone(name: str) -> str | None:
    """What is wrong with the name of a time zone, as a rule of an option says it; None when Airflow takes it."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        pass
    except KeyError:
        pass
    else:
        return None
    same = [zone for zone in sorted(available_timezones()) if zone.lower() == name.lower().replace(" ", "_")]
    wanted = f"; do you mean {same[0]}" if same else ", such as Europe/Berlin, America/New_York or UTC"
    return f"it has to be the name of a time zone as IANA writes it{wanted}"
