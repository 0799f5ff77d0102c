"""Instants as fixed-width ISO-8601 text in UTC, so that comparing the text compares the time."""

from datetime import UTC, datetime


def to_text(instant: datetime) -> str:
    """``2026-11-22T12:41:25.000123Z`` for an aware datetime.

    :raises ValueError: for a naive datetime.
    """
    if instant.tzinfo is None:
        raise ValueError("An instant needs a time zone; a naive datetime has none.")
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_text(text: str) -> datetime:
    """The aware datetime of ISO-8601 text; text without an offset is UTC."""
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
