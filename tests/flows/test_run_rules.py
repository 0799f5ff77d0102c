"""What a run is asked for is what it does, and it is one of now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from biztalk_services.flows.run_rules import (
    RunFacts,
    form_checks,
    moment_check,
    start_window_checks,
    trial_check,
)
from biztalk_services.model.checks import Check

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
FIELDS = ("services", "label", "drain_deadline_minutes")
WINDOW = timedelta(hours=2)


def facts(**changes: Any) -> RunFacts:
    values = {
        "kind": "manual",
        "due": NOW,
        "logical_date": None,
        "fields": FIELDS,
        "values": {"services": None, "label": None, "drain_deadline_minutes": 30},
        "requested": {},
    }
    return RunFacts(**{**values, **changes})


def broken(checks: Any) -> dict[str, str]:
    """Rule -> message, of the broken ones."""
    checks = [checks] if isinstance(checks, Check) else checks
    return {check.rule: check.message for check in checks if not check.passed}


# --- form ------------------------------------------------------------------------------------------------------------


def test_a_form_that_reaches_the_steps():
    assert broken(form_checks(facts())) == {}
    form = {"services": ["orders"], "label": "before the move"}
    assert broken(form_checks(facts(requested=form, values=facts().values | form))) == {}


@pytest.mark.parametrize("requested", [{"service": ["orders"]}, {"Services": ["orders"]}, {"": 1}, {"services ": []}])
def test_a_field_that_the_form_does_not_have(requested):
    found = broken(form_checks(facts(requested=requested, values=facts().values | requested)))
    assert list(found) == ["form-fields"]
    assert f"no field {next(iter(requested))}; it has services, label" in found["form-fields"]


@pytest.mark.parametrize(
    ("requested", "differing"),
    [
        ({"services": ["orders"]}, "services"),
        ({"services": ["orders"], "label": "x", "drain_deadline_minutes": 30}, "label, services"),
        ({"drain_deadline_minutes": 30.5}, "drain_deadline_minutes"),
        ({"label": ""}, "label"),
    ],
)
def test_a_form_that_does_not_reach_the_steps(requested, differing):
    found = broken(form_checks(facts(requested=requested)))
    assert list(found) == ["form-agrees"]
    assert f"What the form says of {differing} does not reach" in found["form-agrees"]
    assert "dag_run_conf_overrides_params" in found["form-agrees"]


def test_a_value_that_json_changes_is_the_same():
    assert broken(form_checks(facts(requested={"services": ("a", "b")}, values={"services": ["a", "b"]}))) == {}
    assert broken(form_checks(facts(requested={"services": [], "label": "x"}, values={"services": ["a"]})))


def test_no_value_is_shown():
    canary = {"service": "canary", "label": "canary"}
    assert "canary" not in str(broken(form_checks(facts(requested=canary))))


def test_a_dag_without_a_form_may_be_started_with_anything():
    assert broken(form_checks(facts(fields=None, requested={"anything": 1}))) == {}


# --- moment ----------------------------------------------------------------------------------------------------------


def moment_of(**changes: Any) -> str | None:
    return broken(moment_check(facts(**changes), NOW, remedy="Do that.")).get("run-is-of-now")


@pytest.mark.parametrize("kind", ["manual", "operator_triggered"])
@pytest.mark.parametrize("minutes", [None, 0, -59, 59])
def test_runs_of_now(kind, minutes):
    logical_date = None if minutes is None else NOW + timedelta(minutes=minutes)
    assert moment_of(kind=kind, logical_date=logical_date) is None


def test_a_scheduled_run_has_its_start_window():
    assert moment_of(kind="scheduled", due=NOW - timedelta(days=3), logical_date=NOW - timedelta(days=3)) is None


@pytest.mark.parametrize("kind", ["backfill", "asset_triggered", "asset_materialization", "something_new", ""])
@pytest.mark.parametrize("logical_date", [None, NOW])
def test_other_types_of_runs_are_refused(kind, logical_date):
    message = moment_of(kind=kind, logical_date=logical_date)
    assert message is not None
    assert f"a run of type {kind}" in message
    assert "Do that." in message


@pytest.mark.parametrize("kind", ["manual", "operator_triggered"])
@pytest.mark.parametrize("hours", [-24 * 365, -24, -2, 2, 24 * 365])
def test_a_logical_date_in_the_past_or_the_future_is_refused(kind, hours):
    moment = NOW + timedelta(hours=hours)
    message = moment_of(kind=kind, logical_date=moment)
    assert message is not None
    assert f"The run is for {moment:%Y-%m-%d %H:%M} UTC (its logical date)" in message


@pytest.mark.parametrize(("hours", "refused"), [(-23, False), (-25, True), (-24 * 30, True), (25, True)])
def test_a_run_that_waited_too_long_in_the_queue_is_refused(hours, refused):
    due = NOW + timedelta(hours=hours)
    assert (moment_of(due=due) is not None) == refused
    assert (moment_of(due=due, logical_date=due) is not None) == refused


# --- start window ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("minutes", "refused"), [(0, False), (119, False), (121, True), (600, True)])
def test_a_scheduled_run_starts_within_its_window(minutes, refused):
    run = facts(kind="scheduled", due=NOW - timedelta(minutes=minutes))
    found = broken(start_window_checks(run, NOW, WINDOW))
    assert ("start-window" in found) == refused
    assert not refused or f"{minutes} minutes late, limit 120; option start_window_minutes" in found["start-window"]


def test_a_run_by_hand_has_no_window():
    assert broken(start_window_checks(facts(due=NOW - timedelta(hours=20)), NOW, WINDOW)) == {}


@pytest.mark.parametrize(
    ("start_before", "why"),
    [
        ("", None),
        ("2026-11-28T12:00:00Z", None),
        ("2026-11-28T13:30:00+01:00", None),
        ("2026-11-28T12:30:00+01:00", "before 2026-11-28 11:30 UTC (start_before"),
        ("2026-11-27T12:00:00Z", "before 2026-11-27 12:00 UTC"),
        ("2026-11-28T12:00:00", "is not a date and time with time zone"),
        ("2026-13-28T12:00:00Z", "is not a date and time with time zone"),
    ],
)
def test_the_form_may_limit_the_start(start_before, why):
    found = broken(start_window_checks(facts(), NOW, WINDOW, start_before))
    assert (found == {}) if why is None else why in found["start-window"]


# --- trial -----------------------------------------------------------------------------------------------------------


def test_a_trial_is_refused():
    assert broken(trial_check(False, how="Do that.")) == {}
    message = broken(trial_check(True, how="Do that."))["real-run"]
    assert "airflow dags test" in message
    assert message.endswith("Do that. Nothing was done.")
