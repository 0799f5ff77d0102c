"""An answer of a database, with what is to be known about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class QueryDescription:
    """What a query was answered, and by whom.

    :param columns: their names, as the database spells them.
    :param types: what the database calls the type of each (``bigint``), else what its driver calls it; empty: not told.
    :param rows: as the driver gives them.
    :param seconds: from sending the query to the last row.
    :param driver: with its version (``psycopg 3.3.9``).
    :param server: product and version (``PostgreSQL 15.18``); empty: not told.
    :param time_zone: of the session, in the server's words; empty: not told.
    :param clock_ahead: seconds that the server's clock is ahead of ours, negative: behind; None: not told.
    """

    columns: list[str]
    types: list[str]
    rows: Sequence[Sequence[Any]]
    seconds: float
    driver: str
    server: str = ""
    time_zone: str = ""
    clock_ahead: float | None = None
