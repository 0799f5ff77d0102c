"""Plans in a world of plain Python: every rule of a restore, its values, losses, steps and control numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from biztalk_services.drivers.biztalk.driver import BizTalkDriver
from biztalk_services.drivers.biztalk.entities import inventory_of
from biztalk_services.drivers.biztalk.info import INFO
from biztalk_services.drivers.biztalk.numbers.partners import Partners
from biztalk_services.drivers.biztalk.numbers.plan import window_begin
from biztalk_services.drivers.biztalk.values import GivenValue, MissingValue, StoredValue
from biztalk_services.flows.plan_restore import PlanOutdatedError, RestoreRefusedError, refuse_if_blocked
from biztalk_services.model.backup import Drain
from biztalk_services.model.control_numbers import ControlNumberUse
from biztalk_services.model.drain import ActiveBatch, DrainStatus
from biztalk_services.model.errors import BackupServiceError, InvalidRequestError
from biztalk_services.model.plan import ExistingService, RestorePlan, RestoreTarget
from biztalk_services.model.records import Lock
from biztalk_services.model.requests import RestoreRequest
from biztalk_services.model.run import Run
from biztalk_services.model.service import ServiceRef

from tests.archive.samples import NOW, SUBSCRIPTION, key, reference
from tests.biztalk.inventories import SENDING, entities, inventory, service
from tests.biztalk.values import DATABASE, OTHER_DATABASE, TRACKING, database_value, problem
from tests.flows.world import RUN, FakeSources, World, used

NIGHT = Run("nightly", "r1")
NEW = {"target_name": "orders-two"}
REPLACE = {"existing_service_policy": "replace"}
RESTORE = "Restore backups/orders-20260101-020000 as contoso-west/{} (premium, scale units: 2); it arrives suspended."
COMPARE = "Compare what it holds with what was recorded at the backup."
RAISE = "Advance the control numbers beyond those used since the backup."
STAY = "Leave it suspended."
DELETE = "Delete contoso-west/orders, and wait until its name is free."


def made(world: World | None = None, backup: dict[str, Any] | None = None, **form: Any) -> RestorePlan:
    request = RestoreRequest.from_form({"service": "orders"} | form, INFO.overrides)
    return (world or World()).planner().plan(request, reference(**backup or {}))


def blocked(plan: RestorePlan) -> list[str]:
    return [issue.partition("]")[0][1:] for issue in plan.blocking_issues]


def check_of(plan: RestorePlan, rule: str) -> Any:
    (check,) = [each for each in plan.rules if each.rule == rule]
    return check


def existing(name: str = "orders", state: str = "Active", **changes: Any) -> Any:
    return service(ref=ServiceRef("contoso-west", name), state=state, **changes)


def locked(run: Run = NIGHT) -> Lock:
    return Lock("contoso-west/orders", SUBSCRIPTION, run, "backup", datetime.now(UTC) + timedelta(hours=1))


def interchange(highest: int, count: int = 20, agreement: str = SENDING) -> ControlNumberUse:
    return ControlNumberUse(agreement, "interchange", highest, highest, count, NOW)


# --- what it is about ------------------------------------------------------------------------------------------------


def test_a_plan_without_blocking_issues():
    plan = made()
    assert plan.blocking_issues == ()
    assert plan.backup == reference()
    assert (plan.backup.place, plan.backup.item_count) == ("backups/orders-20260101-020000", 12)
    assert plan.stored == inventory().settings
    settings = {"edition": "premium", "unit_count": 2}
    assert plan.target == RestoreTarget("contoso-west/orders", "premium, scale units: 2", settings)
    assert plan.existing is None
    assert plan.request == RestoreRequest(service="orders")
    assert (plan.request.control_numbers, plan.request.margin, plan.request.resume_afterwards) == ("raise", 100, False)
    assert (plan.replaces, plan.safety_backup) == (False, None)
    assert plan.made_at.tzinfo is UTC
    assert all(rule.source and rule.message for rule in plan.rules)


def test_the_form_wins_over_the_backup():
    form = {"target_scope": "contoso-east", "unit_count": 4, "edition": "Premium"}
    plan = made(**NEW, **form, backup={"edition": "standard"})
    settings = {"edition": "premium", "unit_count": 4}
    assert plan.target == RestoreTarget("contoso-east/orders-two", "premium, scale units: 4", settings)


def test_two_plans_of_the_same_world_are_the_same_plan():
    first, second = made(), made()
    assert first.hash == second.hash
    assert second.changes_since(first) == ()


def test_what_happens_by_itself_meanwhile_makes_no_other_plan():
    world = World([existing()])
    first = made(world, **REPLACE)
    world.use = used(interchange(1020))
    world.seconds = [100.0]
    world.batches = DrainStatus(answer="active", batches=(ActiveBatch("a", "b", 3),), source="s", checked_at=NOW)
    assert made(world, **REPLACE).hash == first.hash


def test_what_a_person_did_meanwhile_makes_another_plan():
    world = World([existing(etag="1")])
    first = made(world, **REPLACE)
    world.existing = [existing(etag="2", unit_count=3)]
    world.now = inventory(items=inventory().items[1:])
    changes = made(world, **REPLACE).changes_since(first)
    assert changes[0].startswith("differences, new: ")
    assert changes[-1] == "existing.etag: 1 -> 2"


# --- rules -----------------------------------------------------------------------------------------------------------

RULES = [
    "backup-whole",
    "same-subscription",
    "name-free",
    "edition-has-restore",
    "edition-not-lower",
    "content-within-quota",
    "same-version",
    "target-name",
    "tracking-database-own",
    "one-run",
    "control-numbers",
]


def test_every_rule_that_passes_is_listed():
    assert [rule.rule for rule in made().rules] == RULES


def test_rules_of_a_replacement_only_where_one_is_replaced():
    """Consent without an existing service adds no rule; an existing service without consent is left alone."""
    assert [rule.rule for rule in made(**REPLACE).rules] == RULES
    assert [rule.rule for rule in made(World([existing()])).rules] == RULES
    replaced = [rule.rule for rule in made(World([existing()]), **REPLACE).rules]
    assert replaced == [*RULES[:3], "existing-may-be-deleted", "safety-backup", *RULES[3:]]


TAKEN = existing("billing", settings={TRACKING: "Data Source=sql.example,1433;Database=TRACKING"})


@pytest.mark.parametrize(
    ("rule", "world", "backup", "form"),
    [
        ("edition-not-lower", World(), {}, {"edition": "basic", "unit_count": 1}),
        ("same-version", World([existing(version="1.2.0")]), {}, REPLACE),
        ("same-version", World(), {"product_version": None}, {}),
        ("edition-has-restore", World(), {"edition": "developer"}, {}),
        ("edition-has-restore", World(), {"edition": "Free"}, {"edition": "basic"}),
        ("name-free", World([existing()]), {}, {}),
        ("name-free", World([existing("ORDERS")]), {}, {}),
        ("safety-backup", World([existing(edition="developer")]), {}, REPLACE),
        ("same-subscription", World(subscription_id="other"), {}, {}),
        ("target-name", World(), {}, {"target_name": "no"}),
        ("content-within-quota", World(), {"edition": "basic", "items": {"agreements": 26}}, {"unit_count": 1}),
        ("units-within-quota", World(), {}, {"unit_count": 9}),
        ("tracking-database-own", World([TAKEN]), {}, {}),
        ("tracking-database-own", World(restore_values=[StoredValue(TRACKING, "", "")]), {}, {}),
        ("tracking-database-own", World(restore_values=[]), {}, {}),
        ("backup-whole", World(whole=problem("a.json is missing.")), {}, {}),
        ("one-run", World(lock=locked()), {}, {}),
    ],
)
def test_a_broken_rule(rule, world, backup, form):
    plan = made(world, backup, **form)
    assert blocked(plan) == [rule]
    assert check_of(plan, rule).source in plan.blocking_issues[0]


def test_archiving_in_an_edition_without():
    archive = StoredValue("ArchiveStoreConnectionString", "AccountName=archive", "biztalk_store_archive")
    world = World(restore_values=[database_value(), archive])
    assert blocked(made(world, {"edition": "standard"})) == ["archiving-in-edition"]
    assert blocked(made(world)) == []


def test_the_database_of_the_original_serves_no_copy():
    world = World([existing(settings={TRACKING: DATABASE})])
    assert blocked(made(world, **NEW)) == ["tracking-database-own"]
    world.restore_values = [database_value(shown=OTHER_DATABASE)]
    assert blocked(made(world, **NEW)) == []


def test_all_blocking_issues_come_at_once():
    world = World(
        [existing(version="1.2.0", edition="developer"), TAKEN],
        whole=problem("a.json is missing."),
        restore_values=[
            database_value(),
            MissingValue("AccessControlNamespace", "connection x", "There is no connection x."),
        ],
        lock=locked(),
        use=used(problem="It does not respond"),
        subscription_id="other",
    )
    assert blocked(made(world, edition="basic", **REPLACE)) == [
        "backup-whole",
        "same-subscription",
        "safety-backup",
        "edition-not-lower",
        "same-version",
        "tracking-database-own",
        "one-run",
        "control-numbers",
        "value-works",
    ]


def test_what_was_read_back_and_the_lock_are_named():
    world = World(lock=locked())
    plan = made(world, **NEW)
    assert check_of(plan, "backup-whole").message == world.whole
    message = check_of(plan, "one-run").message
    assert "Service contoso-west/orders-two is locked by run r1 of nightly (backup) until" in message
    assert world.calls["lock"] == key("contoso-west/orders-two")
    assert check_of(made(), "one-run").passed
    assert check_of(made(World(lock=locked(RUN))), "one-run").passed


# --- values ----------------------------------------------------------------------------------------------------------


def test_values_as_they_come():
    def check() -> str:
        raise problem("Login failed.")

    world = World(
        restore_values=[
            database_value(),
            database_value("MonitoringStoreConnectionString", "AccountName=m", check),
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
    assert blocked(plan) == ["value-works", "value-works"]
    assert "canary" not in f"{plan!r} {plan.to_dict()}"
    request, stored, target = world.calls["values"]
    assert (request.service, stored, target) == ("orders", dict(inventory().settings), "orders")


def test_each_value_is_checked_once():
    checks = []
    made(World(restore_values=[database_value(check=lambda: checks.append(1) or "It responds.")]))
    assert checks == [1]


class Account:
    def connection_string(self) -> str:
        return "AccountName=backups"


def test_what_is_sent():
    world = World()
    plan = made(world)
    operation = world.planner().driver.start_restore(plan, Account(), request_id="request-1")
    ref, request = world.calls["start_restore"]
    values = request["values"]
    assert (operation.operation_id, ref) == ("operation-1", "contoso-west/orders")
    assert (request["backup_name"], request["client_request_id"]) == (reference().container, "request-1")
    assert request["store_connection_string"] == "AccountName=backups"
    assert world.calls["values"] == (plan.request, plan.stored, "orders")
    assert (values.edition, values.unit_count, values.service_version) == ("premium", 2, "1.1.0")
    assert values.tracking_store.startswith(DATABASE)
    assert values.certificate is None


def test_what_cannot_be_sent_is_found_before_anything_is_deleted():
    empty = GivenValue("ServiceCertificate", "x.pfx", "connection c", {"certificate_password": ""}, lambda: "Fine.")
    assert blocked(made(World(restore_values=[database_value(), empty]))) == ["value-works"]


# --- what the backup holds was not recorded --------------------------------------------------------------------------


def test_without_inventory():
    world = World([existing()], recorded=None)
    plan = made(world, **REPLACE)
    assert plan.blocking_issues == ()
    assert plan.target.settings["unit_count"] is None
    assert world.calls["values"][1] == {}
    assert any("the run will fail" in loss for loss in plan.losses)
    assert "cannot be compared with the existing service" in plan.differences[0]
    assert plan.control_numbers == ()


@pytest.mark.parametrize("units", ["", "two", "-1", "²"])
def test_units_that_were_not_recorded_as_a_number(units):
    assert made(World(recorded=inventory(settings={"UnitCount": units}))).target.settings["unit_count"] is None


def test_a_part_that_was_not_recorded():
    blind = inventory_of(service(), None, taken_at=NOW, problem="The token was refused.")
    plan = made(World(recorded=blind), control_numbers="report")
    assert any("partner management was not recorded" in loss and "The token" in loss for loss in plan.losses)


# --- losses and differences ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "shown"),
    [
        (timedelta(minutes=5), "5 min old"),
        (timedelta(hours=3, minutes=7), "3 h 7 min old"),
        (timedelta(hours=47, minutes=59, seconds=30), "47 h 59 min old"),
        (timedelta(days=3), "3 days old"),
    ],
)
def test_the_age_of_the_backup(age, shown):
    assert f"The backup is {shown}" in made(backup={"finished_at": datetime.now(UTC) - age}).losses[0]


def test_what_is_never_in_a_backup_is_lost():
    losses = "\n".join(made().losses)
    for each in reference().not_included:
        assert each.sentence in losses
    assert "It is not certain that no batch" not in losses
    assert "another address" not in losses
    assert "It is not certain that no batch" in "\n".join(made(backup={"drain": Drain()}).losses)
    assert "another address" in "\n".join(made(**NEW).losses)
    assert "partners reject" in "\n".join(made(control_numbers="exact").losses)


def test_messages_sent_since_are_listed():
    world = World(use=used(interchange(1020)))
    assert any("20 control numbers were used by 1 agreement" in loss for loss in made(world).losses)
    world.use = used(problem="It does not respond")
    losses = made(world, control_numbers="report").losses
    assert any("Control numbers used from" in loss and "are unknown: It does not" in loss for loss in losses)


def test_batches_of_the_service_that_is_replaced():
    world = World([existing()])
    world.batches = DrainStatus(answer="active", batches=(ActiveBatch("a", "b", 3),), source="s", checked_at=NOW)
    assert any("1 batch held 3 messages" in loss for loss in made(world, **REPLACE).losses)
    world.batches = problem("The database does not respond.")
    assert "The database does not respond." in made(world, **REPLACE).losses
    world.calls.clear()
    made(world)
    assert "drain_status" not in world.calls


def test_the_existing_service_is_compared():
    world = World([existing()], now=inventory(items=inventory().items[1:]))
    assert len(made(world, **REPLACE).differences) == 1
    assert made(World()).differences == ()
    original = World([existing()], now=inventory(items=()))
    assert len(made(original, **NEW).differences) == len(inventory().items)
    assert original.calls["inventory"] == "contoso-west/orders"
    original.now = problem("The token was refused.")
    assert made(original, **NEW).differences == (
        "The existing service contoso-west/orders cannot be compared with the backup: The token was refused.",
    )


def test_250_differences_are_not_all_listed():
    settings = {f"Setting{number}": "x" for number in range(250)}
    now = inventory(settings=dict(inventory().settings) | settings)
    plan = made(World([existing()], now=now), **REPLACE)
    assert len(plan.differences) == 201
    assert plan.differences[-1] == "and 50 more"


# --- steps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("services", [[], [existing()]])
def test_steps_to_a_new_name(services):
    plan = made(World(services, restore_values=[database_value(shown=OTHER_DATABASE)]), **NEW, **REPLACE)
    assert plan.steps == (RESTORE.format("orders-two"), COMPARE, RAISE, STAY)
    assert plan.existing is None
    assert not plan.replaces


def test_steps_with_a_safety_backup():
    plan = made(World([existing(etag="e")]), **REPLACE, resume_afterwards=True)
    assert plan.blocking_issues == ()
    assert (plan.replaces, plan.safety_backup) == (True, f"orders-20260101-020000-{key().digest}")
    assert plan.existing == ExistingService("Active", "e")
    assert "batch of contoso-west/orders holds messages, suspend it, back it up" in plan.steps[0]
    end = "Resume it, and wait until it is running.", "Look at the first control numbers that it gives out."
    assert plan.steps[1:] == (DELETE, RESTORE.format("orders"), COMPARE, RAISE, *end)


def test_steps_without_safety_backup():
    plan = made(World([existing(state="RestoreFailed")]), **REPLACE, without_safety_backup=True)
    assert plan.blocking_issues == ()
    assert (plan.replaces, plan.safety_backup) == (True, None)
    assert plan.steps[0] == DELETE


def test_a_safety_backup_is_made_where_it_is_possible():
    assert made(World([existing()]), **REPLACE, without_safety_backup=True).safety_backup


def test_nothing_is_deleted_without_consent():
    plan = made(World([existing()]))
    assert not any("Delete" in step for step in plan.steps)


@pytest.mark.parametrize(("policy", "step"), [("report", "List the control"), ("exact", "Leave the control")])
def test_steps_of_the_other_policies(policy, step):
    assert any(each.startswith(step) for each in made(control_numbers=policy).steps)


@pytest.mark.parametrize(("durations", "expected"), [([], None), ([60.0], 60.0), ([10.0, 600.0, 20.0], 20.0)])
def test_the_expected_duration(durations, expected):
    assert made(World(seconds=durations)).expected_seconds == expected


# --- control numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("policy", "following", "done"), [("raise", 1121, True), ("report", 1001, False)])
def test_control_numbers_used_since(policy, following, done):
    world = World([existing()], use=used(interchange(1020)))
    plan = made(world, **REPLACE, control_numbers=policy)
    (row,) = plan.control_numbers
    assert (row.agreement, row.kind, row.backup, row.highest) == (SENDING, "interchange", 1000, 1020)
    assert (row.next, row.done) == (following, done)
    assert "given out 20" in row.sentence
    assert plan.blocking_issues == ()
    assert world.calls["control_numbers_since"] == ("orders", reference().started_at)


def test_the_margin_of_the_form_counts():
    assert made(World(use=used(interchange(1020))), margin=0).control_numbers[0].next == 1021


def test_nothing_was_used_since():
    plan = made(margin=0)
    assert plan.control_numbers == ()
    assert check_of(plan, "control-numbers").passed


def test_numbers_that_may_have_been_used_unseen():
    (row,) = made().control_numbers
    assert (row.backup, row.highest, row.latest, row.next, row.done) == (1000, None, None, 1101, True)
    assert row.source == "seen: none since the backup, by tracking database"


def test_where_the_numbers_are_from():
    (row,) = made(World(use=used(interchange(1020)))).control_numbers
    assert row.source.startswith("seen by tracking database, last used 2026-01-0")
    assert row.latest == 1020


def test_numbers_in_the_window_of_a_partner_are_asked_for():
    partners = Partners.parsed('{"*": {"policy": "unique", "window_days": 3}, "Another": {"window_days": 9}}')
    world = World(use=used(interchange(1020)))
    driver = BizTalkDriver(world, FakeSources(world), partners)
    report = world.use
    plan = driver.plan_control_numbers(inventory(), report, margin=100, apply=True)
    assert world.calls["control_numbers_since"] == ("orders", window_begin(3, report.checked_at))
    assert [row.next for row in plan.rows] == [1121]


def test_two_sources_that_contradict_each_other():
    plan = made(World(use=used(interchange(1010))))
    assert blocked(plan) == ["control-numbers"]
    (issue,) = plan.blocking_issues
    assert "control-numbers-agree: " in issue
    assert "1000 was the last one at the backup, of 990; tracking database says that since then 20 were used" in issue


def test_the_old_service_goes_on_beside_the_restored_one():
    losses = "\n".join(made(World([existing()]), **NEW).losses)
    assert "Service contoso-west/orders, which was backed up, exists beside the restored one and is Active" in losses
    assert "suspend it before" in losses
    for world, form in ((World([existing()]), REPLACE), (World(), NEW)):
        assert "beside the restored one" not in "\n".join(made(world, **form).losses)


@pytest.mark.parametrize("services", [[], [existing()], [existing("orders-two")]])
def test_the_numbers_of_the_service_that_was_backed_up_count(services):
    """Whatever exists: its tracking database knows them, and the restored agreements are its own."""
    world = World(services, restore_values=[database_value(shown=OTHER_DATABASE)], use=used(interchange(1020)))
    for form in ({}, NEW | REPLACE):
        assert made(world, **form).control_numbers[0].next == 1121
        assert world.calls["control_numbers_since"][0] == "orders"


@pytest.mark.parametrize("recorded", [inventory(), None])
def test_numbers_that_are_not_known(recorded):
    world = World(recorded=recorded, use=used(problem="There is no connection biztalk_tracking_orders."))
    plan = made(world)
    assert blocked(plan) == ["control-numbers"]
    assert "biztalk_tracking_orders" in plan.blocking_issues[0] or recorded
    for policy in ("report", "exact"):
        plan = made(world, control_numbers=policy)
        assert plan.blocking_issues == ()
        assert "control-numbers" not in {rule.rule for rule in plan.rules}


def test_numbers_that_cannot_be_skipped():
    world = World(use=used(interchange(5, agreement="Litware")))
    plan = made(world, margin=0)
    assert blocked(plan) == ["control-numbers"]
    assert "Litware" in plan.blocking_issues[0]
    (row,) = plan.control_numbers
    assert (row.agreement, row.next, row.done) == ("Litware", None, False)
    assert made(world, margin=0, control_numbers="report").control_numbers == plan.control_numbers


def test_a_range_that_is_used_up():
    changed = entities()
    changed["Agreements"][0]["ProtocolSettings"] |= {
        "InterchangeControlNumberUpperBound": 1030,
        "InterchangeControlNumberRollover": False,
    }
    plan = made(World(recorded=inventory_of(service(), changed, taken_at=NOW), use=used(interchange(1020))))
    assert blocked(plan) == ["control-numbers"]
    assert not plan.control_numbers[0].done


# --- a world that does not respond -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    ["list_services", "inventory_of", "control_numbers_since", "values", "of", "durations"],
)
def test_without_responses_there_is_no_plan(method, monkeypatch):
    world = World([existing()])

    def refuse(*arguments: Any) -> Any:
        raise problem(f"{method} does not respond.")

    monkeypatch.setattr(world, method, refuse)
    with pytest.raises(BackupServiceError, match=f"{method} does not respond"):
        made(world, **REPLACE)


class TestAnEntryThatCannotBeRead:
    """It may be the service that has the name of the restored one."""

    UNREAD = ("The entry at 2 has no name.",)

    def test_where_it_is_another_the_name_is_free(self):
        assert made(World(unread=list(self.UNREAD))).existing is None

    def test_where_it_is_the_target_that_exists(self):
        plan = made(World(unread=list(self.UNREAD), behind_unread=existing()))
        assert any("already exists" in issue for issue in plan.blocking_issues)

    def test_where_it_may_be_there_is_no_plan(self):
        with pytest.raises(BackupServiceError, match="may be it"):
            made(World(unread=list(self.UNREAD), behind_unread=problem("An entry may be it.")))


# --- which backup ----------------------------------------------------------------------------------------------------

OLDER = reference("orders-20251231-020000")
SAFETY = reference("orders-20260101-030000", kind="safety")


def test_the_newest_backup_without_safety_backups():
    world = World(backups=[SAFETY, reference(), OLDER])
    backup, request = world.found({"service": " orders ", "edition": "premium", "margin": 5})
    assert backup == reference()
    assert request == RestoreRequest(
        service="orders", backup=reference().container, margin=5, overrides={"edition": "premium"}
    )
    assert world.calls["latest"] == ("orders", SUBSCRIPTION, None, ("nightly", "manual"))


@pytest.mark.parametrize("service_name", ["orders", "contoso-west/orders"])
@pytest.mark.parametrize("name", [OLDER.container, f"backups/{OLDER.container}"])
def test_a_backup_by_its_name(service_name, name):
    world = World(backups=[reference(), OLDER])
    backup, request = world.found({"service": service_name, "backup": name})
    assert (backup, request.service, request.backup) == (OLDER, "orders", OLDER.container)


def test_a_backup_by_its_whole_reference():
    world = World(backups=[SAFETY, OLDER])
    for form in ({}, {"service": "Orders"}, {"service": ""}):
        backup, request = world.found(form | {"backup": OLDER.to_dict()})
        assert (backup, request.service, request.backup) == (OLDER, "orders", OLDER.container)
    with pytest.raises(RestoreRefusedError, match="names service billing, and the backup backups/orders-2025"):
        world.found({"service": "billing", "backup": OLDER.to_dict()})


def test_the_form_names_no_service():
    with pytest.raises(InvalidRequestError, match="service"):
        World().found({"backup": ""})


# --- the approved plan -----------------------------------------------------------------------------------------------


def test_a_plan_that_still_holds_is_confirmed():
    world = World([existing()])
    approved = made(world, **REPLACE)
    confirmed = world.planner(NOW + timedelta(hours=1)).confirm(approved, approved.hash)
    assert confirmed.hash == approved.hash
    assert confirmed.made_at > approved.made_at
    assert confirmed.safety_backup == f"orders-20260101-030000-{key().digest}"


def test_a_plan_made_again_after_the_approval_is_outdated():
    approved = made()
    for other in (made(margin=5).hash, None, ""):
        with pytest.raises(PlanOutdatedError, match="the new one is not approved; nothing was changed"):
            World().planner().confirm(approved, other)


def test_a_plan_in_a_changed_world_is_outdated():
    world = World([existing(etag="1")])
    approved = made(world, **REPLACE)
    world.existing = [existing(etag="2")]
    with pytest.raises(PlanOutdatedError, match=r"What is different: existing\.etag: 1 -> 2\. Start another restore"):
        world.planner().confirm(approved, approved.hash)


def test_a_plan_with_blocking_issues_is_refused():
    world = World(lock=locked())
    approved = made(world)
    with pytest.raises(RestoreRefusedError, match=r"as contoso-west/orders; nothing was changed\. \[one-run\]"):
        world.planner().confirm(approved, approved.hash)
    refuse_if_blocked(made())
