"""What the blobs of an archive of sent interchanges tell of control numbers, as one report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from biztalk_services.drivers.biztalk.interchanges.owners import Counted, Numbers
from biztalk_services.model.control_numbers import ControlNumberUse
from biztalk_services.model.redaction import redact
from biztalk_services.model.wording import how_many

_MOST_NAMED = 3


@dataclass
class BlobRead:
    """What was read of one blob.

    :param modified: when it was last, aware, in whole seconds.
    :param size: bytes that were read.
    :param problem: why not all of it could be, to follow its name; empty when all was.
    :param earlier: how many interchanges are dated before what was asked for.
    """

    name: str
    modified: datetime
    size: int = 0
    problem: str = ""
    earlier: int = 0
    counted: Counted = field(default_factory=Counted)


class Findings:
    """What was found in the blobs, one after the other, in any order of time."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], list[tuple[datetime, str, Numbers]]] = {}
        self._total: Counter[str] = Counter()
        self._unclear: Counter[str] = Counter()
        self._problems: list[str] = []

    def add(self, blob: BlobRead) -> None:
        counted = blob.counted
        held = counted.interchanges + blob.earlier
        self._total.update(
            {
                "blobs": 1,
                "bytes": blob.size,
                "interchanges": held,
                "earlier": blob.earlier,
                "foreign": counted.foreign,
                "no EDI": not held and not blob.problem,
            }
        )
        self._unclear.update(counted.unclear)
        if blob.problem:
            self._problems.append(f"blob {blob.name} {blob.problem}")
        for key, numbers in counted.numbers.items():
            self._numbers.setdefault(key, []).append((blob.modified, blob.name, numbers))

    def uses(self) -> tuple[ControlNumberUse, ...]:
        """One an agreement and kind of which there are numbers, in order."""
        found = (_use(key, numbers) for key, numbers in sorted(self._numbers.items()))
        return tuple(use for use in found if use.used)

    def summary(self) -> str:
        """How much was read, and what of it was passed over."""
        total = self._total
        blobs, interchanges = how_many(total["blobs"], "blob"), how_many(total["interchanges"], "interchange")
        read = f"{blobs}, {total['bytes']} bytes, {interchanges}"
        passed = [
            f"{how_many(total['no EDI'], 'blob')} without EDI" if total["no EDI"] else "",
            f"{how_many(total['foreign'], 'interchange')} that these agreements do not number"
            if total["foreign"]
            else "",
            f"{how_many(total['earlier'], 'interchange')} with an earlier date" if total["earlier"] else "",
        ]
        named = ", ".join(filter(None, passed))
        return f"{read}; passed over: {named}" if named else read

    def problem(self, limits: Iterable[str]) -> str | None:
        """Why not all is known, in one sentence; None when all is.

        :param limits: what else was not read, one clause each.
        """
        problems = [*limits, *_first(self._problems, "blob")]
        unclear = [f"interchanges {reason} ({times} of them)" for reason, times in self._unclear.most_common()]
        problems += _first(unclear, "reason")
        total = self._total
        if total["blobs"] and total["no EDI"] == total["blobs"]:
            problems.append(f"none of the {how_many(total['blobs'], 'blob')} holds EDI")
        return redact("; ".join(problems), limit=2000) + "." if problems else None


def _use(key: tuple[str, str], numbers: list[tuple[datetime, str, Numbers]]) -> ControlNumberUse:
    """What blobs have together, in the order in which they were modified, and by name where that was in one second.

    Of blobs of the last second, the higher one of their latest numbers counts as the latest.
    """
    total, last_used = Numbers(), None
    for modified, _, more in sorted(numbers, key=lambda each: each[:2]):
        if more.follows_backup:
            total, last_used = Numbers(), None
        if more.highest is None or more.latest is None:
            continue
        latest = max(more.latest, total.latest or 0) if modified == last_used else more.latest
        total = Numbers(max(more.highest, total.highest or 0), latest, total.used + more.used)
        last_used = modified
    return ControlNumberUse(*key, total.highest, total.latest, total.used, last_used)


def _first(clauses: list[str], what: str) -> list[str]:
    more = len(clauses) - _MOST_NAMED
    return clauses[:_MOST_NAMED] + ([f"and {how_many(more, f'more {what}')}"] if more > 0 else [])
