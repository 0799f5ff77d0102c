"""Rows of a tracking database that a person has queried with a client of their own and saved as CSV with headings."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from biztalk_services.drivers.biztalk.tracking.answers import drain_status, names_of, use_report
from biztalk_services.drivers.biztalk.tracking.contradictions import all_of, without
from biztalk_services.drivers.biztalk.tracking.queries import since_text
from biztalk_services.model.control_numbers import EVER, UseReport
from biztalk_services.model.drain import DrainStatus
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.wording import in_utc

_COUNTS = ("highest", "latest", "used", "messages")
_NOTHING = ("", "NULL", "\\N")


class InvalidAnswerError(BackupServiceError):
    """A file does not hold the rows of a query."""


def control_numbers_in(file: Path, since: datetime, ever: Path | None = None) -> UseReport:
    """Which control numbers were given out, by the rows of the control number query, run with this ``:since``.

    :param ever: the rows of the same query since ever, asked after the first, so that the two are held against each
        other; None: they are not.
    :raises InvalidAnswerError: a file cannot be read, or was written before that moment.
    """
    report = _report(file, since)
    if ever is None or report.problem:
        return report
    whole = _report(ever, EVER, after=since)
    if whole.problem:
        problem = f"It cannot be held against {whole.source}: {whole.problem}"
        return replace(report, ever=whole.uses, problem=problem)
    report = replace(report, ever=whole.uses)
    return without(report, all_of(report, whole.checked_at))


def drain_status_in(file: Path) -> DrainStatus:
    """Which batches hold messages, by the rows of the drain query.

    :raises InvalidAnswerError: the file cannot be read.
    """
    columns, rows, written = _read(file)
    return drain_status(columns, rows, source=f"file {file}", checked_at=written)


def _report(file: Path, since: datetime, after: datetime | None = None) -> UseReport:
    """The rows of one file.

    :param after: the file has to be written since then; None: since ``since``.
    """
    columns, rows, written = _read(file)
    if written < (after or since):
        raise InvalidAnswerError(
            f"{file} was written before {in_utc(after or since)}, the moment since "
            f"which control numbers count. Query the tracking database again, with :since = '{since_text(since)}'."
        )
    return use_report(columns, rows, source=f"file {file}", since=since, checked_at=written)


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
    names = names_of(lines[0])
    return lines[0], [_typed(names, line) for line in lines[1:]], written


def _typed(names: list[str], line: list[str]) -> list[Any]:
    """Numbers as numbers, for CSV has no types, and nothing as None; a line that is too short or too long stays so."""
    cells: list[Any] = [None if cell.strip() in _NOTHING else cell.strip() for cell in line]
    for place, (name, cell) in enumerate(zip(names, cells, strict=False)):
        if name in _COUNTS and cell and re.fullmatch(r"0*[0-9]{1,18}", cell):
            cells[place] = int(cell)
    return cells
