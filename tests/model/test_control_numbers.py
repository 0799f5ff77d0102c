"""What is known of the control numbers used in a span of time."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from biztalk_services.model.control_numbers import KINDS, ControlNumberUse, UseReport
from biztalk_services.model.plain import from_plain, to_plain
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 1, 2, 2, tzinfo=UTC)
SINCE = NOW - timedelta(days=1)
LAST = datetime(2026, 1, 1, 9, 30, tzinfo=UTC)
USE = ControlNumberUse("Fabrikam X12 send", "interchange", 1020, 1020, 20, LAST)
NOTHING = UseReport(source="tracking database", since=SINCE, checked_at=NOW)


def test_no_use():
    assert NOTHING.use_of("Anybody", "group") == ControlNumberUse("Anybody", "group")
    assert NOTHING.sentence() == (
        "No control number was used from 2026-01-01 02:00:00 UTC to 2026-01-02 02:00:00 UTC (tracking database)."
    )


def test_one_number_was_used():
    used = UseReport(uses=(ControlNumberUse("A", "group", 5, 5, 1),), source="s", since=SINCE, checked_at=NOW)
    assert used.sentence().startswith("1 control number was used by 1 agreement from")


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "invoice"},
        {"used": 0},
        {"used": 0, "highest": None},
        {"used": 0, "latest": None},
        {"used": -1, "highest": None, "latest": None},
        {"latest": 1021},
        {"latest": -1},
        {"highest": -1, "latest": None},
        {"last_used": LAST.replace(tzinfo=None)},
    ],
)
def test_contradictions_are_refused(values):
    with pytest.raises(ValueError, match="control number"):
        ControlNumberUse(**USE.to_dict() | {"last_used": LAST} | values)


@pytest.mark.parametrize("untold", [{"highest": None}, {"latest": None}, {"highest": None, "latest": None}], ids=repr)
def test_a_source_may_not_tell_highest_or_latest(untold):
    use = replace(USE, **untold)
    assert from_plain(ControlNumberUse, json.loads(json.dumps(use.to_dict()))) == use


def test_a_report_needs_zones_and_one_use_a_counter():
    complete = {"source": "s", "since": SINCE, "checked_at": NOW}
    same = (USE, replace(USE, agreement=f" {USE.agreement.upper()}"))
    for change in (
        {"since": datetime(2026, 1, 1)},
        {"checked_at": datetime(2026, 1, 1)},
        {"uses": same},
        {"ever": same},
    ):
        with pytest.raises(ValueError, match="report on control numbers"):
            UseReport(**complete | change)


@pytest.mark.parametrize("problem", [None, "Row 2."])
def test_what_was_used_ever_stands_beside_it(problem):
    report = replace(NOTHING, ever=(USE,), problem=problem)
    assert report.ever_of("FABRIKAM X12 send ", "interchange") == USE
    assert report.ever_of("Litware", "group") == (None if problem else ControlNumberUse("Litware", "group"))
    assert report.use_of(USE.agreement, "interchange") == (
        None if problem else ControlNumberUse(USE.agreement, "interchange")
    )
    assert NOTHING.ever_of(USE.agreement, "interchange") is None, "it was not asked"


USES = st.builds(
    lambda agreement, kind, numbers, last_used: ControlNumberUse(
        agreement,
        kind,
        max(numbers, default=None),
        numbers[-1] if numbers else None,
        len(numbers),
        last_used if numbers else None,
    ),
    st.text(min_size=1).map(str.strip).filter(bool),
    st.sampled_from(KINDS),
    st.lists(st.integers(0)),
    st.none() | st.datetimes(timezones=st.just(UTC)),
)


@given(USES)
def test_use_survives_json(original):
    assert from_plain(ControlNumberUse, json.loads(json.dumps(original.to_dict()))) == original


def test_a_report_survives_json():
    original = UseReport(
        uses=(USE,), ever=(USE,), source="s", query="query 1f2e3d4c", problem="Row 2.", since=SINCE, checked_at=NOW
    )
    assert from_plain(UseReport, json.loads(json.dumps(to_plain(original)))) == original


@pytest.mark.parametrize("values", [{}, [], None, USE.to_dict() | {"kind": "x"}, USE.to_dict() | {"last_used": 5}])
def test_what_is_no_use_is_refused(values):
    with pytest.raises(ValueError, match=r"is missing|not a kind of control number|last_used is of the wrong type"):
        from_plain(ControlNumberUse, values)
