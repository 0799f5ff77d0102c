"""May a backup be restored as this service: every rule on both sides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from biztalk_services.drivers.biztalk.connection_strings import tracking_database
from biztalk_services.drivers.biztalk.editions import ORDER, QUOTAS, is_lower
from biztalk_services.drivers.biztalk.restore_rules import (
    CHART,
    EDITIONS,
    PROJECT,
    RESTORE,
    SEED,
    Intention,
    may_be_backed_up_first,
    verdicts,
)
from biztalk_services.model.checks import Verdict
from biztalk_services.model.service import Service, ServiceRef

WANTED = Intention(
    backup_subscription="5F3C",
    backup_edition="standard",
    backup_version="1.1.0",
    agreements=12,
    subscription="5f3c",
    cloud_service="contoso-west",
    name="orders-new",
    edition="standard",
    unit_count=1,
    tracking_database="sql.example/tracking",
    archiving=False,
    replace=False,
    without_safety_backup=False,
)
RULES = (
    "same-subscription",
    "edition-has-restore",
    "edition-not-lower",
    "content-within-quota",
    "same-version",
    "target-name",
    "name-free",
    "tracking-database-own",
)


def service(name: str = "orders-new", state: str = "Active", cloud_service: str = "contoso-west", **changes: Any):
    complete = Service(ServiceRef(cloud_service, name), state, edition="standard", version="1.1.0")
    return replace(complete, **changes)


def user_of(database: str) -> Service:
    return service("billing", settings={"TrackingStoreConnectionString": database})


def judged(living: Service | None = None, *others: Service, **wanted: Any) -> dict[str, Verdict]:
    found = verdicts(replace(WANTED, **wanted), living, others)
    assert len({verdict.rule for verdict in found}) == len(found), "a rule answers twice"
    return {verdict.rule: verdict for verdict in found}


def broken(*arguments: Any, **wanted: Any) -> list[str]:
    return [rule for rule, verdict in judged(*arguments, **wanted).items() if not verdict.kept]


def test_when_all_is_well_every_rule_says_so():
    found = judged()
    assert tuple(found) == RULES
    assert all(verdict.kept for verdict in found.values())
    assert all(verdict.sentence.endswith(".") and verdict.source for verdict in found.values())


@pytest.mark.parametrize(
    ("rule", "source", "changes", "told"),
    [
        ("same-subscription", PROJECT, {"subscription": "other"}, "the connection leads to other"),
        ("edition-has-restore", f"{SEED}; {RESTORE}", {"backup_edition": "developer"}, "The developer edition has no"),
        ("edition-has-restore", f"{SEED}; {RESTORE}", {"backup_edition": "free"}, "The free edition has no"),
        ("edition-has-restore", f"{SEED}; {RESTORE}", {"edition": "developer"}, "basic, standard, premium"),
        ("edition-has-restore", f"{SEED}; {RESTORE}", {"edition": "enterprise"}, "enterprise"),
        ("edition-not-lower", f"{SEED}; {RESTORE}", {"edition": "basic"}, "which is lower"),
        ("units-within-quota", EDITIONS, {"unit_count": 5}, "it has 1 to 4"),
        ("units-within-quota", EDITIONS, {"unit_count": -1}, "it has 1 to 4"),
        ("content-within-quota", EDITIONS, {"agreements": 251}, "hold 250 agreements, and the backup has 251"),
        ("same-version", SEED, {"backup_version": None}, "does not say its product version"),
        ("same-version", SEED, {"backup_version": ""}, "does not say its product version"),
        ("target-name", RESTORE, {"name": "ab"}, "'ab' cannot be the name"),
        ("tracking-database-own", "provisioning", {"tracking_database": None}, "name a connection"),
        ("archiving-in-edition", EDITIONS, {"archiving": True}, "does not archive"),
    ],
)
def test_a_broken_rule(rule, source, changes, told):
    found = judged(**changes)
    assert broken(**changes) == [rule]
    assert found[rule].source.startswith(source)
    assert told in found[rule].sentence


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
def test_what_is_not_known_is_not_called_fitting(unknown):
    assert "content-within-quota" not in judged(**unknown)


@pytest.mark.parametrize("name", ["orders", "Orders-2", "a" * 20, "123456"])
def test_possible_names(name):
    assert broken(name=name) == []


@pytest.mark.parametrize(
    "name", ["", "order", "a" * 21, "-orders", "orders-", "or_ders", "or.ders", "or ders", "ordérs", "orders\n"]
)
def test_impossible_names(name):
    assert broken(name=name) == ["target-name"]


# --- a living service of the name ------------------------------------------------------------------------------------


def test_a_living_service_is_left_alone_without_consent():
    found = judged(service())
    assert broken(service()) == ["name-free"]
    assert found["name-free"].source == SEED
    assert "contoso-west/orders-new lives (Active)" in found["name-free"].sentence
    assert not {"living-may-be-deleted", "way-back"} & set(found)


def test_a_living_service_is_replaced_with_consent():
    found = judged(service(), replace=True)
    assert broken(service(), replace=True) == []
    assert found["living-may-be-deleted"].source == CHART
    assert "read back before it is deleted" in found["way-back"].sentence


def test_consent_without_a_living_service_asks_nothing_more():
    assert tuple(judged(replace=True)) == RULES


def test_a_name_in_another_cloud_service_stays_taken():
    assert "name-free" in broken(service(cloud_service="contoso-east"), replace=True)
    assert broken(service(cloud_service="CONTOSO-WEST"), replace=True) == []


@pytest.mark.parametrize("state", ["Suspending", "Restoring", "Creating"])
def test_a_living_service_on_its_way(state):
    found = judged(service(state=state), replace=True)
    assert broken(service(state=state), replace=True) == ["living-may-be-deleted", "way-back"]
    assert "another operation is under way" in found["living-may-be-deleted"].sentence


def test_a_living_service_in_a_state_that_nobody_knows():
    assert broken(service(state="Pondering"), replace=True) == ["living-may-be-deleted", "way-back"]
    found = judged(service(state="Pondering"), replace=True)
    assert "a state that no document has" in found["living-may-be-deleted"].sentence


@pytest.mark.parametrize(
    "changes", [{"state": "RestoreFailed"}, {"state": "Disabled"}, {"edition": "developer"}, {"edition": None}]
)
def test_a_living_service_that_cannot_be_backed_up(changes):
    living = service(**changes)
    assert not may_be_backed_up_first(living)
    assert broken(living, replace=True) == ["way-back"]
    assert "without a backup" in judged(living, replace=True)["way-back"].sentence
    assert broken(living, replace=True, without_safety_backup=True) == []
    assert "delete it all the same" in judged(living, replace=True, without_safety_backup=True)["way-back"].sentence


@pytest.mark.parametrize("state", ["Active", "Suspended", "Stopped"])
def test_what_can_be_backed_up_first(state):
    assert may_be_backed_up_first(service(state=state))


def test_a_living_service_of_another_version():
    found = judged(service(version="1.2.0"), replace=True)["same-version"]
    assert not found.kept
    assert found.source == SEED
    assert "Choose a backup of version 1.2.0." in found.sentence
    assert broken(service(version=None), replace=True) == []
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
    assert "serves contoso-west/billing already" in judged(None, user)["tracking-database-own"].sentence


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


def test_the_tracking_database_of_the_service_that_is_replaced_gets_free():
    living = service(settings=user_of("Data Source=sql.example;Initial Catalog=Tracking").settings)
    assert broken(living, replace=True) == []


def test_settings_without_tracking_database():
    assert tracking_database({}) is None


# --- all together ----------------------------------------------------------------------------------------------------


def test_all_violations_come_at_once():
    living = service("x", "Updating", version="1.2.0")
    user = user_of("Data Source=sql.example;Initial Catalog=Tracking")
    wanted = {"subscription": "other", "backup_edition": "premium", "edition": "basic", "agreements": 26, "name": "x"}
    found = judged(living, user, **wanted, archiving=True, replace=True)
    assert [rule for rule, verdict in found.items() if not verdict.kept] == [
        "same-subscription",
        "edition-not-lower",
        "content-within-quota",
        "same-version",
        "target-name",
        "living-may-be-deleted",
        "way-back",
        "tracking-database-own",
        "archiving-in-edition",
    ]
    assert all(verdict.source for verdict in found.values())
