"""All agreements of a restored service at once."""

from __future__ import annotations

from dataclasses import replace

from biztalk_services.drivers.biztalk.entities import inventory_of
from biztalk_services.drivers.biztalk.numbers.plan import ALL, Decision, decide, number_plan
from biztalk_services.model.control_numbers import ControlNumberUse, NumberPlan, NumberRow, UseReport
from biztalk_services.model.inventory import Inventory

from tests.biztalk.inventories import NOW, SENDING, USES, entities, inventory, service


def use(agreement: str, kind: str, latest: int, used: int = 5) -> ControlNumberUse:
    return ControlNumberUse(agreement, kind, latest, latest, used, NOW)


def since(*uses: ControlNumberUse, problem: str | None = None) -> UseReport:
    return replace(USES, uses=uses, problem=problem, since=NOW)


def decided(restored: Inventory, uses: UseReport, recorded: Inventory | None = None) -> Decision:
    return decide(restored, uses, margin=50, recorded=recorded)


def with_settings(**changes: object) -> Inventory:
    """The inventory after a change of the protocol settings."""
    changed = entities()
    changed["Agreements"][0]["ProtocolSettings"] |= changes
    return inventory_of(service(), changed, taken_at=NOW, uses=USES)


def test_nothing_was_used():
    assert decided(inventory(), since()) == Decision()
    assert number_plan(inventory(), Decision(), since(), inventory(), applied=True) == NumberPlan()


def test_all_changes_of_an_agreement_go_together():
    result = decided(inventory(), since(use(SENDING.upper(), "interchange", 1005), use(SENDING, "group", 705)))
    assert result.open == ()
    assert result.changes() == {
        SENDING: {"InterchangeControlNumberLowerBound": 1056, "GroupControlNumberLowerBound": 756}
    }


def test_what_is_not_known_is_open_for_every_kind():
    unknown = since(use(SENDING, "group", 705), problem="The database does not respond.")
    result = decided(inventory(), unknown, inventory())
    assert [each.kind for each in result.bounds] == ["group"]
    assert [(each.kind, each.rule) for each in result.open] == [("interchange", "control-numbers-known")]


def test_an_agreement_that_the_restored_service_does_not_have():
    result = decided(inventory(), since(use("Litware X12 send", "interchange", 1005)))
    assert result.bounds == ()
    (missing,) = result.open
    assert (missing.agreement, missing.rule) == ("Litware X12 send", "control-number-range")
    assert "the highest 1005, but has no range for them in the restored service" in missing.sentence


def test_a_range_that_cannot_be_read():
    broken = with_settings(GroupControlNumberUpperBound="many")
    assert decided(broken, since()) == Decision()
    (unreadable,) = decided(broken, since(use(SENDING, "group", 5))).open
    assert unreadable.rule == "control-number-range"


def test_a_service_whose_ranges_could_not_be_read():
    blind = inventory_of(service(), None, taken_at=NOW, problem="The token was refused.")
    (unknown,) = decided(blind, since()).open
    assert (unknown.agreement, unknown.kind, unknown.rule) == (ALL, ALL, "control-numbers-known")
    assert "The token was refused." in unknown.sentence


def test_bounds_that_an_earlier_try_has_set_are_still_shown():
    used = since(use(SENDING, "interchange", 1005))
    first = decided(inventory(), used, inventory())
    again = with_settings(InterchangeControlNumberLowerBound=1056)
    assert decided(again, used, inventory()) == Decision()
    assert decided(again, used, inventory()).with_applied(first, again) == first
    other = with_settings(InterchangeControlNumberLowerBound=1055)
    assert decided(other, used, inventory()).with_applied(first, other) == decided(other, used, inventory())


def test_bounds_set_where_a_range_starts_over_are_not_open():
    """By themselves, both bounds of an earlier try look like a range that is used up."""
    small = {"InterchangeControlNumberUpperBound": 1020}
    used = since(use(SENDING, "interchange", 1015, 15))
    first = decided(with_settings(**small), used, inventory())
    assert first.changes() == {
        SENDING: {"InterchangeControlNumberLowerBound": 46, "InterchangeControlNumberUpperBound": 1000}
    }
    again = with_settings(**first.changes()[SENDING])
    assert decided(again, used, inventory()).open
    assert decided(again, used, inventory()).with_applied(first, again) == first


def test_a_row_for_what_was_used_and_for_what_is_open():
    used = since(use(SENDING, "interchange", 1005), use("Litware", "group", 7))
    decision = decided(inventory(), used, inventory())
    for applied, following in ((True, 1056), (False, 1001)):
        plan = number_plan(inventory(), decision, used, inventory(), applied=applied)
        reason, why = decision.bounds[0].reason, decision.open[0].sentence
        assert plan.rows == (
            NumberRow(SENDING, "interchange", 1000, 1005, following, applied, reason),
            NumberRow("Litware", "group", None, None, None, False, why),
        )
        assert plan.open == (why,)


def test_a_row_for_a_range_that_is_beyond_already():
    beyond = with_settings(InterchangeControlNumberLowerBound=5000)
    used = since(use(SENDING, "interchange", 1005))
    (row,) = number_plan(beyond, decided(beyond, used, inventory()), used, inventory(), applied=True).rows
    assert (row.highest, row.next, row.done) == (1005, 5000, True)
    assert row.sentence == "It is beyond every number used since."
