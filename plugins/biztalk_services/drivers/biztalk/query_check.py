"""What a tracking database answers to both queries: asked exactly as a backup and a restore ask it, and recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

from biztalk_services.drivers.biztalk.tracking.answers import CLOCKS_DIFFER, names_of
from biztalk_services.drivers.biztalk.tracking.database import TrackingDatabase
from biztalk_services.drivers.biztalk.tracking.queries import name_of
from biztalk_services.model.drain import DrainUnknownError
from biztalk_services.model.query_check import ColumnSeen, DatabaseSeen, QueryCheck, QueryLook

if TYPE_CHECKING:
    from biztalk_services.archive.storage import StorageAccount
    from biztalk_services.drivers.biztalk.options import BizTalkOptions
    from biztalk_services.drivers.registry import Connections, ConnectionValues
    from biztalk_services.drivers.sql.description import QueryDescription

EXAMPLE = timedelta(days=7)
"""Since when control numbers are asked for, as an example beside ever."""

_TIMES = ("last_used", "oldest")
_UTC_NAMES = ("utc", "gmt", "etc/utc", "+00:00", "z", "0", "(utc) coordinated universal time")
"""The last one is that of Windows, and so of Azure SQL (by its documents, not tried)."""


def check_queries(
    connections: Connections, conn_id: str, service: str, options: BizTalkOptions, now: datetime
) -> QueryCheck:
    """Ask both queries of a service, and say what is wrong.

    :param now: aware.
    """
    connection = connections.get(conn_id)
    if connection is None:
        problem = (
            f"There is no connection {conn_id} to the tracking database of service {service}, or none that can be "
            "read. Create it, or correct it or the option tracking_conn_id."
        )
        return QueryCheck(conn_id=conn_id, problems=(problem,))
    recorder = Recorder(connections)
    database = TrackingDatabase(recorder, conn_id, service, options)
    problems: list[str] = []
    try:
        batches = database.drain_status()
    except DrainUnknownError as error:
        batches = error.drain
    if batches.reason:
        problems.append(batches.reason)
    numbers = database.control_numbers_since(now - EXAMPLE)
    if numbers.problem:
        problems.append(numbers.problem)
    answers = recorder.answers
    problems += [sentence for answer in answers for sentence in _local_times(answer, now)]
    remarks = [sentence for answer in answers for sentence in _remarks(answer)]
    seen = answers[-1] if answers else None
    if seen and seen.clock_ahead is not None and abs(seen.clock_ahead) > CLOCKS_DIFFER.total_seconds():
        problems.append(
            f"The server's clock is {abs(seen.clock_ahead):.0f} s {'ahead of' if seen.clock_ahead > 0 else 'behind'} "
            "ours, so that times are compared wrongly. Set both by the same time server."
        )
    if not problems and not numbers.ever:
        remarks.append(
            "No control number was found at all, also without regard to time. That is right only for a service that "
            "has sent nothing."
        )
    return QueryCheck(
        conn_id=conn_id,
        database=_database(connection, seen),
        looks=tuple(recorder.looks),
        batches=batches,
        numbers=numbers,
        problems=tuple(dict.fromkeys(_sentence(each) for each in problems)),
        remarks=tuple(dict.fromkeys(remarks)),
    )


class Recorder:
    """Connections whose queries are answered as always, and recorded."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.looks: list[QueryLook] = []
        self.answers: list[QueryDescription] = []

    def get(self, conn_id: str) -> ConnectionValues | None:
        return self._connections.get(conn_id)

    def storage(self, conn_id: str) -> StorageAccount:
        return self._connections.storage(conn_id)

    def query(
        self, conn_id: str, sql: str, parameters: Mapping[str, str], seconds: float = 60.0
    ) -> tuple[list[str], Sequence[Sequence[Any]]]:
        answer = self.describe(conn_id, sql, parameters, seconds)
        return answer.columns, answer.rows

    def describe(
        self, conn_id: str, sql: str, parameters: Mapping[str, str], seconds: float = 60.0
    ) -> QueryDescription:
        since = parameters.get("since")
        of: dict[str, Any] = {
            "option": "control_number_query" if since else "drain_query",
            "query": name_of(sql),
            "since": datetime.fromisoformat(since) if since else None,
        }
        began = monotonic()
        try:
            answer = self._connections.describe(conn_id, sql, parameters, seconds)
        except Exception:
            self.looks.append(QueryLook(**of, seconds=round(monotonic() - began, 3)))
            raise
        self.answers.append(answer)
        columns = tuple(ColumnSeen(name, kind) for name, kind in zip(answer.columns, _types(answer), strict=True))
        self.looks.append(QueryLook(**of, columns=columns, rows=len(answer.rows), seconds=round(answer.seconds, 3)))
        return answer


def _types(answer: QueryDescription) -> list[tuple[str, ...]]:
    """What the database calls each column, and what its driver made of the values."""
    found = []
    for place, name in enumerate(answer.types):
        made = [_made_of(row[place]) for row in answer.rows if row[place] is not None]
        found.append(tuple(dict.fromkeys(each for each in (name, *made) if each)))
    return found


def _made_of(value: Any) -> str:
    name = type(value).__name__
    return f"{name} without time zone" if isinstance(value, datetime) and value.tzinfo is None else name


def _naive_times(answer: QueryDescription) -> Iterator[tuple[str, datetime]]:
    """Each column of times in which one came without a zone, with the latest of these, taken as UTC."""
    for place, column in enumerate(names_of(answer.columns)):
        if column in _TIMES and (times := [time for row in answer.rows if (time := _naive(row[place]))]):
            yield column, max(times)


def _local_times(answer: QueryDescription, now: datetime) -> Iterator[str]:
    for column, latest in _naive_times(answer):
        if latest > now + CLOCKS_DIFFER:
            minutes = (latest - now).total_seconds() / 60
            yield (
                f"Column {column} has a time without time zone that lies {minutes:.0f} minutes in the future, so it "
                "is local time, not UTC. Convert it in the query: to UTC, or to a time with its zone."
            )


def _remarks(answer: QueryDescription) -> Iterator[str]:
    for column, _ in _naive_times(answer):
        yield f"Times in column {column} come without time zone and are taken as UTC.{_zone_remark(answer.time_zone)}"


def _zone_remark(zone: str) -> str:
    if not zone or zone.lower() in _UTC_NAMES:
        return ""
    return (
        f" The session's time zone is {zone}: where the column holds that, convert it in the query; otherwise used "
        "numbers are overlooked."
    )


def _naive(value: Any) -> datetime | None:
    """A time that came without a zone, taken as UTC; None for all other values."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else None


def _database(connection: ConnectionValues, seen: QueryDescription | None) -> DatabaseSeen:
    if seen is None:
        return DatabaseSeen(conn_type=connection.conn_type)
    return DatabaseSeen(
        conn_type=connection.conn_type,
        driver=seen.driver or None,
        server=seen.server or None,
        time_zone=seen.time_zone or None,
        clock_ahead_seconds=seen.clock_ahead,
    )


def _sentence(text: str) -> str:
    return f"{text.rstrip('.')}."
