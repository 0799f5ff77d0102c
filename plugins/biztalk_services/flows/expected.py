"""How old the newest backup of a service may be, by its name: the option ``expected_backup_hours``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase

from biztalk_services.model.options import shown

NEVER = "never"
"""In place of hours: no backup is expected."""

LONGEST_HOURS = 8784
"""A leap year."""

_HOURS = re.compile(r"[0-9]{1,4}(\.[0-9]{1,3})?")
_PATTERN = re.compile(r"(?:[A-Za-z0-9._*?-]|\[!?[A-Za-z0-9._-]+\])+")
_FORM = (
    f"It begins with a number of hours from 1 to {LONGEST_HOURS}, for all services; names with other hours follow, "
    f"separated by blanks: pattern=hours, or pattern={NEVER} where no backup is expected (30 orders*=26 test-*={NEVER})"
)


@dataclass(frozen=True)
class ExpectedBackups:
    """The longest time between two backups, for each service.

    :param default: for every service that no pattern fits; None: no backup is expected.
    :param overrides: patterns of names (``*``, ``?``, ``[...]``, in any case) with their time; the first that fits
        counts.
    """

    default: timedelta | None
    overrides: tuple[tuple[str, timedelta | None], ...] = ()

    @classmethod
    def parse(cls, text: str) -> ExpectedBackups:
        """Read the option.

        :raises ValueError: with a sentence: what is not understood, and how it is written.
        """
        words = text.replace(",", " ").split()
        if not words:
            raise ValueError(f"It is empty. {_FORM}.")
        return cls(_time(words[0], text), tuple(_override(word, text) for word in words[1:]))

    def allowed(self, name: str) -> timedelta | None:
        """How old the newest backup of this service may be; None: no backup is expected.

        :param name: of the service, without its scope.
        """
        for pattern, time in self.overrides:
            if fnmatchcase(name.lower(), pattern.lower()):
                return time
        return self.default

    def strictest(self) -> tuple[str, timedelta] | None:
        """The shortest time of all, with the pattern that it holds for; None when no backup is expected at all."""
        times: list[tuple[str, timedelta | None]] = []
        for pattern, time in (*self.overrides, ("*", self.default)):
            times.append((pattern, time))
            if pattern == "*":  # what follows counts for no service
                break
        return min(((pattern, time) for pattern, time in times if time), key=lambda each: each[1], default=None)


def _override(word: str, text: str) -> tuple[str, timedelta | None]:
    pattern, _, time = word.partition("=")
    if not _PATTERN.fullmatch(pattern) or not time:
        raise ValueError(f"{shown(word, text)} is not understood. {_FORM}.")
    return pattern, _time(time, text)


def _time(word: str, text: str) -> timedelta | None:
    if word.lower() == NEVER:
        return None
    if not _HOURS.fullmatch(word) or not 1 <= float(word) <= LONGEST_HOURS:
        raise ValueError(f"{shown(word, text)} is no number of hours. {_FORM}.")
    return timedelta(hours=float(word))
