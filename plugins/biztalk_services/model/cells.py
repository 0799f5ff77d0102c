"""Values out of the answer of a SQL query, whatever the database's driver makes of them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any


def name(value: Any, column: str) -> str:
    """A text that is not empty.

    :param column: where it stands, for the message.
    :raises ValueError: it is not one.
    """
    text = str(value).strip() if value is not None and not isinstance(value, bytes) else ""
    if not text:
        raise ValueError(f"{column} is empty")
    return text


def count(value: Any, column: str) -> int:
    """A whole number from 0 on.

    :param column: where it stands, for the message.
    :raises ValueError: it is not one.
    """
    whole = isinstance(value, (int, Decimal, float)) and not isinstance(value, bool) and value == value // 1
    if not whole or value < 0:
        raise ValueError(f"{column} is {str(value)[:40]!r}, not a count")
    return int(value)


def moment(value: Any, column: str) -> datetime | None:
    """A time as aware UTC; a naive one is UTC already. None stays None.

    :param column: where it stands, for the message.
    :raises ValueError: it is neither a time nor ISO 8601 text.
    """
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError(f"{column} is {value[:40]!r}, not an ISO 8601 time") from None
    if not isinstance(value, datetime):
        raise ValueError(f"{column} is {str(value)[:40]!r}, not a time")
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
