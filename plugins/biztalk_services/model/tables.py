"""Tables for a terminal and a log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

_MEASURED = 1_000


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as what stands in them, with two blanks between."""
    return "\n".join(table_lines(headings, rows))


def table_lines(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table. Only the first thousand rows count for the widths, and no more are kept."""
    rows = iter(rows)
    first = [headings, *islice(rows, _MEASURED)]
    widths = [max(len(line[column]) for line in first) for column in range(len(headings))]
    form = "  ".join(f"{{:<{width}}}" for width in widths).format
    return (form(*line).rstrip() for line in chain(first, rows))
