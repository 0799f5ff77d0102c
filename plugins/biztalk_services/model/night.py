"""A night: one run that backs many services up. What it set out to do, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Self

from biztalk_services.model.plain import Plain
from biztalk_services.model.run import Run


class _Moments(Plain):
    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """The object behind ``to_dict``.

        :raises ValueError: the values are not such an object; the message names what is wrong.
        """
        read = super().from_dict(values)
        if any(isinstance(each, datetime) and each.tzinfo is None for each in vars(read).values()):
            raise ValueError("a time has no time zone")
        return read


@dataclass(frozen=True)
class Night(_Moments):
    """The plan of a night, as it was when the night began.

    :param run: the run that starts, follows and reports the backups of all services.
    :param kind: of its backups (``nightly``, ``manual``).
    :param begun_at: aware.
    :param max_parallel: how many services may be suspended at the same time.
    :param services: connection -> address of a service -> name of its backup.
    """

    run: Run
    kind: str
    begun_at: datetime
    max_parallel: int
    services: dict[str, dict[str, str]]

    @property
    def name(self) -> str:
        """Its path inside a folder: month, moment, Airflow, run and how many services
        (``2026-11/29-020000-3f0a11-bc42d9a1b2c3-60``)."""
        moment = self.begun_at.astimezone(UTC)
        return f"{moment:%Y-%m}/{moment:%d-%H%M%S}-{airflow_mark(self.run)}-{run_mark(self.run)}-{self.size}"

    @property
    def size(self) -> int:
        """How many services it is for."""
        return sum(map(len, self.services.values()))

    @property
    def backups(self) -> dict[str, str]:
        """Name of a backup -> address of its service."""
        return {backup: service for some in self.services.values() for service, backup in some.items()}


@dataclass(frozen=True)
class NightEnd(_Moments):
    """How a night ended. What an estimate needs of the plan stands here once more, so that it reads one record a night.

    :param services: how many it was for.
    :param failed: how many of them have no backup of it, or were not resumed.
    :param not_begun: how many of those were not begun.
    """

    run: Run
    kind: str
    begun_at: datetime
    ended_at: datetime
    max_parallel: int
    services: int
    backed_up: int
    failed: int
    not_begun: int

    @property
    def seconds(self) -> float:
        """How long the night was."""
        return (self.ended_at - self.begun_at).total_seconds()

    @property
    def begun(self) -> int:
        """How many services were begun."""
        return self.services - self.not_begun


def airflow_mark(run: Run) -> str:
    """6 hex digits that stand for the Airflow of a run in the name of a night."""
    return sha256(run.airflow.encode()).hexdigest()[:6]


def run_mark(run: Run) -> str:
    """12 hex digits that stand for a run in the name of a night: it may be for several subscriptions."""
    return run.digest("")
