"""Moments, counts and lists as sentences name them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime


def in_utc(moment: datetime) -> str:
    """An aware moment, to the second (``2026-01-31 23:59:59 UTC``)."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def how_many(number: int, one: str, several: str | None = None) -> str:
    """How many there are of something (``1 blob``, ``2 blobs``).

    :param several: what several are called; None: with an ``s``.
    """
    return f"{number} {one if number == 1 else several or f'{one}s'}"


def shortened(named: Sequence[str], most: int) -> list[str]:
    """The first of what is named, and how many more there are (``and 2 more``)."""
    more = len(named) - most
    return [*named[:most], *([f"and {more} more"] if more > 0 else [])]
