"""The plan: what identifies it, what speaks against it, what has changed since."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import timedelta

import pytest
from biztalk_services.drivers.biztalk.restore_rules import SEED
from biztalk_services.model.checks import Verdict
from biztalk_services.model.plan import PlannedValue, RestorePlan

from tests.plans.samples import plan

DIFFERENCES = plan().differences
VALUE = plan().values[0]
RULE = plan().rules[0]
MOVING = {
    "made_at": plan().made_at + timedelta(days=1),
    "losses": ("The backup is 49 h old.",),
    "control_numbers": (),
    "expected_seconds": None,
}
DECISIVE = {
    "another backup": (
        {"backup": plan().backup | {"place": "backups/b"}},
        ["backup.place: backups/orders-20260101-020000 -> backups/b"],
    ),
    "another edition": (
        {"target": plan().target | {"edition": "standard"}},
        ["target.edition: premium -> standard"],
    ),
    "units that are known now": ({"target": plan().target | {"unit_count": None}}, ["target.unit_count: 2 -> nothing"]),
    "another state": ({"living": {"state": "Stopped", "etag": "2f2f"}}, ["living.state: Active -> Stopped"]),
    "changed by somebody": ({"living": {"state": "Active", "etag": "3a3a"}}, ["living.etag: 2f2f -> 3a3a"]),
    "deleted by somebody": ({"living": None}, ["living.etag: 2f2f -> nothing", "living.state: Active -> nothing"]),
    "another choice": ({"choices": plan().choices | {"margin": 0}}, ["choices.margin: 100 -> 0"]),
    "a rule broken": (
        {"rules": (replace(RULE, kept=False), plan().rules[1])},
        ["rules.same-version.kept: True -> False"],
    ),
    "another finding": (
        {"rules": (replace(RULE, sentence="It is 1.2."), plan().rules[1])},
        ["rules.same-version.sentence: It is. -> It is 1.2."],
    ),
    "a rule less": (
        {"rules": plan().rules[1:]},
        ["rules.same-version.kept: True -> nothing", "rules.same-version.sentence: It is. -> nothing"],
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
    "a difference gone": ({"differences": DIFFERENCES[1:]}, ["differences, no longer: Agreement A was added."]),
    "differences in another order": (
        {"differences": DIFFERENCES[::-1]},
        ["differences, new: Agreement B was added.", "differences, no longer: Agreement B was added."],
    ),
    "a step less": ({"steps": plan().steps[1:]}, ["steps, no longer: Delete it."]),
}


@pytest.mark.parametrize("name", MOVING)
def test_what_moves_by_itself_makes_no_other_plan(name):
    later = plan(**{name: MOVING[name]})
    assert later != plan()
    assert later.hash == plan().hash
    assert later.changes_since(plan()) == ()


def test_what_a_check_tells_may_change():
    assert plan(values=(replace(VALUE, sentence="It gives a token for 600 s."),)).hash == plan().hash


@pytest.mark.parametrize("name", DECISIVE)
def test_what_is_decisive_makes_another_plan_and_is_named(name):
    changes, told = DECISIVE[name]
    other = plan(**changes)
    assert other.hash != plan().hash
    assert list(other.changes_since(plan())) == told


def test_each_decisive_part_is_in_the_hash():
    seen = {name for changes, _ in DECISIVE.values() for name in changes}
    assert seen | set(MOVING) == {item.name for item in fields(RestorePlan)}


@pytest.mark.parametrize("name", DECISIVE)
def test_a_change_back_is_told_as_well(name):
    assert plan().changes_since(plan(**DECISIVE[name][0]))


def test_several_changes_come_together():
    later = plan(target=plan().target | {"edition": "standard", "unit_count": 1}, steps=("Restore it.",))
    assert later.changes_since(plan()) == (
        "steps, no longer: Delete it.",
        "steps, no longer: Leave it Suspended.",
        "target.edition: premium -> standard",
        "target.unit_count: 2 -> 1",
    )


def test_through_json_and_back():
    for each in (plan(), plan(living=None, expected_seconds=None, values=(), control_numbers=())):
        again = RestorePlan.from_dict(json.loads(json.dumps(each.to_dict())))
        assert again == each
        assert again.hash == each.hash == each.to_dict()["hash"]
        assert again.changes_since(each) == ()
    assert plan().to_dict()["schema_version"] == 1
    assert len(plan().hash) == 64


def test_objections_are_broken_rules_and_values_that_do_not_work():
    assert plan().objections == ()
    wrong = plan(
        rules=(Verdict("same-version", False, "It is not.", SEED), *plan().rules[1:]),
        values=(
            replace(VALUE, check="failed", sentence="No token."),
            PlannedValue("ServiceCertificate", "", "backup", "not possible", "Nobody can check it."),
        ),
    )
    assert wrong.objections == (
        f"[same-version] It is not. ({SEED})",
        "[value-works] AccessControlNamespace of connection acs: No token.",
    )
