"""What the commands print: moments and texts of others, on any terminal."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def printable(text: str) -> str:
    """A text that no terminal takes for an order; line breaks stay."""
    escaped = _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
    return escaped.encode("utf-8", "backslashreplace").decode()


def warn(sentence: str) -> None:
    """Print beside the result, to the standard error."""
    print(printable(sentence), file=sys.stderr, flush=True)


def moment(time: datetime) -> str:
    """An aware time in UTC, to the minute."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}"
