"""Tables of a tracking database as customers have them: one history of messages and numbers, in many column types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

SERVICE = "contosoorders"
LOCAL = ZoneInfo("America/Chicago")
SINCE = datetime(2024, 11, 25, 2, 0, 0, 500_000, UTC)
"""Within a second, and on the evening before in Chicago."""


class Number(NamedTuple):
    """A control number that was given out."""

    agreement: str
    kind: str
    number: int
    at: datetime
    service: str = "ContosoOrders"


class Message(NamedTuple):
    """A message that entered a batch.

    :param left: whether it left it.
    """

    agreement: str
    batch: str
    at: datetime | None
    left: bool = False
    service: str = "ContosoOrders"


def _at(hours: float = 0, seconds: int = 0) -> datetime:
    return SINCE.replace(microsecond=0) + timedelta(hours=hours, seconds=seconds)


NUMBERS = [
    # Over a power of ten: the greatest text is 9999. Within the hours by which Chicago is behind, and to the next day.
    *(Number("ContosoRetail", "interchange", number, _at(-1, number - 9997)) for number in range(9990, 9998)),
    *(Number("ContosoRetail", "interchange", number, _at(0, number - 9997)) for number in range(9998, 10004)),
    Number("ContosoRetail", "interchange", 10004, _at(13)),
    # Above 32 bits; the last one from before is a second old.
    Number("NorthwindEDI", "group", 5_000_000_011, _at(0, -1)),
    Number("NorthwindEDI", "group", 5_000_000_012, _at(5)),
    # Over the end of the range.
    Number("100% Fabrikam", "transaction_set", 999_999_998, _at(-2)),
    Number("100% Fabrikam", "transaction_set", 999_999_999, _at(0, 7)),
    Number("100% Fabrikam", "transaction_set", 1, _at(0, 7)),
    Number("100% Fabrikam", "transaction_set", 2, _at(0, 8)),
    # Not used since; of another service.
    Number("Wingtip", "acknowledgement", 77, _at(-26)),
    Number("ContosoRetail", "interchange", 88_888, _at(1), service="other"),
]
MESSAGES = [
    Message("ContosoRetail", "Hourly", _at(-3)),
    Message("ContosoRetail", "Hourly", _at(-2)),
    Message("ContosoRetail", "Hourly", _at(-4), left=True),
    Message("NorthwindEDI", "50% off", None),
    Message("Wingtip", "Nightly", _at(-5), left=True),
    Message("Wingtip", "Nightly", _at(-5), service="other"),
]


@dataclass(frozen=True)
class Column:
    """A type of column.

    :param declared: as CREATE TABLE has it.
    :param written: the literal of a value in SQL.
    """

    declared: str
    written: Callable[..., str]


def _utc(moment: datetime) -> str:
    return f"'{moment:%Y-%m-%d %H:%M:%S}'"


def _local(moment: datetime) -> str:
    return f"'{moment.astimezone(LOCAL):%Y-%m-%d %H:%M:%S}'"


def _iso(moment: datetime) -> str:
    return f"'{moment:%Y-%m-%dT%H:%M:%S.%f}Z'"


def _offset(moment: datetime) -> str:
    return f"'{moment.astimezone(LOCAL).isoformat()}'"


MOMENTS = {
    "postgresql": {
        "timestamptz": [Column("timestamptz", _offset)],
        "timestamp, UTC": [Column("timestamp", _utc)],
        "timestamp, local time": [Column("timestamp(0)", _local)],
        "text with Z or an offset": [Column("varchar(40)", _iso), Column("text", _offset)],
        "text without either, UTC": [Column("varchar(30)", _utc)],
    },
    "mariadb": {
        "datetime, UTC": [Column("datetime", _utc), Column("datetime(6)", _utc)],
        # The session's zone is that of Chicago, here and where it is read.
        "timestamp": [Column("timestamp NULL", _local)],
        "datetime, local time": [Column("datetime", _local)],
        "text with Z, or text in UTC": [Column("varchar(40)", _iso), Column("text", _utc)],
    },
    "sqlite": {
        "text with T or a blank, with Z, an offset or neither (UTC)": [
            Column("TEXT", _iso),
            Column("TIMESTAMP", _utc),
            Column("VARCHAR(40)", _offset),
        ],
        "seconds since 1970": [Column("INTEGER", lambda moment: str(int(moment.timestamp())))],
    },
}
"""Database -> type of a time column, as docs/edi.md names it -> columns of that type."""

COUNTS = {
    "bigint": Column("bigint", str),
    "decimal": Column("decimal(20, 0)", str),
    "text": Column("varchar(20)", lambda number: f"'{number}'"),
    "padded": Column("varchar(20)", lambda number: f"'{number:014}'"),
}
"""Types of a column with control numbers, in each database."""


PREFIXED = {
    "sqlite": "'ORD' || control_number",
    "postgresql": "'ORD' || control_number",
    "mariadb": "CONCAT('ORD', control_number)",
}
"""Database -> a control number with a prefix."""


def statements(moment: Column, count: Column, numbers: list[Number] = NUMBERS) -> list[str]:
    """Both tables of docs/edi.md anew, with their rows."""

    def row(*values: str | None) -> str:
        return f"({', '.join('NULL' if value is None else value for value in values)})"

    def text(value: str) -> str:
        return f"'{value}'"

    messages = [
        row(
            text(service),
            text(agreement),
            text(batch),
            moment.written(at) if at else None,
            moment.written(SINCE) if left else None,
        )
        for agreement, batch, at, left, service in MESSAGES
    ]
    used = [
        row(str(id_), text(service), text(agreement), text(kind), count.written(number), moment.written(at))
        for id_, (agreement, kind, number, at, service) in enumerate(numbers, start=1)
    ]
    names = "service varchar(80), agreement varchar(80)"
    return [
        "DROP TABLE IF EXISTS batch_messages",
        "DROP TABLE IF EXISTS sent_numbers",
        f"CREATE TABLE batch_messages ({names}, batch varchar(80), "
        f"logged_at {moment.declared}, released_at {moment.declared})",
        f"CREATE TABLE sent_numbers (id int, {names}, kind varchar(30), "
        f"control_number {count.declared}, logged_at {moment.declared})",
        f"INSERT INTO batch_messages VALUES {', '.join(messages)}",
        f"INSERT INTO sent_numbers VALUES {', '.join(used)}",
    ]
