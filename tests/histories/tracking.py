"""A tracking database, and every kind of wrong answer that one was seen to give.

A wrong answer is a function of the true rows: it may lose rows, see another since, or tell something else of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from biztalk_services.model.control_numbers import EVER, ControlNumberUse, UseReport

Key = tuple[str, str]


@dataclass(frozen=True)
class Row:
    key: Key
    number: int
    at: datetime


@dataclass(frozen=True)
class Look:
    """One look of a query: what it compares with, and what it makes of the rows of one agreement and kind."""

    since: datetime
    ever: bool
    now: datetime


@dataclass(frozen=True)
class Query:
    """A control number query; each part can be wrong.

    :param since: what the times of rows are compared with.
    :param visible: whether a row can be seen at all.
    :param tell: what is told of one counter; None: no row.
    """

    since: Callable[[Look], datetime] = lambda look: look.since
    visible: Callable[[Row, Look], bool] = lambda row, look: True
    tell: Callable[[ControlNumberUse, list[Row], Look], ControlNumberUse | None] = lambda use, rows, look: use

    def ask(self, rows: Iterable[Row], look: Look) -> tuple[ControlNumberUse, ...]:
        found: dict[Key, list[Row]] = {}
        compared = self.since(look)
        for row in rows:
            if row.at >= compared and row.at <= look.now and self.visible(row, look):
                found.setdefault(row.key, []).append(row)
        told = (self.tell(_use(seen), seen, look) for seen in found.values())
        return tuple(use for use in told if use is not None and use.used)

    def report(self, rows: list[Row], since: datetime, now: datetime) -> UseReport:
        try:
            ever = self.ask(rows, Look(EVER, True, now))
            uses = ever if since == EVER else self.ask(rows, Look(since, False, now))
        except ValueError as impossible:  # the model of an answer refuses it
            return UseReport(source="tracking database", problem=str(impossible), since=since, checked_at=now)
        return UseReport(
            uses=uses, ever=ever, source="tracking database", query="query 1f2e3d4c", since=since, checked_at=now
        )


def _use(rows: list[Row]) -> ControlNumberUse:
    numbers = [row.number for row in rows]
    return ControlNumberUse(*rows[0].key, max(numbers), numbers[-1], len(rows), rows[-1].at)


def _as_text(rows: list[Row]) -> int:
    return int(max(str(row.number) for row in rows))


def _cut(number: int) -> int:
    low = number & 0xFFFFFFFF
    return low - (1 << 32) if low >= 1 << 31 else low


def _count_of_both(use: ControlNumberUse, factor: int) -> ControlNumberUse:
    return replace(use, used=use.used * factor)


def _untold(use: ControlNumberUse, *names: str) -> ControlNumberUse:
    return replace(use, **dict.fromkeys(names))


@dataclass(frozen=True)
class Fault:
    """A kind of wrong answer.

    :param make: the query, out of a source of chance, the moment of the backup, and the counters that were used.
    :param from_the_beginning: whether the same query was asked at the backup.
    """

    make: Callable[[random.Random, datetime, list[Key]], Query]
    from_the_beginning: bool = False


def _zone(chance: random.Random, backup: datetime, keys: list[Key]) -> Query:
    shift = timedelta(hours=chance.choice([each for each in range(-14, 15) if each]))
    return Query(since=lambda look: look.since if look.ever else look.since + shift)


def _local(chance: random.Random, backup: datetime, keys: list[Key]) -> Query:
    shift = timedelta(hours=chance.choice([each for each in range(-14, 15) if each]))
    return Query(tell=lambda use, rows, look: replace(use, last_used=rows[-1].at + shift))


def _blank(chance: random.Random, backup: datetime, keys: list[Key]) -> Query:
    return Query(visible=lambda row, look: look.ever or row.at.date() > look.since.date())


def _missing(where: str) -> Callable[[random.Random, datetime, list[Key]], Query]:
    def make(chance: random.Random, backup: datetime, keys: list[Key]) -> Query:
        key = chance.choice(keys)
        looks = {"since": (False,), "ever": (True,), "both": (False, True)}[where]
        return Query(visible=lambda row, look: row.key != key or look.ever not in looks)

    return make


def _purged(chance: random.Random, backup: datetime, keys: list[Key]) -> Query:
    kept = backup + timedelta(hours=chance.randint(-300, 30))
    return Query(visible=lambda row, look: row.at >= kept)


def _fixed(chance: random.Random, backup: datetime, keys: list[Key]) -> Query:
    fixed = backup - timedelta(hours=chance.randint(0, 200))
    return Query(since=lambda look: fixed)


def _cut_times(chance: random.Random, backup: datetime, keys: list[Key]) -> Query:
    cut = {"microsecond": 0} | ({"second": 0} if chance.random() < 0.5 else {})
    return Query(
        visible=lambda row, look: row.at.replace(**cut) >= look.since,
        tell=lambda use, rows, look: replace(use, last_used=rows[-1].at.replace(**cut)),
    )


def _random_latest(chance: random.Random, backup: datetime, keys: list[Key]) -> Query:
    return Query(tell=lambda use, rows, look: replace(use, latest=chance.randint(0, use.highest or 0)))


def _random_highest(chance: random.Random, backup: datetime, keys: list[Key]) -> Query:
    return Query(tell=lambda use, rows, look: replace(use, highest=(use.highest or 0) + chance.randint(-50, 50)))


def _telling(
    tell: Callable[[ControlNumberUse, list[Row]], ControlNumberUse | None],
) -> Callable[[random.Random, datetime, list[Key]], Query]:
    return lambda chance, backup, keys: Query(tell=lambda use, rows, look: tell(use, rows))


FAULTS = {
    "MAX over text": Fault(
        _telling(lambda use, rows: replace(use, highest=_as_text(rows), latest=_as_text(rows))), True
    ),
    "MAX over text as highest": Fault(_telling(lambda use, rows: replace(use, highest=_as_text(rows))), True),
    "32 bits": Fault(
        _telling(
            lambda use, rows: replace(
                use, highest=_cut(max(row.number for row in rows) * 11), latest=_cut(rows[-1].number * 11)
            )
        ),
        True,
    ),
    "lost zone": Fault(_zone),
    "local last_used": Fault(_local, True),
    "blank instead of T": Fault(_blank),
    "missing since": Fault(_missing("since")),
    "missing ever": Fault(_missing("ever")),
    "missing both": Fault(_missing("both")),
    "doubled": Fault(_telling(lambda use, rows: replace(use, used=use.used * 2)), True),
    "count 0": Fault(_telling(lambda use, rows: None)),
    "without highest": Fault(_telling(lambda use, rows: replace(use, highest=None, latest=None)), True),
    "without latest": Fault(_telling(lambda use, rows: replace(use, latest=None)), True),
    "without last_used": Fault(_telling(lambda use, rows: replace(use, last_used=None)), True),
    "latest is the highest": Fault(_telling(lambda use, rows: replace(use, latest=use.highest)), True),
    "latest is the first": Fault(_telling(lambda use, rows: replace(use, latest=rows[0].number)), True),
    "latest at random": Fault(_random_latest),
    "highest at random": Fault(_random_highest),
    "purged": Fault(_purged),
    "another database": Fault(lambda chance, backup, keys: Query(visible=lambda row, look: False)),
    "fixed date": Fault(_fixed),
    "seconds cut off": Fault(_cut_times, True),
    "another case": Fault(_telling(lambda use, rows: replace(use, agreement=use.agreement.upper()))),
}
"""Kind of wrong answer -> how it comes about."""
