"""What the database of a service answered to the queries that a user wrote, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from biztalk_services.model.control_numbers import UseReport
from biztalk_services.model.drain import DrainStatus
from biztalk_services.model.plain import Plain


@dataclass(frozen=True)
class ColumnSeen(Plain):
    """A column of an answer.

    :param types: what the database calls its type, where that is told, then what the driver made of its values
        (``int``, ``datetime without time zone``), each once; empty: not told, and no value.
    """

    name: str
    types: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class QueryLook(Plain):
    """One query that was asked once.

    :param option: the option that holds it.
    :param query: which text it was (``query 1f2e3d4c``).
    :param since: the moment that it was asked with, None where it takes none.
    :param rows: how many came, None where there was no answer.
    :param seconds: how long that took.
    """

    option: str
    query: str
    since: datetime | None = None
    columns: tuple[ColumnSeen, ...] = ()
    rows: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class DatabaseSeen(Plain):
    """The database behind a connection; what cannot be told is None.

    :param conn_type: type of the connection (``mssql``).
    :param driver: what speaks to it, with its version.
    :param server: product and version.
    :param time_zone: of the session.
    :param clock_ahead_seconds: how far the server's clock is ahead of ours; negative: behind.
    """

    conn_type: str | None = None
    driver: str | None = None
    server: str | None = None
    time_zone: str | None = None
    clock_ahead_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class QueryCheck(Plain):
    """What the queries of one service were answered.

    :param conn_id: the connection that they went through.
    :param database: None where there is no such connection.
    :param batches: what was understood of the drain query.
    :param numbers: what was understood of the control number query: an example, and ever beside it.
    :param problems: what has to be corrected before a backup or a restore, in sentences without secrets.
    :param remarks: what a person should know.
    """

    conn_id: str
    database: DatabaseSeen | None = None
    looks: tuple[QueryLook, ...] = ()
    batches: DrainStatus | None = None
    numbers: UseReport | None = None
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
