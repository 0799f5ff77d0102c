"""What an edition may hold: the editions charts of 2013 and 2015; where they differ, the smaller number counts."""

from __future__ import annotations

from typing import NamedTuple


class Quota(NamedTuple):
    """How many agreements a scale unit holds, how many units there are at most, whether messages can be archived."""

    agreements: int
    units: int
    archiving: bool


ORDER = ("basic", "standard", "premium")
"""Editions that have backups, from the lowest to the highest. Free and developer stand outside of the order."""

WITHOUT_BACKUPS = ("free", "developer")

QUOTAS = {"basic": Quota(25, 8, False), "standard": Quota(250, 4, False), "premium": Quota(1000, 8, True)}


def is_lower(edition: str, than: str) -> bool:
    """Whether an edition is lower than another; both stand in the order."""
    return ORDER.index(edition) < ORDER.index(than)


def has_backups(edition: str | None) -> bool | None:
    """Whether an edition has backups; None for an edition that no document has, or that was not reported."""
    edition = (edition or "").strip().lower()
    return True if edition in ORDER else False if edition in WITHOUT_BACKUPS else None
