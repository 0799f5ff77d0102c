"""The two queries of a tracking database: their defaults, and the rules of those that a user writes."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

DEFAULT_DRAIN_QUERY = """
SELECT entered.agreement AS agreement, entered.batch AS batch, COUNT(*) AS messages, MIN(entered.occurred_at) AS oldest
FROM batch_events entered
LEFT JOIN batch_events gone ON gone.message_id = entered.message_id AND gone.event <> 'entered'
WHERE entered.event = 'entered' AND gone.message_id IS NULL
GROUP BY entered.agreement, entered.batch
ORDER BY entered.agreement, entered.batch
""".strip()
"""Of the emulator's tracking schema, so the next one; SQL-92, which every database takes."""

DEFAULT_CONTROL_NUMBER_QUERY = """
WITH given_out AS (
  SELECT agreement, kind, number, occurred_at, FIRST_VALUE(number) OVER (
    PARTITION BY agreement, kind ORDER BY occurred_at DESC, position DESC, event_id DESC) AS newest
  FROM control_number_events
  WHERE direction = 'generated' AND occurred_at >= :since)
SELECT agreement, kind, MAX(number) AS highest, MAX(newest) AS latest, COUNT(*) AS used, MAX(occurred_at) AS last_used
FROM given_out
GROUP BY agreement, kind
ORDER BY agreement, kind
""".strip()
"""SQL:2003, which SQL Server, PostgreSQL, MariaDB, MySQL 8 and SQLite take."""


def problem_of_drain_query(sql: str) -> str | None:
    """The first rule that a drain query breaks, with the remedy; None where it keeps them all. No database is asked."""
    from biztalk_services.drivers.sql.statement import problem_of

    return problem_of(sql, offered=("service",))


def problem_of_control_number_query(sql: str) -> str | None:
    """As :func:`problem_of_drain_query`, of a control number query, which has to use ``:since``."""
    from biztalk_services.drivers.sql.statement import problem_of

    return problem_of(sql, offered=("since", "service"), required=("since",))


def name_of(sql: str) -> str:
    """A name that tells one query from another, as people compare it: ``query 1f2e3d4c``, of its SHA-256."""
    return f"query {sha256(sql.encode('utf-8', 'backslashreplace')).hexdigest()[:8]}"


def since_text(moment: datetime) -> str:
    """A moment as ``:since`` holds it: ISO 8601, UTC, to the microsecond, so that it sorts.

    :raises ValueError: the moment is naive.
    """
    if moment.tzinfo is None:
        raise ValueError("The moment since when control numbers count needs a time zone; give an aware datetime.")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
