"""A run of Airflow, as the records name it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Run:
    """
    :param dag_id: its DAG.
    :param run_id: its id.
    """

    dag_id: str
    run_id: str

    def __str__(self) -> str:
        return f"run {self.run_id} of {self.dag_id}"


class Owner(StrEnum):
    """What is known of the run that suspended a service."""

    WORKS = "works"
    """It has not ended."""
    ENDED = "ended"
    """It has ended; nothing in it will bring the service back."""
    UNKNOWN = "unknown"
    """Nobody knows of it: it was deleted, or ran elsewhere."""
