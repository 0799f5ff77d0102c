"""Rows of a tracking database that a person has queried with a client of their own and saved as CSV with headings."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from biztalk_services.drivers.biztalk.tracking import drain_status, use_report
from biztalk_services.model.control_numbers import UseReport
from biztalk_services.model.drain import DrainStatus
from biztalk_services.model.errors import BackupServiceError

_COUNTS = ("highest", "latest", "used", "messages")


class InvalidAnswerError(BackupServiceError):
    """A file does not hold the rows of a query."""


def control_numbers_in(file: Path, since: datetime) -> UseReport:
    """Which control numbers were given out, by the rows of the control number query, run with this ``:since``.

    :raises InvalidAnswerError: the file cannot be read, or was written before that moment.
    """
    columns, rows, written = _read(file)
    if written < since:
        raise InvalidAnswerError(
            f"{file} was written before {since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, the moment since which control "
            "numbers count. Query the tracking database again."
        )
    return use_report(columns, rows, source=f"file {file}", since=since, checked_at=written)


def drain_status_in(file: Path) -> DrainStatus:
    """Which batches hold messages, by the rows of the drain query.

    :raises InvalidAnswerError: the file cannot be read.
    """
    columns, rows, written = _read(file)
    return drain_status(columns, rows, source=f"file {file}", checked_at=written)


def _read(file: Path) -> tuple[list[str], list[list[Any]], datetime]:
    """Headings, rows, and when the file was written."""
    try:
        written = datetime.fromtimestamp(file.stat().st_mtime, UTC)
        with file.open(newline="", encoding="utf-8-sig") as content:
            lines = [line for line in csv.reader(content) if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "it is not CSV"
        raise InvalidAnswerError(f"{file} cannot be read: {reason}.") from None
    if not lines:
        raise InvalidAnswerError(f"{file} is empty; save the result with its headings, also when it has no row.")
    columns = [column.strip().lower() for column in lines[0]]
    return columns, [_typed(columns, line) for line in lines[1:]], written


def _typed(columns: list[str], line: list[str]) -> list[Any]:
    """Numbers as numbers, nothing as None; a line that is too short or too long stays so."""
    cells: list[Any] = [cell.strip() or None for cell in line]
    for place, (column, cell) in enumerate(zip(columns, cells, strict=False)):
        if column in _COUNTS and cell and cell.isascii() and cell.isdigit():
            cells[place] = int(cell)
    return cells
