"""Findings as text, for a terminal and a log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from biztalk_services.model.control_numbers import EVER, ControlNumberUse, UseReport
from biztalk_services.model.finding import Finding
from biztalk_services.model.query_check import DatabaseSeen, QueryCheck, QueryLook
from biztalk_services.model.tables import table
from biztalk_services.model.wording import how_many, in_utc

_HEADINGS = ("agreement", "kind", *("highest", "latest", "used", "last used (UTC)") * 2)
_UNKNOWN = "unknown"


def lines_of(finding: Finding) -> Iterator[str]:
    """A finding as lines: the first has subject and verdict, the others are indented."""
    yield f"{finding.subject}: {finding.verdict.upper() if finding.is_wrong else finding.verdict}"
    mark = "WRONG: " if finding.is_wrong else ""
    yield from (f"  {mark}{sentence}" for sentence in finding.sentences)
    if finding.queries:
        yield from (f"  {line}" for line in _query_lines(finding.queries))


def summary_of(findings: Iterable[Finding]) -> str:
    """How many things are good, wrong and not checked, in a sentence; those that are wrong by name."""
    findings = list(findings)
    counts = Counter(finding.verdict for finding in findings)
    named = ", ".join(finding.subject for finding in findings if finding.is_wrong)
    wrong = f"{counts['wrong']} wrong ({named})" if named else "none wrong"
    return f"{counts['good']} good, {wrong}, {counts['not checked']} not checked."


def _query_lines(check: QueryCheck) -> Iterator[str]:
    yield f"connection {check.conn_id}{_database(check.database)}"
    for look, before in zip(check.looks, (None, *check.looks), strict=False):
        yield from _look_lines(look, before)
    if check.batches and check.batches.answer != "unknown":
        yield f"understood: {check.batches.sentence()}"
    if check.numbers:
        if check.numbers.problem is None:
            yield f"understood: {check.numbers.sentence()}"
        yield from (f"  {line}" for line in _numbers(check.numbers))
    yield from (f"WRONG: {sentence}" for sentence in check.problems)
    yield from (f"note: {sentence}" for sentence in check.remarks)


def _database(seen: DatabaseSeen | None) -> str:
    if seen is None:
        return ""
    clock = "server's clock unknown"
    if seen.clock_ahead_seconds is not None:
        side = "ahead of" if seen.clock_ahead_seconds > 0 else "behind"
        clock = f"server's clock {abs(seen.clock_ahead_seconds):.1f} s {side} ours"
    return (
        f" ({seen.conn_type or 'type unknown'}): driver {seen.driver or _UNKNOWN}, server {seen.server or _UNKNOWN}, "
        f"session time zone {seen.time_zone or _UNKNOWN}, {clock}"
    )


def _look_lines(look: QueryLook, before: QueryLook | None) -> Iterator[str]:
    """:param before: the look before it, whose columns are not told again."""
    what = f"{look.option} ({look.query})"
    since = "" if look.since is None else " ever" if look.since == EVER else f" since {in_utc(look.since)}"
    if look.rows is None:
        yield f"{what}{since}: no answer{f' after {look.seconds:.2f} s' if look.seconds else ''}"
        return
    yield f"{what}{since}: {how_many(look.rows, 'row')} in {look.seconds or 0:.2f} s"
    if before and before.columns == look.columns:
        return
    columns = (f"{each.name} ({_types(each.types)})" for each in look.columns)
    yield f"  columns: {', '.join(columns) or 'none'}"


def _types(types: tuple[str, ...]) -> str:
    if not types:
        return "no value"
    read = f", read as {' or '.join(types[1:])}" if types[1:] else ""
    return f"{types[0]}{read}"


def _numbers(report: UseReport) -> Iterator[str]:
    keys = {use.key: use for use in (*(report.ever or ()), *report.uses)}
    if not keys:
        return
    rows = []
    for use in sorted(keys.values(), key=lambda use: use.key):
        since, ever = report.use_of(use.agreement, use.kind), report.ever_of(use.agreement, use.kind)
        rows.append((use.agreement, use.kind, *_cells(since), *_cells(ever)))
    lines = table(_HEADINGS, rows).splitlines()
    first, second = lines[0].index("highest"), lines[0].rindex("highest")
    yield f"{'':{first}}{f'since {in_utc(report.since)}':{second - first}}ever"
    yield from lines


def _cells(use: ControlNumberUse | None) -> tuple[str, str, str, str]:
    if use is None:
        return _UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN
    if not use.used:
        return "none", "none", "0", ""
    highest, latest = (_UNKNOWN if each is None else str(each) for each in (use.highest, use.latest))
    return highest, latest, str(use.used), f"{use.last_used:%Y-%m-%d %H:%M:%S}" if use.last_used else _UNKNOWN
