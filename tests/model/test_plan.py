"""The plan: what identifies it, what blocks it, what has changed since."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import timedelta

import pytest
from biztalk_services.model.checks import Check
from biztalk_services.model.plan import ExistingService, PlannedValue, RestorePlan

from tests.archive.samples import reference
from tests.model.samples import SEED, plan

DIFFERENCES = plan().differences
VALUE = plan().values[0]
RULE = plan().rules[0]
VOLATILE = {
    "made_at": plan().made_at + timedelta(days=1),
    "losses": ("The backup is 49 h old.",),
    "control_numbers": (),
    "expected_seconds": None,
}
TARGET = plan().target


def blob(name: str) -> str:
    """A blob of the backup, as a change names it."""
    return json.dumps({"name": name, "size": 500, "sha256": "b" * 64})


DECISIVE = {
    "another backup": (
        {"backup": reference("orders-20260102-020000")},
        [
            f"backup.blobs, no longer: {blob('orders-20260101-020000.txt')}",
            f"backup.blobs, new: {blob('orders-20260102-020000.txt')}",
            "backup.container: orders-20260101-020000 -> orders-20260102-020000",
        ],
    ),
    "another connection": ({"conn_id": "biztalk_south"}, ["conn_id: biztalk_default -> biztalk_south"]),
    "a setting that was recorded": (
        {"stored": plan().stored | {"UnitCount": "3"}},
        ["stored.UnitCount: 2 -> 3"],
    ),
    "another address": (
        {"target": replace(TARGET, service="contoso-east/orders")},
        ["target.service: contoso-west/orders -> contoso-east/orders"],
    ),
    "another edition": (
        {"target": replace(TARGET, settings=TARGET.settings | {"edition": "standard"})},
        ["target.settings.edition: premium -> standard"],
    ),
    "units that are known now": (
        {"target": replace(TARGET, settings=TARGET.settings | {"unit_count": None})},
        ["target.settings.unit_count: 2 -> nothing"],
    ),
    "another description": (
        {"target": replace(TARGET, description="premium")},
        ["target.description: premium, scale units: 2 -> premium"],
    ),
    "another state": ({"existing": ExistingService("Stopped", "2f2f")}, ["existing.state: Active -> Stopped"]),
    "changed by a person": ({"existing": ExistingService("Active", "3a3a")}, ["existing.etag: 2f2f -> 3a3a"]),
    "deleted by a person": (
        {"existing": None},
        ["existing.etag: 2f2f -> nothing", "existing.state: Active -> nothing"],
    ),
    "another choice": ({"request": replace(plan().request, margin=0)}, ["request.margin: 100 -> 0"]),
    "another value in the form": (
        {"request": replace(plan().request, overrides={"acs_conn_id": "x"})},
        ["request.overrides.acs_conn_id: nothing -> x"],
    ),
    "not replaced": ({"replaces": False}, ["replaces: True -> False"]),
    "no safety backup": ({"safety_backup": None}, ["safety_backup: True -> False"]),
    "a rule broken": (
        {"rules": (replace(RULE, passed=False), plan().rules[1])},
        ["rules.same-version.passed: True -> False"],
    ),
    "another finding": (
        {"rules": (replace(RULE, message="It is 1.2."), plan().rules[1])},
        ["rules.same-version.message: It is. -> It is 1.2."],
    ),
    "a rule less": (
        {"rules": plan().rules[1:]},
        ["rules.same-version.message: It is. -> nothing", "rules.same-version.passed: True -> nothing"],
    ),
    "another value": (
        {"values": (replace(VALUE, shown="other"),)},
        ["values.AccessControlNamespace.shown: contosoacs -> other"],
    ),
    "a value from elsewhere": (
        {"values": (replace(VALUE, origin="backup"),)},
        ["values.AccessControlNamespace.origin: connection acs -> backup"],
    ),
    "a value that works no more": (
        {"values": (replace(VALUE, check="failed"),)},
        ["values.AccessControlNamespace.check: passed -> failed"],
    ),
    "a new difference in front": (
        {"differences": ("Agreement 0 was added.", *DIFFERENCES)},
        ["differences, new: Agreement 0 was added."],
    ),
    "a difference less": ({"differences": DIFFERENCES[1:]}, ["differences, no longer: Agreement A was added."]),
    "differences in another order": (
        {"differences": DIFFERENCES[::-1]},
        ["differences, new: Agreement B was added.", "differences, no longer: Agreement B was added."],
    ),
    "a step less": ({"steps": plan().steps[1:]}, ["steps, no longer: Delete it."]),
}


@pytest.mark.parametrize("name", VOLATILE)
def test_what_changes_by_itself_makes_no_other_plan(name):
    later = plan(**{name: VOLATILE[name]})
    assert later != plan()
    assert later.hash == plan().hash
    assert later.changes_since(plan()) == ()


def test_the_sentence_of_a_value_may_change():
    assert plan(values=(replace(VALUE, sentence="It gives a token for 600 s."),)).hash == plan().hash


def test_the_name_of_the_safety_backup_may_change():
    """It follows from the moment of the run."""
    later = plan(safety_backup="orders-20260103-030405")
    assert later.hash == plan().hash
    assert later.changes_since(plan()) == ()


@pytest.mark.parametrize("name", DECISIVE)
def test_what_is_decisive_makes_another_plan_and_is_named(name):
    changes, lines = DECISIVE[name]
    other = plan(**changes)
    assert other.hash != plan().hash
    assert list(other.changes_since(plan())) == lines


def test_each_decisive_part_is_in_the_hash():
    parts = {name for changes, _ in DECISIVE.values() for name in changes}
    assert parts | set(VOLATILE) == {item.name for item in fields(RestorePlan)}


@pytest.mark.parametrize("name", DECISIVE)
def test_a_change_back_is_named_as_well(name):
    assert plan().changes_since(plan(**DECISIVE[name][0]))


def test_several_changes_come_together():
    target = replace(TARGET, settings={"edition": "standard", "unit_count": 1})
    later = plan(target=target, steps=("Restore it.",))
    assert later.changes_since(plan()) == (
        "steps, no longer: Delete it.",
        "steps, no longer: Leave it suspended.",
        "target.settings.edition: premium -> standard",
        "target.settings.unit_count: 2 -> 1",
    )


def test_through_json_and_back():
    for each in (plan(), plan(existing=None, expected_seconds=None, values=(), control_numbers=())):
        again = RestorePlan.from_dict(json.loads(json.dumps(each.to_dict())))
        assert again == each
        assert again.hash == each.hash == each.to_dict()["hash"]
        assert again.changes_since(each) == ()
    assert plan().to_dict()["schema_version"] == 2
    assert len(plan().hash) == 64


def test_what_is_no_plan_is_refused():
    with pytest.raises(ValueError, match="target is missing"):
        RestorePlan.from_dict({name: value for name, value in plan().to_dict().items() if name != "target"})


def test_blocking_issues_are_broken_rules_and_failed_values():
    assert plan().blocking_issues == ()
    wrong = plan(
        rules=(Check("same-version", False, "It is not.", SEED), *plan().rules[1:]),
        values=(
            replace(VALUE, check="failed", sentence="No token."),
            PlannedValue("ServiceCertificate", "", "backup", "not possible", "It cannot be checked."),
        ),
    )
    assert wrong.blocking_issues == (
        f"[same-version] It is not. ({SEED})",
        "[value-works] AccessControlNamespace of connection acs: No token.",
    )
