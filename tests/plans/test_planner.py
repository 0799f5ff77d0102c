"""Plans in a world of plain Python: every rule of a restore, its values, losses, steps and control numbers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from biztalk_services.drivers.biztalk.entities import inventory_of
from biztalk_services.drivers.biztalk.values import GivenValue, MissingValue, StoredValue
from biztalk_services.flows.plan_restore import make_plan, sent
from biztalk_services.model.backup import Drain, Run
from biztalk_services.model.control_numbers import ControlNumberUse
from biztalk_services.model.drain import ActiveBatch, DrainStatus
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.plan import RestorePlan
from biztalk_services.model.records import Lock
from biztalk_services.model.requests import RestoreRequest
from biztalk_services.model.service import ServiceRef

from tests.catalog.samples import NOW, reference
from tests.plans.samples import DATABASE, OTHER_DATABASE, TRACKING, World, given, trouble, used
from tests.rules.inventories import SENDING, entities, inventory, service

NEW = {"target_name": "orders-two"}
REPLACE = {"existing_service_policy": "replace"}
RESTORE = "Restore backups/orders-20260101-020000 as contoso-west/{} (premium); it arrives Suspended."
COMPARE = "Compare what it holds with what was recorded at the backup."
RAISE = "Raise the control numbers beyond those used since the backup."
STAY = "Leave it Suspended."
DELETE = "Delete contoso-west/orders, and wait until its name is free."


def made(world: World | None = None, backup: dict[str, Any] | None = None, **form: Any) -> RestorePlan:
    request = RestoreRequest(service="orders", **form)
    return make_plan(request, reference(**backup or {}), world or World())


def objected(plan: RestorePlan) -> list[str]:
    return [objection.partition("]")[0][1:] for objection in plan.objections]


def verdict(plan: RestorePlan, rule: str) -> Any:
    (found,) = [each for each in plan.rules if each.rule == rule]
    return found


def living(name: str = "orders", **changes: Any) -> Any:
    return service(address=ServiceRef("contoso-west", name), state="Active", **changes)


def interchange(highest: int, count: int = 20, agreement: str = SENDING) -> ControlNumberUse:
    return ControlNumberUse(agreement, "interchange", highest, highest, count, NOW)


# --- what it is about ------------------------------------------------------------------------------------------------


def test_a_plan_to_which_nothing_is_to_be_said():
    plan = made()
    assert plan.objections == ()
    assert plan.backup == {
        "place": "backups/orders-20260101-020000",
        "service": "orders",
        "cloud_service": "contoso-west",
        "edition": "premium",
        "product_version": "1.1.0",
        "finished_at": "2026-01-01T02:05:00+00:00",
        "items": 12,
        "drained": True,
    }
    assert plan.target == {"service": "contoso-west/orders", "edition": "premium", "unit_count": 2}
    assert plan.living is None
    assert plan.choices == {
        "control_numbers": "raise",
        "margin": 100,
        "resume_afterwards": False,
        "replace": False,
        "safety_backup": False,
    }
    assert plan.made_at.tzinfo is UTC
    assert all(rule.source and rule.sentence for rule in plan.rules)


def test_the_form_wins_over_the_backup():
    form = {"target_scope": "contoso-east", "unit_count": 4, "edition": "Premium"}
    plan = made(**NEW, **form, backup={"edition": "standard"})
    assert plan.target == {"service": "contoso-east/orders-two", "edition": "premium", "unit_count": 4}


def test_the_time_of_the_backup_is_told_in_utc():
    zoned = NOW.astimezone(timezone(timedelta(hours=2)))
    assert made(backup={"finished_at": zoned}).backup["finished_at"] == "2026-01-01T02:00:00+00:00"


def test_two_plans_of_the_same_world_are_the_same_plan():
    first, second = made(), made()
    assert first.hash == second.hash
    assert second.changes_since(first) == ()


def test_what_happens_by_itself_meanwhile_makes_no_other_plan():
    world = World([living()])
    first = made(world, **REPLACE)
    world.use = used(interchange(1020))
    world.durations = [100.0]
    world.waiting = DrainStatus(answer="active", batches=(ActiveBatch("a", "b", 3),), source="s", checked_at=NOW)
    assert made(world, **REPLACE).hash == first.hash


def test_what_somebody_did_meanwhile_makes_another_plan():
    world = World([living(etag="1")])
    first = made(world, **REPLACE)
    world.living = [living(etag="2", unit_count=3)]
    world.now = inventory(counts={}, items=inventory().items[1:])
    changes = made(world, **REPLACE).changes_since(first)
    assert changes[0].startswith("differences, new: ")
    assert changes[-1] == "living.etag: 1 -> 2"


# --- rules -----------------------------------------------------------------------------------------------------------

TAKEN = living("billing", settings={TRACKING: "Data Source=sql.example,1433;Database=TRACKING"})


@pytest.mark.parametrize(
    ("rule", "world", "backup", "form"),
    [
        ("edition-not-lower", World(), {}, {"edition": "basic", "unit_count": 1}),
        ("same-version", World([living(version="1.2.0")]), {}, REPLACE),
        ("same-version", World(), {"product_version": None}, {}),
        ("edition-has-restore", World(), {"edition": "developer"}, {}),
        ("edition-has-restore", World(), {"edition": "Free"}, {"edition": "basic"}),
        ("name-free", World([living()]), {}, {}),
        ("name-free", World([living("ORDERS")]), {}, {}),
        ("way-back", World([living(edition="developer")]), {}, REPLACE),
        ("same-subscription", World(subscription_id="other"), {}, {}),
        ("target-name", World(), {}, {"target_name": "no"}),
        ("content-within-quota", World(), {"edition": "basic", "items": {"agreements": 26}}, {"unit_count": 1}),
        ("units-within-quota", World(), {}, {"unit_count": 9}),
        ("tracking-database-own", World([TAKEN]), {}, {}),
        ("tracking-database-own", World(found=[StoredValue(TRACKING, "", "")]), {}, {}),
        ("tracking-database-own", World(found=[]), {}, {}),
        ("backup-whole", World(whole=trouble("a.json is missing.")), {}, {}),
        ("one-job", World(other_job=Lock("orders", Run("nightly", "r1"), "backup", NOW)), {}, {}),
    ],
)
def test_a_broken_rule(rule, world, backup, form):
    plan = made(world, backup, **form)
    assert objected(plan) == [rule]
    assert verdict(plan, rule).source in plan.objections[0]


def test_archiving_in_an_edition_without():
    archive = StoredValue("ArchiveStoreConnectionString", "AccountName=archive", "biztalk_store_archive")
    world = World(found=[given(), archive])
    assert objected(made(world, {"edition": "standard"})) == ["archiving-in-edition"]
    assert objected(made(world)) == []


def test_the_database_of_the_original_serves_no_copy():
    world = World([living(settings={TRACKING: DATABASE})])
    assert objected(made(world, **NEW)) == ["tracking-database-own"]
    world.found = [given(shown=OTHER_DATABASE)]
    assert objected(made(world, **NEW)) == []


def test_all_objections_come_at_once():
    world = World(
        [living(version="1.2.0", edition="developer"), TAKEN],
        whole=trouble("a.json is missing."),
        found=[given(), MissingValue("AccessControlNamespace", "connection x", "There is no connection x.")],
        other_job=Lock("orders", Run("nightly", "r1"), "backup", NOW),
        use=used(trouble="It does not answer"),
        subscription_id="other",
    )
    assert objected(made(world, edition="basic", **REPLACE)) == [
        "backup-whole",
        "same-subscription",
        "edition-not-lower",
        "same-version",
        "way-back",
        "tracking-database-own",
        "one-job",
        "control-numbers-settled",
        "value-works",
    ]


def test_what_was_read_back_and_who_works_are_told():
    world = World(other_job=Lock("orders", Run("nightly", "r1"), "backup", NOW))
    plan = made(world, **NEW)
    assert verdict(plan, "backup-whole").sentence == world.whole
    assert "Run r1 of nightly works on service orders-two (backup)" in verdict(plan, "one-job").sentence
    assert world.asked["claim"] == "orders-two"
    assert verdict(made(), "one-job").kept


# --- values ----------------------------------------------------------------------------------------------------------


def test_values_as_they_come():
    def check() -> str:
        raise trouble("Login failed.")

    world = World(
        found=[
            given(),
            given("MonitoringStoreConnectionString", "AccountName=m", check),
            MissingValue("AccessControlNamespace", "connection x", "There is no connection x."),
            StoredValue("ServiceCertificate", "certificate of the backup", ""),
        ]
    )
    plan = made(world)
    assert [(value.setting, value.check) for value in plan.values] == [
        (TRACKING, "passed"),
        ("MonitoringStoreConnectionString", "failed"),
        ("AccessControlNamespace", "failed"),
        ("ServiceCertificate", "not possible"),
    ]
    assert objected(plan) == ["value-works", "value-works"]
    assert "canary" not in f"{plan!r} {plan.to_dict()}"
    request, stored, target = world.asked["values"]
    assert (request.service, stored, target) == ("orders", dict(inventory().settings), "orders")


def test_each_value_is_checked_once():
    asked = []
    made(World(found=[given(check=lambda: asked.append(1) or "It answers.")]))
    assert asked == [1]


def test_what_is_sent():
    world = World()
    values = sent(made(world), world.found)
    assert (values.edition, values.unit_count, values.service_version) == ("premium", 2, "1.1.0")
    assert values.tracking_store.startswith(DATABASE)
    assert values.certificate is None


def test_what_cannot_be_sent_is_found_before_anything_is_deleted():
    empty = GivenValue("ServiceCertificate", "x.pfx", "connection c", {"certificate_password": ""}, lambda: "Fine.")
    assert objected(made(World(found=[given(), empty]))) == ["value-works"]


# --- nobody recorded what the backup holds ---------------------------------------------------------------------------


def test_without_inventory():
    world = World([living()], recorded=None)
    plan = made(world, **REPLACE)
    assert plan.objections == ()
    assert plan.target["unit_count"] is None
    assert world.asked["values"][1] == {}
    assert any("the run will end red" in loss for loss in plan.losses)
    assert "cannot be compared with the living service" in plan.differences[0]
    assert plan.control_numbers == ()


@pytest.mark.parametrize("units", ["", "two", "-1", "²"])
def test_units_that_were_not_recorded_as_a_number(units):
    assert made(World(recorded=inventory(settings={"UnitCount": units}))).target["unit_count"] is None


def test_a_part_that_was_not_recorded():
    blind = inventory_of(service(), None, taken_at=NOW, trouble="The token was refused.")
    plan = made(World(recorded=blind), control_numbers="report")
    assert any("partner management was not recorded" in loss and "The token" in loss for loss in plan.losses)


# --- losses and differences ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "told"),
    [
        (timedelta(minutes=5), "5 min old"),
        (timedelta(hours=3, minutes=7), "3 h 7 min old"),
        (timedelta(hours=47, minutes=59, seconds=30), "47 h 59 min old"),
        (timedelta(days=3), "3 days old"),
    ],
)
def test_the_age_of_the_backup(age, told):
    assert f"The backup is {told}" in made(backup={"finished_at": datetime.now(UTC) - age}).losses[0]


def test_what_is_never_in_a_backup_is_lost():
    told = "\n".join(made().losses)
    for each in reference().not_included:
        assert each.sentence in told
    assert "It is not certain that no batch" not in told
    assert "another address" not in told
    assert "It is not certain that no batch" in "\n".join(made(backup={"drain": Drain()}).losses)
    assert "another address" in "\n".join(made(**NEW).losses)
    assert "partners reject" in "\n".join(made(control_numbers="exact").losses)


def test_messages_sent_since_are_told():
    world = World(use=used(interchange(1020)))
    assert any("20 control numbers were used by 1 agreement" in loss for loss in made(world).losses)
    world.use = used(trouble="It does not answer")
    assert any("Nobody can say which control numbers" in loss for loss in made(world, control_numbers="report").losses)


def test_batches_of_the_service_that_is_replaced():
    world = World([living()])
    world.waiting = DrainStatus(answer="active", batches=(ActiveBatch("a", "b", 3),), source="s", checked_at=NOW)
    assert any("1 batch held 3 messages" in loss for loss in made(world, **REPLACE).losses)
    world.waiting = trouble("The database does not answer.")
    assert "The database does not answer." in made(world, **REPLACE).losses
    world.asked.clear()
    made(world)
    assert "batches" not in world.asked


def test_the_living_service_is_compared():
    world = World([living()], now=inventory(counts={}, items=inventory().items[1:]))
    assert len(made(world, **REPLACE).differences) == 1
    assert made(World()).differences == ()
    original = World([living()], now=inventory(counts={}, items=()))
    assert len(made(original, **NEW).differences) == len(inventory().items)
    assert original.asked["inventory_now"] == "contoso-west/orders"
    original.now = trouble("The token was refused.")
    assert made(original, **NEW).differences == (
        "The living service contoso-west/orders cannot be compared with the backup: The token was refused.",
    )


def test_a_thousand_differences_are_not_all_told():
    settings = {f"Setting{number}": "x" for number in range(250)}
    now = inventory(counts={}, settings=dict(inventory().settings) | settings)
    plan = made(World([living()], now=now), **REPLACE)
    assert len(plan.differences) == 201
    assert plan.differences[-1] == "and 50 more"


# --- steps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("services", [[], [living()]])
def test_steps_to_a_new_name(services):
    plan = made(World(services, found=[given(shown=OTHER_DATABASE)]), **NEW, **REPLACE)
    assert plan.steps == (RESTORE.format("orders-two"), COMPARE, RAISE, STAY)
    assert plan.living is None
    assert not plan.choices["replace"]


def test_steps_with_a_safety_backup():
    plan = made(World([living(etag="e")]), **REPLACE, resume_afterwards=True)
    assert plan.objections == ()
    assert (plan.choices["replace"], plan.choices["safety_backup"]) == (True, True)
    assert plan.living == {"state": "Active", "etag": "e"}
    assert "batch of contoso-west/orders holds messages, suspend it, back it up" in plan.steps[0]
    end = "Resume it, and wait until it is Active."
    assert plan.steps[1:] == (DELETE, RESTORE.format("orders"), COMPARE, RAISE, end)


def test_steps_without_safety_backup():
    plan = made(World([replace(living(), state="RestoreFailed")]), **REPLACE, without_safety_backup=True)
    assert plan.objections == ()
    assert (plan.choices["replace"], plan.choices["safety_backup"]) == (True, False)
    assert plan.steps[0] == DELETE


def test_a_safety_backup_is_made_where_it_can_be_made():
    assert made(World([living()]), **REPLACE, without_safety_backup=True).choices["safety_backup"]


def test_nothing_is_deleted_without_consent():
    plan = made(World([living()]))
    assert not any("Delete" in step for step in plan.steps)


@pytest.mark.parametrize(("policy", "told"), [("report", "List the control"), ("exact", "Leave the control")])
def test_steps_of_the_other_policies(policy, told):
    assert any(step.startswith(told) for step in made(control_numbers=policy).steps)


@pytest.mark.parametrize(("durations", "expected"), [([], None), ([60.0], 60.0), ([10.0, 600.0, 20.0], 20.0)])
def test_the_expected_duration(durations, expected):
    assert made(World(durations=durations)).expected_seconds == expected


# --- control numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("policy", "following", "done"), [("raise", 1121, True), ("report", 1001, False)])
def test_control_numbers_used_since(policy, following, done):
    world = World([living()], use=used(interchange(1020)))
    plan = made(world, **REPLACE, control_numbers=policy)
    (row,) = plan.control_numbers
    assert (row["agreement"], row["kind"], row["backup"], row["highest"]) == (SENDING, "interchange", 1000, 1020)
    assert (row["next"], row["done"]) == (following, done)
    assert "given out 20" in row["sentence"]
    assert plan.objections == ()
    assert world.asked["control_numbers_since"] == ("orders", reference().started_at)


def test_the_margin_of_the_form_counts():
    assert made(World(use=used(interchange(1020))), margin=0).control_numbers[0]["next"] == 1021


def test_nothing_was_used_since():
    plan = made()
    assert plan.control_numbers == ()
    assert verdict(plan, "control-numbers-settled").kept


@pytest.mark.parametrize("services", [[], [living()], [living("orders-two")]])
def test_the_numbers_of_the_service_that_was_backed_up_count(services):
    """Whatever lives: its tracking database knows them, and the restored agreements are its own."""
    world = World(services, found=[given(shown=OTHER_DATABASE)], use=used(interchange(1020)))
    for form in ({}, NEW | REPLACE):
        assert made(world, **form).control_numbers[0]["next"] == 1121
        assert world.asked["control_numbers_since"][0] == "orders"


@pytest.mark.parametrize("recorded", [inventory(), None])
def test_numbers_that_nobody_knows(recorded):
    world = World(recorded=recorded, use=used(trouble="There is no connection biztalk_tracking_orders."))
    plan = made(world)
    assert objected(plan) == ["control-numbers-settled"]
    assert "biztalk_tracking_orders" in plan.objections[0] or recorded
    for policy in ("report", "exact"):
        plan = made(world, control_numbers=policy)
        assert plan.objections == ()
        assert "control-numbers-settled" not in {rule.rule for rule in plan.rules}


def test_numbers_that_cannot_be_left_behind():
    world = World(use=used(interchange(5, agreement="Litware")))
    plan = made(world)
    assert objected(plan) == ["control-numbers-settled"]
    assert "Litware" in plan.objections[0]
    (row,) = plan.control_numbers
    assert (row["agreement"], row["next"], row["done"]) == ("Litware", None, False)
    assert made(world, control_numbers="report").control_numbers == plan.control_numbers


def test_a_range_that_is_used_up():
    told = entities()
    told["Agreements"][0]["ProtocolSettings"] |= {
        "InterchangeControlNumberUpperBound": 1030,
        "InterchangeControlNumberRollover": False,
    }
    plan = made(World(recorded=inventory_of(service(), told, taken_at=NOW), use=used(interchange(1020))))
    assert objected(plan) == ["control-numbers-settled"]
    assert not plan.control_numbers[0]["done"]


# --- a world that does not answer ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    ["services", "inventory", "control_numbers_since", "values", "claim", "earlier_durations"],
)
def test_without_answers_there_is_no_plan(method, monkeypatch):
    world = World([living()])

    def refuse(*arguments: Any) -> Any:
        raise trouble(f"{method} does not answer.")

    monkeypatch.setattr(world, method, refuse)
    with pytest.raises(BackupServiceError, match=f"{method} does not answer"):
        made(world, **REPLACE)
