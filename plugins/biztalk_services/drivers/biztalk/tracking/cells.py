"""Text, number, moment out of a cell of a result, whatever a database's driver makes of its types.

Nothing is guessed: a cell that can mean two things is refused, with what the query has to return instead.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

_AS_NUMBER = "cast it to bigint"
_EXACT_FLOAT = 10.0**6
"""From here on a float of four bytes rounds, in the column or on the way; a driver makes one of eight bytes of it."""
_MOST = 10**18 - 1
_WIDEST = 9
"""Digits of the highest control number of X12, and of the highest bound that an agreement takes."""

_WHOLE = re.compile(r"0*([0-9]{1,18})(\.0*)?")
_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})"
    r"(?:[T ](\d{2}:\d{2})(:\d{2})?(?:[.,](\d{1,9}))?\s*(Z|UTC|[+-]\d{2}(?::?\d{2})?)?)?",
    re.ASCII | re.IGNORECASE,
)


def text(value: Any, column: str) -> str:
    """A name; blanks around it do not count.

    :raises ValueError: it is none, here and below; the message names the column and the remedy.
    """
    if value is None or value == "":
        raise ValueError(f"{column} is empty")
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise ValueError(
            f"{column} is binary, not a text; return the name as text. Where the database knows no encoding (SQL_ASCII "
            'of PostgreSQL), name it in the connection\'s extra, {"client_encoding": "latin1"}'
        )
    if not isinstance(value, str):
        raise ValueError(f"{column} is {_shown(value)}, not a text; return the name as text, without any conversion")
    if not value.strip():
        raise ValueError(f"{column} is empty")
    return value.strip()


def label(value: Any, column: str) -> str:
    """What only people read: as :func:`text`, and any id, too."""
    if value is None or isinstance(value, (str, bytes, bytearray, memoryview, bool)):
        return text(value, column)
    return str(value)


def whole(value: Any, column: str) -> int:
    """A whole number from 0 on: ``int``, a whole ``Decimal`` or ``float``, or digits as text."""
    plain = _plain(value, column, _AS_NUMBER)
    if plain is None or plain == "":
        raise ValueError(f"{column} is empty, not a number")
    if isinstance(plain, str):
        return _in_digits(plain, column)
    if isinstance(plain, bool) or not isinstance(plain, (int, Decimal, float)):
        raise ValueError(f"{column} is {_shown(value)}, not a number")
    if not math.isfinite(plain) or plain != plain // 1 or not 0 <= plain <= _MOST:
        raise ValueError(f"{column} is {_shown(value)}, not a whole number from 0 on")
    if isinstance(plain, float) and plain >= _EXACT_FLOAT:
        raise ValueError(
            f"{column} is {_shown(value)}, of which only six digits are certain; {_AS_NUMBER}, out of a column "
            "of another type where it is real"
        )
    return int(plain)


def number(value: Any, column: str) -> int | None:
    """As :func:`whole`; nothing stays nothing."""
    return None if _plain(value, column, _AS_NUMBER) in (None, "") else whole(value, column)


def is_unpadded_text(value: Any, column: str) -> bool:
    """Whether a number is text of digits that is neither filled up with zeros nor as long as numbers get.

    Texts are compared letter by letter: of ``9`` and ``10`` the greater one is ``9``. So the greatest of such texts
    says nothing about the greatest number. Filled up with zeros, or as long as the longest, they sort as numbers do.
    One with a decimal point is a number that the driver has made a text of.
    """
    plain = _plain(value, column, _AS_NUMBER)
    return isinstance(plain, str) and plain.isdigit() and plain[0] != "0" and len(plain) < _WIDEST


def moment(value: Any, column: str) -> datetime | None:
    """A time as aware UTC; nothing stays nothing.

    A time without a zone is UTC already. One that is midnight exactly, and a date, say no more than the day: both are
    its midnight.

    :param value: ``datetime``, ``date``, or ISO 8601 text, with a blank or ``T``, up to nine digits of a second (those
        behind the sixth do not count), offset with or without colon.
    """
    plain = _plain(value, column, "return it as a type with date and hour in UTC, or as text in ISO 8601")
    if plain is None or plain == "":
        return None
    if isinstance(plain, str):
        plain = _parsed(plain, column)
    if isinstance(plain, date) and not isinstance(plain, datetime):
        plain = datetime(plain.year, plain.month, plain.day)
    if not isinstance(plain, datetime):
        raise ValueError(f"{column} is {_shown(value)}, not a time; return a time in UTC, as a type with date and hour")
    try:
        utc = plain.astimezone(UTC) if plain.tzinfo else plain
    except (OverflowError, ValueError):
        raise ValueError(f"{column} is {_shown(value)}, which is no time in UTC") from None
    return datetime(utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond, UTC)


def _parsed(written: str, column: str) -> datetime:
    found = _TIME.fullmatch(written)
    if found:
        day, minutes, seconds, fraction, zone = found.groups()
        offset = "+00:00" if (zone or "").upper() in ("Z", "UTC") else zone or ""
        try:
            return datetime.fromisoformat(
                f"{day}T{minutes or '00:00'}{seconds or ':00'}.{(fraction or '0')[:6]:0<6}{offset}"
            )
        except ValueError:
            pass
    raise ValueError(
        f"{column} is {_shown(written)}, not a time in ISO 8601; return it as 2026-01-31T23:59:59Z or as a type with "
        "date and hour, in UTC"
    )


def _in_digits(written: str, column: str) -> int:
    found = _WHOLE.fullmatch(written)
    if found:
        return int(found[1])
    if re.search(r"\d", written):
        raise ValueError(
            f"{column} is {_shown(written)}, which is more than digits; return the number alone, without sign, prefix "
            "and suffix"
        )
    raise ValueError(f"{column} is {_shown(written)}, not a number")


def _plain(value: Any, column: str, remedy: str) -> Any:
    """A text without blanks around it, also out of printable ASCII bytes; anything else as it is."""
    if isinstance(value, (bytes, bytearray)):
        decoded = bytes(value).decode("ascii", "ignore")
        if len(decoded) != len(value) or not decoded.isprintable():
            raise ValueError(f"{column} is binary; {remedy}")
        value = decoded
    return value.strip() if isinstance(value, str) else value


def _shown(value: Any) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "binary"
    shown = repr(value) if isinstance(value, str) else str(value)
    shown = shown if len(shown) <= 40 else f"{shown[:40]}..."
    return shown if isinstance(value, str) else f"{shown} ({type(value).__name__})"
