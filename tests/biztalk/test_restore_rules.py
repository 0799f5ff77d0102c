"""May a backup be restored as this BizTalk service: every rule on both sides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from biztalk_services.drivers.biztalk.connection_strings import tracking_database
from biztalk_services.drivers.biztalk.editions import ORDER, QUOTAS, is_lower
from biztalk_services.drivers.biztalk.restore_rules import EDITIONS, RESTORE, SEED, Intention, restore_checks
from biztalk_services.drivers.biztalk.states import biztalk_service
from biztalk_services.model.checks import Check
from biztalk_services.model.service import Service, ServiceRef

WANTED = Intention(
    backup_edition="standard",
    backup_version="1.1.0",
    agreements=12,
    name="orders-new",
    edition="standard",
    unit_count=1,
    tracking_database="sql.example/tracking",
    archiving=False,
)
RULES = (
    "edition-has-restore",
    "edition-not-lower",
    "content-within-quota",
    "same-version",
    "target-name",
    "tracking-database-own",
)


def service(name: str = "orders-new", state: str = "Active", **changes: Any) -> Service:
    complete: dict[str, Any] = {"edition": "standard", "version": "1.1.0"}
    return biztalk_service(ServiceRef("contoso-west", name), state, **complete | changes)


def user_of(database: str) -> Service:
    return service("billing", settings={"TrackingStoreConnectionString": database})


def checked(existing: Service | None = None, *others: Service, **wanted: Any) -> dict[str, Check]:
    checks = restore_checks(replace(WANTED, **wanted), existing, others)
    assert len({check.rule for check in checks}) == len(checks), "a rule has two verdicts"
    return {check.rule: check for check in checks}


def broken(*arguments: Any, **wanted: Any) -> list[str]:
    return [rule for rule, check in checked(*arguments, **wanted).items() if not check.passed]


def test_every_rule_that_passes_is_listed():
    checks = checked()
    assert tuple(checks) == RULES
    assert all(check.passed for check in checks.values())
    assert all(check.message.endswith(".") and check.source for check in checks.values())


@pytest.mark.parametrize(
    ("rule", "source", "changes", "message"),
    [
        ("edition-has-restore", f"{SEED}; {RESTORE}", {"backup_edition": "developer"}, "The developer edition has no"),
        ("edition-has-restore", f"{SEED}; {RESTORE}", {"backup_edition": "free"}, "The free edition has no"),
        ("edition-has-restore", f"{SEED}; {RESTORE}", {"edition": "developer"}, "basic, standard, premium"),
        ("edition-has-restore", f"{SEED}; {RESTORE}", {"edition": "enterprise"}, "enterprise"),
        ("edition-not-lower", f"{SEED}; {RESTORE}", {"edition": "basic"}, "which is lower"),
        ("units-within-quota", EDITIONS, {"unit_count": 5}, "it has 1 to 4"),
        ("units-within-quota", EDITIONS, {"unit_count": -1}, "it has 1 to 4"),
        ("content-within-quota", EDITIONS, {"agreements": 251}, "hold 250 agreements, and the backup has 251"),
        ("same-version", SEED, {"backup_version": None}, "does not record its product version"),
        ("same-version", SEED, {"backup_version": ""}, "does not record its product version"),
        ("target-name", RESTORE, {"name": "ab"}, "'ab' is not a valid name"),
        ("tracking-database-own", "provisioning", {"tracking_database": None}, "name a connection"),
        ("archiving-in-edition", EDITIONS, {"archiving": True}, "does not archive"),
    ],
)
def test_a_broken_rule(rule, source, changes, message):
    checks = checked(**changes)
    assert broken(**changes) == [rule]
    assert checks[rule].source.startswith(source)
    assert message in checks[rule].message


@pytest.mark.parametrize("backup", ORDER)
@pytest.mark.parametrize("target", ORDER)
def test_editions_have_an_order(backup, target):
    lower = ORDER.index(target) < ORDER.index(backup)
    assert is_lower(target, backup) == lower
    assert broken(backup_edition=backup, edition=target) == (["edition-not-lower"] if lower else [])


@pytest.mark.parametrize("edition", ORDER)
def test_quotas(edition):
    quota = QUOTAS[edition]
    edge = {"backup_edition": "basic", "edition": edition, "unit_count": quota.units}
    assert broken(**edge, agreements=quota.agreements * quota.units) == []
    assert broken(**edge, agreements=quota.agreements * quota.units + 1) == ["content-within-quota"]
    assert broken(**edge | {"unit_count": quota.units + 1}) == ["units-within-quota"]
    assert broken(**edge, archiving=True) == ([] if quota.archiving else ["archiving-in-edition"])


@pytest.mark.parametrize("unknown", [{"unit_count": None}, {"agreements": None}])
def test_what_is_not_known_does_not_pass_as_fitting(unknown):
    assert "content-within-quota" not in checked(**unknown)


@pytest.mark.parametrize("name", ["orders", "Orders-2", "a" * 20, "123456"])
def test_possible_names(name):
    assert broken(name=name) == []


@pytest.mark.parametrize(
    "name", ["", "order", "a" * 21, "-orders", "orders-", "or_ders", "or.ders", "or ders", "ordérs", "orders\n"]
)
def test_impossible_names(name):
    assert broken(name=name) == ["target-name"]


def test_an_existing_service_of_another_version():
    check = checked(service(version="1.2.0"))["same-version"]
    assert not check.passed
    assert check.source == SEED
    assert "Choose a backup of version 1.2.0." in check.message
    assert broken(service(version=None)) == []
    assert broken(None, service("billing", version="1.2.0")) == []


# --- the tracking database -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "database",
    [
        "Data Source=sql.example;Initial Catalog=Tracking",
        "server=SQL.EXAMPLE ; database=tracking",
        "Data Source=tcp:sql.example,1433;Initial Catalog=Tracking",
        "Data Source=tcp: sql.example, 1433;Initial Catalog=Tracking",
    ],
)
def test_the_tracking_database_of_another_service(database):
    user = user_of(database)
    assert tracking_database(user.settings) == "sql.example/tracking"
    assert broken(None, user) == ["tracking-database-own"]
    assert "serves contoso-west/billing already" in checked(None, user)["tracking-database-own"].message


@pytest.mark.parametrize(
    "database",
    [
        "",
        "Data Source=sql.example",
        "Initial Catalog=Tracking",
        "Data Source=sql.example,1434;Initial Catalog=Tracking",
        "Data Source=sql2.example;Initial Catalog=Tracking",
        "Data Source=sql.example;Initial Catalog=Tracking2",
    ],
)
def test_another_tracking_database(database):
    assert broken(None, user_of(database)) == []


def test_the_tracking_database_of_a_replaced_service():
    """It gets free."""
    existing = service(settings=user_of("Data Source=sql.example;Initial Catalog=Tracking").settings)
    assert broken(existing) == []


def test_settings_without_tracking_database():
    assert tracking_database({}) is None


# --- all together ----------------------------------------------------------------------------------------------------


def test_all_broken_rules_come_at_once():
    existing = service("x", "Updating", version="1.2.0")
    user = user_of("Data Source=sql.example;Initial Catalog=Tracking")
    wanted = {"backup_edition": "premium", "edition": "basic", "agreements": 26, "name": "x"}
    checks = checked(existing, user, **wanted, archiving=True)
    assert [rule for rule, check in checks.items() if not check.passed] == [
        "edition-not-lower",
        "content-within-quota",
        "same-version",
        "target-name",
        "tracking-database-own",
        "archiving-in-edition",
    ]
    assert all(check.source for check in checks.values())
