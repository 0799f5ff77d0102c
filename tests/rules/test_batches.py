"""What a drain query's answer means."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from biztalk_services.model.drain import COLUMNS, ActiveBatch, DrainStatus, from_rows
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 1, 1, 2, tzinfo=UTC)
OLDEST = datetime(2026, 1, 1, 1, 30, tzinfo=UTC)
ROW = ("Fabrikam 850", "hourly", 5, "2026-01-01T01:30:00Z")


def report(*rows: object, columns: tuple[str, ...] = COLUMNS) -> DrainStatus:
    return from_rows(columns, rows, source="tracking database", checked_at=NOW)


def test_no_row_is_empty():
    assert report() == DrainStatus(answer="empty", source="tracking database", checked_at=NOW)
    assert report().sentence() == "No batch held messages at 2026-01-01 02:00:00 UTC (tracking database)."


def test_a_row_is_an_active_batch():
    found = report(ROW)
    assert found.answer == "active"
    assert found.batches == (ActiveBatch("Fabrikam 850", "hourly", 5, OLDEST),)
    assert "1 batch held 5 messages" in found.sentence()
    assert "Fabrikam 850/hourly (5 messages, the oldest since 2026-01-01 01:30:00 UTC)" in found.sentence()


@pytest.mark.parametrize(
    "oldest",
    [
        "2026-01-01T01:30:00Z",
        "2026-01-01 01:30:00",
        "2026-01-01T02:30:00+01:00",
        OLDEST,
        OLDEST.replace(tzinfo=None),
        OLDEST.astimezone(timezone(timedelta(hours=5))),
    ],
)
def test_times_in_every_form(oldest):
    assert report((*ROW[:3], oldest)).batches[0].oldest == OLDEST


@pytest.mark.parametrize("count", [5, 5.0, Decimal(5)])
def test_counts_in_every_form(count):
    assert report((*ROW[:2], count, None)).batches == (ActiveBatch("Fabrikam 850", "hourly", 5, None),)


def test_columns_in_any_order_and_case_and_further_ones():
    found = report(
        ("x", 5, "hourly", OLDEST, "Fabrikam 850"), columns=("EXTRA", "MESSAGES", "Batch", "oldest", "Agreement")
    )
    assert found == report(ROW)


def test_a_row_without_messages_is_passed_over():
    assert report((*ROW[:2], 0, None)).answer == "empty"


@pytest.mark.parametrize(
    "row",
    [
        ("", "hourly", 5, None),
        (None, "hourly", 5, None),
        ("a", b"hourly", 5, None),
        ("a", "b", -1, None),
        ("a", "b", 1.5, None),
        ("a", "b", float("nan"), None),
        ("a", "b", float("inf"), None),
        ("a", "b", Decimal("NaN"), None),
        ("a", "b", True, None),
        ("a", "b", "5", None),
        ("a", "b", None, None),
        ("a", "b", 5, "yesterday"),
        ("a", "b", 5, 1767225600),
        ("a", "b", 5, date(2026, 1, 1)),
        ("a", "b", 5),
        ("a", "b", 5, None, "x"),
        5,
    ],
)
def test_a_nonsense_row_is_unknown_with_a_reason(row):
    found = report(row)
    assert found.answer == "unknown"
    assert "Row 1 of the drain query cannot be understood" in found.reason
    assert found.reason in found.sentence()
    active = report(row, ROW)
    assert (active.answer, active.reason) == ("active", found.reason)


def test_missing_columns_are_unknown():
    found = report(("a", "b"), columns=("agreement", "count"))
    assert found.answer == "unknown"
    assert "batch, messages, oldest is missing" in found.reason


def test_many_batches_are_summed_up():
    found = report(*[("Fabrikam", f"batch {number}", 1, None) for number in range(12)])
    assert found.sentence().startswith("12 batches held 12 messages")
    assert found.sentence().endswith("; and 2 more.")


def test_contradictions_are_refused():
    with pytest.raises(ValueError, match="exactly when"):
        DrainStatus(answer="active", source="s", checked_at=NOW)
    with pytest.raises(ValueError, match="exactly when"):
        DrainStatus(answer="empty", batches=(ActiveBatch("a", "b", 1),), source="s", checked_at=NOW)
    with pytest.raises(ValueError, match="not an answer"):
        DrainStatus(answer="fine", source="s", checked_at=NOW)
    with pytest.raises(ValueError, match="time zone"):
        DrainStatus(answer="empty", source="s", checked_at=NOW.replace(tzinfo=None))


BATCH = st.builds(ActiveBatch, st.text(), st.text(), st.integers(1), st.none() | st.datetimes(timezones=st.just(UTC)))


@given(st.lists(BATCH, max_size=5), st.text(), st.none() | st.text(), st.datetimes(timezones=st.just(UTC)))
def test_a_report_survives_json(batches, source, reason, checked_at):
    original = DrainStatus(
        answer="active" if batches else "unknown",
        batches=tuple(batches),
        source=source,
        reason=reason,
        checked_at=checked_at,
    )
    assert DrainStatus.from_dict(json.loads(json.dumps(original.to_dict()))) == original


@pytest.mark.parametrize(
    "values", [{}, {"answer": "empty"}, {"answer": "empty", "batches": None}, report().to_dict() | {"checked_at": 5}]
)
def test_what_is_no_report_is_refused(values):
    with pytest.raises(ValueError, match=r"not a(n answer of a)? batch report"):
        DrainStatus.from_dict(values)
