"""The rules of a restore that hold for every kind of service, on both sides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from biztalk_services.archive.errors import BackupDamagedError
from biztalk_services.drivers.biztalk.states import biztalk_service
from biztalk_services.flows.restore_checks import (
    SOURCE,
    backup_is_whole,
    can_be_backed_up,
    name_is_free,
    not_locked,
    replacement_checks,
    same_subscription,
)
from biztalk_services.model.checks import Check
from biztalk_services.model.records import Lock
from biztalk_services.model.requests import RestoreRequest
from biztalk_services.model.run import Run, RunState
from biztalk_services.model.service import Service, ServiceKey, ServiceRef

from tests.archive.samples import SUBSCRIPTION, key, reference

TARGET = ServiceRef("contoso-west", "orders-new")
OWN, OTHER = Run("biztalk_restore", "r1"), Run("biztalk_nightly_backup", "r2")


def service(state: str = "Active", scope: str = "contoso-west", **changes: Any) -> Service:
    complete: dict[str, Any] = {"edition": "standard", "version": "1.1.0"}
    return biztalk_service(ServiceRef(scope, "orders-new"), state, **complete | changes)


def request(*, replace: bool = False, without_safety_backup: bool = False) -> RestoreRequest:
    policy = "replace" if replace else "refuse"
    return RestoreRequest(service="orders", existing_service_policy=policy, without_safety_backup=without_safety_backup)


def checked(existing: Service, **choices: bool) -> dict[str, Check]:
    return {check.rule: check for check in replacement_checks(request(**choices), existing)}


def broken(existing: Service, **choices: bool) -> list[str]:
    return [rule for rule, check in checked(existing, **choices).items() if not check.passed]


# --- subscription and backup -----------------------------------------------------------------------------------------


def test_the_subscription_is_compared_without_case():
    backup = reference(subscription_id="5F3C")
    assert same_subscription(backup, "5f3c").passed
    check = same_subscription(backup, "other")
    assert (check.passed, check.rule, check.source) == (False, "same-subscription", SOURCE)
    assert "the connection leads to other" in check.message


class Backups:
    """An archive that reads backups back."""

    def __init__(self, sentence: str | BackupDamagedError) -> None:
        self.sentence = sentence

    def verify(self, backup: Any) -> str:
        if isinstance(self.sentence, Exception):
            raise self.sentence
        return self.sentence


def test_the_backup_is_read_back():
    assert backup_is_whole(Backups("All is there."), reference()) == Check(
        "backup-whole", True, "All is there.", SOURCE
    )
    damaged = BackupDamagedError("backups/orders", ["a.json is missing"])
    assert backup_is_whole(Backups(damaged), reference()) == Check("backup-whole", False, str(damaged), SOURCE)


# --- an existing service of the name ---------------------------------------------------------------------------------


@pytest.mark.parametrize("replace", [False, True])
def test_a_free_name(replace):
    check = name_is_free(request(replace=replace), TARGET, None)
    assert (check.rule, check.passed, check.message) == ("name-free", True, "There is no service orders-new now.")


def test_an_existing_service_is_left_alone_without_consent():
    check = name_is_free(request(), TARGET, service())
    assert not check.passed
    assert check.source == SOURCE
    assert "contoso-west/orders-new already exists (Active)" in check.message


def test_an_existing_service_is_replaced_with_consent():
    assert name_is_free(request(replace=True), TARGET, service()).passed
    assert broken(service(), replace=True) == []
    checks = checked(service(), replace=True)
    assert tuple(checks) == ("existing-may-be-deleted", "safety-backup")
    assert checks["existing-may-be-deleted"].source == "state chart"
    assert "read back before it is deleted" in checks["safety-backup"].message


def test_a_name_in_another_scope_stays_taken():
    check = name_is_free(request(replace=True), TARGET, service(scope="contoso-east"))
    assert (check.rule, check.passed) == ("name-free", False)
    assert "choose another name" in check.message
    assert name_is_free(request(replace=True), TARGET, service(scope="CONTOSO-WEST")).passed


@pytest.mark.parametrize("state", ["Suspending", "Restoring", "Creating"])
def test_an_existing_service_in_transition(state):
    assert broken(service(state), replace=True) == ["existing-may-be-deleted", "safety-backup"]
    message = checked(service(state), replace=True)["existing-may-be-deleted"].message
    assert "another operation is under way" in message


def test_an_existing_service_in_an_unknown_state():
    assert broken(service("Pondering"), replace=True) == ["existing-may-be-deleted", "safety-backup"]
    message = checked(service("Pondering"), replace=True)["existing-may-be-deleted"].message
    assert "a state that no document has" in message


@pytest.mark.parametrize(
    "changes", [{"state": "RestoreFailed"}, {"state": "Disabled"}, {"edition": "developer"}, {"edition": None}]
)
def test_an_existing_service_that_cannot_be_backed_up(changes):
    existing = service(**changes)
    assert not can_be_backed_up(existing)
    assert broken(existing, replace=True) == ["safety-backup"]
    assert "without a backup" in checked(existing, replace=True)["safety-backup"].message
    assert broken(existing, replace=True, without_safety_backup=True) == []
    consented = checked(existing, replace=True, without_safety_backup=True)["safety-backup"]
    assert "delete it all the same" in consented.message


@pytest.mark.parametrize("state", ["Active", "Suspended", "Stopped"])
def test_what_can_be_backed_up_first(state):
    assert can_be_backed_up(service(state))


# --- locks -----------------------------------------------------------------------------------------------------------


class Locks:
    """An archive with one lock."""

    def __init__(self, lock: Lock | None) -> None:
        self.locks = self
        self.lock = lock

    def of(self, service: ServiceKey) -> Lock | None:
        assert service == key("contoso-west/orders-new")
        return self.lock


def lock(run: Run, minutes: int = 60) -> Lock:
    return Lock("contoso-west/orders-new", SUBSCRIPTION, run, "backup", datetime.now(UTC) + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("held", "run_state", "free"),
    [
        (None, RunState.ACTIVE, True),
        (lock(OTHER), RunState.ACTIVE, False),
        (lock(OTHER), RunState.UNKNOWN, False),
        (lock(OTHER), RunState.ENDED, True),
        (lock(OTHER, minutes=-1), RunState.ACTIVE, True),
        (lock(OWN), RunState.ACTIVE, True),
    ],
)
def test_one_run_a_service(held, run_state, free):
    check = not_locked(Locks(held), key("contoso-west/orders-new"), OWN, lambda run: run_state)
    assert (check.rule, check.passed, check.source) == ("one-run", free, SOURCE)
    assert free or "locked by run r2 of biztalk_nightly_backup (backup) until" in check.message


def test_outside_of_a_run_every_lock_counts():
    assert not not_locked(Locks(lock(OWN)), key("contoso-west/orders-new"), None, lambda run: RunState.UNKNOWN).passed
