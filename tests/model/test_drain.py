"""The drain status: what it may say, and how it survives JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from biztalk_services.model.drain import ActiveBatch, DrainStatus, DrainUnknownError
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 1, 1, 2, tzinfo=UTC)


def status(*batches: ActiveBatch) -> DrainStatus:
    answer = "active" if batches else "empty"
    return DrainStatus(answer=answer, batches=batches, source="tracking database", checked_at=NOW)


def test_sentences():
    assert status().sentence() == "No batch held messages at 2026-01-01 02:00:00 UTC (tracking database)."
    one = status(ActiveBatch("Fabrikam 850", "hourly", 1, NOW))
    assert one.sentence() == (
        "1 batch held 1 message at 2026-01-01 02:00:00 UTC (tracking database): "
        "Fabrikam 850/hourly (1 message, the oldest since 2026-01-01 02:00:00 UTC)."
    )
    elsewhere = ActiveBatch("Fabrikam 850", "hourly", 1, NOW.astimezone(timezone(timedelta(hours=5))))
    assert status(elsewhere).sentence() == one.sentence()
    unknown = DrainStatus(answer="unknown", source="s", reason="It does not respond.", checked_at=NOW)
    assert unknown.sentence() == "Batch status unknown at 2026-01-01 02:00:00 UTC (s): It does not respond."


def test_many_batches_are_summed_up():
    result = status(*[ActiveBatch("Fabrikam", f"batch {number}", 1) for number in range(12)])
    assert result.sentence().startswith("12 batches held 12 messages")
    assert result.sentence().endswith("; and 2 more.")


def test_contradictions_are_refused():
    with pytest.raises(ValueError, match="exactly when"):
        DrainStatus(answer="active", source="s", checked_at=NOW)
    with pytest.raises(ValueError, match="exactly when"):
        DrainStatus(answer="empty", batches=(ActiveBatch("a", "b", 1),), source="s", checked_at=NOW)
    with pytest.raises(ValueError, match="not a drain status"):
        DrainStatus(answer="fine", source="s", checked_at=NOW)
    with pytest.raises(ValueError, match="time zone"):
        DrainStatus(answer="empty", source="s", checked_at=NOW.replace(tzinfo=None))


def test_an_unknown_status_is_an_error_with_its_reason():
    unknown = DrainStatus(answer="unknown", source="s", reason="It does not respond.", checked_at=NOW)
    error = DrainUnknownError(unknown)
    assert (error.drain, str(error), error.advice) == (unknown, unknown.sentence(), "retry")
    assert DrainUnknownError(unknown, advice="stop").advice == "stop"


BATCH = st.builds(ActiveBatch, st.text(), st.text(), st.integers(1), st.none() | st.datetimes(timezones=st.just(UTC)))


@given(st.lists(BATCH, max_size=5), st.text(), st.none() | st.text(), st.datetimes(timezones=st.just(UTC)))
def test_a_status_survives_json(batches, source, reason, checked_at):
    original = DrainStatus(
        answer="active" if batches else "unknown",
        batches=tuple(batches),
        source=source,
        reason=reason,
        checked_at=checked_at,
    )
    assert DrainStatus.from_dict(json.loads(json.dumps(original.to_dict()))) == original


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, "answer, batches, source, reason, checked_at is missing"),
        (None, "is missing"),
        ([], "is missing"),
        ({"answer": "empty"}, "batches, source, reason, checked_at is missing"),
        ({"answer": "empty", "batches": None}, "source, reason, checked_at is missing"),
        (status().to_dict() | {"batches": None}, "batches is of the wrong type"),
        (status().to_dict() | {"answer": "fine"}, "answer is of the wrong type"),
        (status().to_dict() | {"checked_at": 5}, "checked_at is of the wrong type"),
        (status().to_dict() | {"answer": "active"}, "exactly when its answer is active"),
    ],
)
def test_what_is_no_status_is_refused(values, why):
    with pytest.raises(ValueError, match=why):
        DrainStatus.from_dict(values)
