"""May it be backed up: every rule on both sides."""

from __future__ import annotations

import pytest
from biztalk_services.drivers.biztalk.backup_rules import backup_checks
from biztalk_services.drivers.biztalk.editions import has_backups
from biztalk_services.drivers.biztalk.states import biztalk_service
from biztalk_services.model.checks import RefusedError, refuse_if_broken
from biztalk_services.model.service import Service, ServiceRef

from tests.biztalk.test_states import FAILED, TRANSITIONAL

NAME = "orders-20260101-020000"
RULES = ["edition-has-backups", "state-allows-backup", "backup-name"]


def service(state: str = "Active", edition: str | None = "premium") -> Service:
    return biztalk_service(ServiceRef("contoso-west", "orders"), state, edition, raw_state=f"Started/{state}")


def broken(service: Service, name: str = NAME) -> list[str]:
    return [check.rule for check in backup_checks(service, name) if not check.passed]


@pytest.mark.parametrize("edition", ["basic", "standard", "premium"])
@pytest.mark.parametrize("state", ["Active", "Suspended", "Stopped"])
def test_what_may_be_backed_up(edition, state):
    checks = backup_checks(service(state, edition), NAME)
    assert [check.rule for check in checks] == RULES
    assert all(check.passed and check.source and check.message.endswith(".") for check in checks)


@pytest.mark.parametrize("edition", ["free", "developer", "enterprise", "", None])
def test_editions_without_backups(edition):
    assert broken(service(edition=edition)) == ["edition-has-backups"]
    assert not has_backups(edition)


@pytest.mark.parametrize(
    ("edition", "known"), [("free", False), ("Developer ", False), ("enterprise", None), ("", None), (None, None)]
)
def test_an_unknown_edition_is_not_one_without_backups(edition, known):
    assert has_backups(edition) is known
    (check,) = [each for each in backup_checks(service(edition=edition), NAME) if not each.passed]
    expected = "unknown" if known is None else "has no backup; only basic, standard and premium have backups"
    assert expected in check.message


def test_editions_are_compared_without_case():
    assert has_backups("Premium")
    assert has_backups(" BASIC ")


@pytest.mark.parametrize("state", ["Disabled", *FAILED, *TRANSITIONAL, "Pondering", "Started", ""])
def test_states_without_backups(state):
    assert broken(service(state)) == ["state-allows-backup"]
    message = backup_checks(service(state), NAME)[1].message
    assert state in message
    assert "Active, Suspended, Stopped" in message


def test_a_transitional_state_is_named_as_one():
    message = backup_checks(service("Updating"), NAME)[1].message
    assert "another operation is under way" in message
    assert "Started/Updating" in message


@pytest.mark.parametrize(
    ("state", "why"),
    [("StartFailed", "an operation failed"), ("Pondering", "no document has this state"), ("Disabled", "this state")],
)
def test_why_a_state_has_no_backup(state, why):
    assert why in backup_checks(service(state), NAME)[1].message


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 64, "Orders", "a--b", "-ab", "ab-", "a_b", "a.b", "a b", "äbc", "abc\n", "٣٣٣"]
)
def test_names_that_no_container_can_have(name):
    assert broken(service(), name) == ["backup-name"]


def test_all_broken_rules_come_at_once():
    checks = backup_checks(service("Creating", "developer"), "X")
    assert broken(service("Creating", "developer"), "X") == RULES
    with pytest.raises(RefusedError) as caught:
        refuse_if_broken(checks, "the backup of service contoso-west/orders")
    text = str(caught.value)
    assert "the backup of service contoso-west/orders" in text
    for check in checks:
        assert check.message in text
        assert check.rule in text
        assert check.source in text
    assert caught.value.advice == "stop"
    assert caught.value.broken == tuple(checks)
