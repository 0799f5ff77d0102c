"""May it be backed up: every rule on both sides."""

from __future__ import annotations

import pickle
import re
from datetime import datetime, timedelta, timezone

import pytest
from biztalk_services.drivers.biztalk.backup_rules import backup_violations, has_backups
from biztalk_services.drivers.biztalk.states import (
    FAILED_STATES,
    SETTLED_STATES,
    TRANSITIONAL_STATES,
    StateKind,
    is_moving,
    is_settled,
    state_kind,
    states_allowing,
)
from biztalk_services.model.backup import backup_name, is_backup_name
from biztalk_services.model.checks import Check, RefusedError, refuse_if
from biztalk_services.model.service import Service, ServiceRef
from hypothesis import given
from hypothesis import strategies as st

NAME = "orders-20260101-020000"
CONTAINER_RULE = re.compile(r"^(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*$")


def service(state: str = "Active", edition: str | None = "premium") -> Service:
    return Service(ServiceRef("contoso-west", "orders"), state, edition=edition, raw_state=f"Started/{state}")


def rules(*arguments: object, **options: object) -> list[str]:
    return [violation.rule for violation in backup_violations(*arguments, **options)]


@pytest.mark.parametrize("edition", ["basic", "standard", "premium"])
@pytest.mark.parametrize("state", ["Active", "Suspended", "Stopped"])
def test_what_may_be_backed_up(edition, state):
    assert backup_violations(service(state, edition), backup_name=NAME) == []


@pytest.mark.parametrize("edition", ["free", "developer", "enterprise", "", None])
def test_editions_without_backups(edition):
    assert rules(service(edition=edition), backup_name=NAME) == ["edition-has-backups"]
    assert not has_backups(edition)


def test_editions_are_compared_without_case():
    assert has_backups("Premium")
    assert has_backups(" BASIC ")


@pytest.mark.parametrize("state", ["Disabled", *FAILED_STATES, *TRANSITIONAL_STATES, "Pondering", "Started", ""])
def test_states_without_backups(state):
    (violation,) = backup_violations(service(state), backup_name=NAME)
    assert violation.rule == "state-allows-backup"
    assert state in violation.sentence
    assert "Active, Suspended, Stopped" in violation.sentence


def test_a_transitional_state_is_named_as_one():
    (violation,) = backup_violations(service("Updating"), backup_name=NAME)
    assert "another operation is under way" in violation.sentence
    assert "Started/Updating" in violation.sentence


def test_right_before_the_request_the_service_has_to_be_suspended():
    assert rules(service(), backup_name=NAME, states=("Suspended", "Stopped")) == ["state-allows-backup"]
    assert rules(service("Suspended"), backup_name=NAME, states=("Suspended", "Stopped")) == []


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 64, "Orders", "a--b", "-ab", "ab-", "a_b", "a.b", "a b", "äbc", "abc\n", "٣٣٣"]
)
def test_names_that_no_container_can_have(name):
    assert rules(service(), backup_name=name) == ["backup-name"]


@pytest.mark.parametrize("name", ["abc", "123", "backup-2012-21-02", "a" * 63])
def test_names_that_a_container_can_have(name):
    assert is_backup_name(name)


def test_all_violations_come_at_once():
    found = backup_violations(service("Creating", "developer"), backup_name="X")
    assert [violation.rule for violation in found] == ["edition-has-backups", "state-allows-backup", "backup-name"]
    with pytest.raises(RefusedError) as caught:
        refuse_if(found, "the backup of service contoso-west/orders")
    text = str(caught.value)
    for violation in found:
        assert violation.sentence in text
        assert violation.rule in text
        assert violation.source in text
    assert caught.value.advice == "stop"
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.violations) == (text, tuple(found))


def test_nothing_is_refused_without_a_violation():
    refuse_if([], "anything")
    with pytest.raises(ValueError, match="at least one"):
        RefusedError([])
    assert RefusedError([Check("r", "S.", "d")]).violations[0].rule == "r"


@given(st.text(max_size=80), st.datetimes(timezones=st.timezones(), max_value=datetime(9999, 12, 1)))
def test_every_backup_name_is_a_container_name(name, at):
    assert CONTAINER_RULE.match(backup_name(name, at))


def test_the_backup_name_tells_service_and_utc_time():
    at = datetime(2026, 1, 1, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    assert backup_name("Contoso_EDI.Orders", at) == "contoso-edi-orders-20260101-010405"
    with pytest.raises(ValueError, match="time zone"):
        backup_name("orders", datetime(2026, 1, 1))


CHART = """
Active                 stop restart suspend delete scale update backup
Disabled               delete
Suspended              resume delete backup
Stopped                start restart delete backup
Service Update Failed  delete
DisableFailed          delete
EnableFailed           delete
StartFailed            start stop restart delete update
StopFailed             start stop restart delete update
RestartFailed          start stop restart delete update
SuspendedFailed        suspend resume delete
ResumeFailed           suspend resume delete
CreatedFailed          delete
RestoreFailed          delete
ConfigUpdateFailed     restart delete update
ScaleFailed            delete scale
"""
OPERATIONS = ("start", "stop", "restart", "suspend", "resume", "delete", "scale", "update", "backup")


def test_the_state_chart_cell_by_cell():
    chart = {line[:23].strip(): set(line[23:].split()) for line in CHART.strip().splitlines()}
    assert set(chart) == set(SETTLED_STATES + FAILED_STATES)
    for operation in OPERATIONS:
        assert set(states_allowing(operation)) == {state for state in chart if operation in chart[state]}


def test_kinds_of_states():
    for states, kind in (
        (SETTLED_STATES, StateKind.SETTLED),
        (FAILED_STATES, StateKind.FAILED),
        (TRANSITIONAL_STATES, StateKind.TRANSITIONAL),
        (("Pondering", "", "Started"), StateKind.UNKNOWN),
    ):
        for state in states:
            assert state_kind(state) is kind
            assert is_settled(state) == (kind in (StateKind.SETTLED, StateKind.FAILED))
            assert is_moving(state) != is_settled(state)


def test_states_allowing_backup():
    assert states_allowing("backup") == ("Active", "Suspended", "Stopped")
