"""EDI control numbers: what a service has given out in a span of time, and what comes next after a restore.

After a restore a service continues from the moment of the backup, so that all numbers given out since come again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from biztalk_services.model.plain import Plain
from biztalk_services.model.wording import how_many, in_utc

KINDS = ("interchange", "group", "transaction_set", "acknowledgement")
"""What an agreement numbers: ISA13 or UNB 0020, GS06 or UNG 0048, ST02 or UNH 0062, and its acknowledgements."""

EVER = datetime(1753, 1, 1, tzinfo=UTC)
"""A ``since`` before every number, also before the times that stand for none (1900, 1970): then ``latest`` is the last
number that was given out at all. The ``datetime`` of SQL Server knows none before it."""


def agreement_key(name: str) -> str:
    """The name of an agreement as names are compared: without case, and without blanks around it."""
    return name.strip().casefold()


@dataclass(frozen=True)
class ControlNumberUse(Plain):
    """The control numbers of one kind, one of ``KINDS``, that an agreement has given out in a span of time.

    :param highest: None when there is none, or when the source does not tell it.
    :param latest: the last one given out, None as before; lower than the highest after the range has started over.
    :param used: how many were given out; one given out twice counts twice.
    :param last_used: when the last one was, UTC; None when not known.
    :raises ValueError: the parts contradict each other.
    """

    agreement: str
    kind: str
    highest: int | None = None
    latest: int | None = None
    used: int = 0
    last_used: datetime | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is not a kind of control number: it is {', '.join(KINDS)}.")
        if self.used < 0 or (self.used == 0 and (self.highest, self.latest) != (None, None)):
            raise ValueError("Use of control numbers names the highest and the latest only when some were used.")
        if min(self.highest or 0, self.latest or 0) < 0:
            raise ValueError(f"A control number is not negative: highest {self.highest}, latest {self.latest}.")
        if self.highest is not None and self.latest is not None and self.latest > self.highest:
            raise ValueError(f"The latest control number {self.latest} is above the highest {self.highest}.")
        if self.last_used is not None and self.last_used.tzinfo is None:
            raise ValueError("The time of a control number needs a time zone.")

    @property
    def key(self) -> tuple[str, str]:
        """Agreement and kind; agreements are compared without case."""
        return agreement_key(self.agreement), self.kind


@dataclass(frozen=True, kw_only=True)
class UseReport:
    """What is known of the control numbers that a service has given out from ``since`` to ``checked_at``, both aware.

    :param uses: one an agreement and kind, as far as known, in order.
    :param ever: the same since :data:`EVER`, asked beside it, so that the two can be held against each other; None when
        it was not asked. It is ``uses`` where ``since`` is ``EVER``.
    :param source: where this is from.
    :param query: which query was asked, as people compare it; empty when it was none.
    :param problem: why not all is known, of ``uses`` or of ``ever``; None when all is, so that what is not named was
        not used.
    :raises ValueError: a time is naive, or two uses are of the same agreement and kind.
    """

    uses: tuple[ControlNumberUse, ...] = ()
    ever: tuple[ControlNumberUse, ...] | None = None
    source: str
    query: str = ""
    problem: str | None = None
    since: datetime
    checked_at: datetime

    def __post_init__(self) -> None:
        if self.since.tzinfo is None or self.checked_at.tzinfo is None:
            raise ValueError("The times of a report on control numbers need a time zone.")
        for uses in (self.uses, self.ever or ()):
            if len({use.key for use in uses}) < len(uses):
                raise ValueError("A report on control numbers names an agreement and kind twice.")

    def use_of(self, agreement: str, kind: str) -> ControlNumberUse | None:
        """What one agreement (any case) has used of one kind, perhaps nothing; None when not known."""
        return self._of(self._since, agreement, kind)

    def ever_of(self, agreement: str, kind: str) -> ControlNumberUse | None:
        """As :meth:`use_of`, ever; None also when it was not asked."""
        return None if self.ever is None else self._of(self._ever, agreement, kind)

    @cached_property
    def _since(self) -> dict[tuple[str, str], ControlNumberUse]:
        return {use.key: use for use in self.uses}

    @cached_property
    def _ever(self) -> dict[tuple[str, str], ControlNumberUse]:
        return {use.key: use for use in self.ever or ()}

    def _of(
        self, uses: Mapping[tuple[str, str], ControlNumberUse], agreement: str, kind: str
    ) -> ControlNumberUse | None:
        use = uses.get((agreement_key(agreement), kind))
        return use or (ControlNumberUse(agreement, kind) if self.problem is None else None)

    def sentence(self) -> str:
        """The report in one sentence."""
        span = f"from {in_utc(self.since)} to {in_utc(self.checked_at)} ({self.source})"
        numbers = sum(use.used for use in self.uses)
        agreements = len({use.key[0] for use in self.uses})
        if self.problem is not None:
            known = f"; at least {numbers}" if numbers else ""
            return f"Control numbers used {span} are unknown{known}: {self.problem.rstrip('.')}."
        if not numbers:
            return f"No control number was used {span}."
        used = how_many(numbers, "control number was", "control numbers were")
        return f"{used} used by {how_many(agreements, 'agreement')} {span}."


@dataclass(frozen=True)
class NumberRow:
    """What a restore does about the control numbers of one agreement and kind; both are ``all`` for the whole service.

    :param backup: the last number of the backup; None when not known, so are the next two.
    :param highest: the highest number used since.
    :param next: the number that comes next.
    :param done: whether no used number will come again; ``sentence`` says why.
    :param latest: the last number used since; the numbers behind ``backup`` up to it, in the order in which they are
        given out, are the used ones. None where none was seen; ``next`` then leaves out the margin all the same.
    :param source: where that is from; it begins with ``seen``, ``computed`` or ``unknown``.
    """

    agreement: str
    kind: str
    backup: int | None
    highest: int | None
    next: int | None
    done: bool
    sentence: str
    latest: int | None = None
    source: str = "unknown"


@dataclass(frozen=True)
class NumberPlan:
    """What a restore does about the control numbers of a service.

    :param rows: one an agreement and kind that was used since the backup, that is advanced, or that needs a person.
    :param open: why control numbers cannot be advanced, one sentence each; empty when all can.
    :param remarks: what a person should know beside it, in sentences.
    """

    rows: tuple[NumberRow, ...] = ()
    open: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
