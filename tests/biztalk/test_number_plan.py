"""All agreements of a restored service at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from biztalk_services.drivers.biztalk.entities import inventory_of
from biztalk_services.drivers.biztalk.numbers.partners import Partners
from biztalk_services.drivers.biztalk.numbers.plan import ALL, Decision, Known, decide, number_plan, window_begin
from biztalk_services.model.control_numbers import ControlNumberUse, NumberPlan, NumberRow, UseReport
from biztalk_services.model.inventory import CONTROL_NUMBERS, Inventory, Item

from tests.biztalk.inventories import NOW, SENDING, USES, entities, inventory, service

LATER = NOW + timedelta(hours=20)
CHECKED_AT = NOW + timedelta(days=1)
SEEN = "seen by tracking database, query 1f2e3d4c, last used 2026-01-01 22:00:00 UTC"


def use(agreement: str, kind: str, latest: int, used: int = 5, **more: Any) -> ControlNumberUse:
    return ControlNumberUse(agreement, kind, latest, latest, used, **{"last_used": LATER, **more})


def since(*uses: ControlNumberUse, **more: Any) -> UseReport:
    report = UseReport(source="tracking database", query="query 1f2e3d4c", since=NOW, checked_at=CHECKED_AT)
    return replace(report, uses=uses, **more)


def known(*uses: ControlNumberUse, **more: Any) -> Known:
    """What is known; ``more`` are other parts of it."""
    return Known(**{"recorded": inventory(), "used": since(*uses), **more})


def decided(restored: Inventory, known: Known, margin: int = 50) -> Decision:
    return decide(restored, known, margin=margin)


def with_settings(**changes: object) -> Inventory:
    """The inventory after a change of the protocol settings."""
    changed = entities()
    changed["Agreements"][0]["ProtocolSettings"] |= changes
    return inventory_of(service(), changed, taken_at=NOW, uses=USES)


def with_agreement(name: str, protocol: str = "X12", **parties: str) -> Inventory:
    """The inventory with one more agreement, whose settings are those of the first one."""
    taken = inventory()
    (settings,) = [item for item in taken.items if item.kind == "protocol settings"]
    more = [Item("agreement", name, {"ProtocolName": protocol, **parties})]
    if protocol != "AS2":
        more.append(Item("protocol settings", name, settings.attributes))
    return replace(taken, items=(*taken.items, *more))


def test_nothing_was_used():
    plan = number_plan(inventory(), Decision(), known(), applied=True)
    assert plan == NumberPlan()
    none = decided(inventory(), known(), margin=0)
    assert (none.bounds, none.open) == ((), ())


def test_a_counter_of_which_nothing_was_seen_skips_the_margin():
    """The group counter has never been used; that of interchanges has, and its last numbers may not be recorded yet."""
    assert decided(inventory(), known()).changes() == {SENDING: {"InterchangeControlNumberLowerBound": 1051}}


def test_all_changes_of_an_agreement_go_together():
    result = decided(inventory(), known(use(SENDING.upper(), "interchange", 1005), use(SENDING, "group", 705, 705)))
    assert result.open == ()
    assert result.changes() == {
        SENDING: {"InterchangeControlNumberLowerBound": 1056, "GroupControlNumberLowerBound": 756}
    }


def test_what_is_not_known_is_open_in_one_sentence():
    unknown = since(use(SENDING, "group", 705), problem="The database does not respond.")
    result = decided(inventory(), known(used=unknown))
    assert result.bounds == ()
    (all_of_it,) = result.open
    assert (all_of_it.key, all_of_it.rule) == ((ALL, ALL), "control-numbers-known")
    assert "Which were used since the backup is unknown: The database does not respond." in all_of_it.sentence
    plan = number_plan(inventory(), result, known(used=unknown), applied=True)
    assert plan.open == (str(all_of_it),)
    assert [(row.agreement, row.highest, row.done, row.source) for row in plan.rows] == [
        (SENDING, 705, False, "unknown"),
        (ALL, None, False, "unknown"),
    ]


def test_one_contradiction_leaves_the_others_settled():
    result = decided(inventory(), known(use(SENDING, "interchange", 999), use(SENDING, "group", 705)))
    assert [each.kind for each in result.bounds] == ["group"]
    (wrong,) = result.open
    assert (wrong.kind, wrong.rule) == ("interchange", "control-numbers-agree")
    assert "1000 was the last one at the backup, of 990; tracking database, query 1f2e3d4c says" in wrong.sentence


def test_an_agreement_that_the_restored_service_does_not_have():
    result = decided(inventory(), known(use("Litware X12 send", "interchange", 1005)), margin=0)
    assert result.bounds == ()
    (missing,) = result.open
    assert (missing.agreement, missing.rule) == ("Litware X12 send", "control-number-range")
    assert "the highest 1005, but has no range for them in the restored service" in missing.sentence
    for told, said in (
        (1005, "the backup, the highest 1005, but has"),
        (None, "5 interchange control numbers since the backup, but has"),
    ):
        untold = replace(use("Litware X12 send", "interchange", 1005), highest=None, latest=told)
        assert said in decided(inventory(), known(untold), margin=0).open[0].sentence


def test_a_range_that_cannot_be_read():
    broken = with_settings(GroupControlNumberUpperBound="many")
    recorded = replace(broken, control_numbers=())
    assert decided(broken, known(recorded=recorded)).open == ()
    (unreadable,) = decided(broken, known(use(SENDING, "group", 5), recorded=recorded)).open
    assert unreadable.rule == "control-number-range"
    corrected = decided(inventory(), known(use(SENDING, "group", 5), recorded=recorded))
    assert [(each.kind, each.lower) for each in corrected.bounds] == [("group", 56)]


def test_a_service_whose_ranges_could_not_be_read():
    blind = inventory_of(service(), None, taken_at=NOW, problem="The token was refused.")
    (unknown,) = decided(blind, known()).open
    assert (unknown.agreement, unknown.kind, unknown.rule) == (ALL, ALL, "control-numbers-known")
    assert "The token was refused." in unknown.sentence


def test_a_margin_is_not_negative():
    with pytest.raises(ValueError, match="0 or more"):
        decided(inventory(), known(), margin=-1)


# --- a second try ----------------------------------------------------------------------------------------------------


def test_bounds_that_an_earlier_try_has_set_are_still_shown():
    used = known(use(SENDING, "interchange", 1005))
    first = decided(inventory(), used)
    again = with_settings(InterchangeControlNumberLowerBound=1056)
    assert decided(again, used) == first
    beyond = with_settings(InterchangeControlNumberLowerBound=1057)
    assert decided(beyond, used).bounds == ()
    not_enough = with_settings(InterchangeControlNumberLowerBound=1055)
    assert decided(not_enough, used) == first


def test_numbers_used_between_two_tries_raise_the_bounds_again():
    again = with_settings(InterchangeControlNumberLowerBound=1056)
    (raised,) = decided(again, known(use(SENDING, "interchange", 1011, 11))).bounds
    assert (raised.lower, raised.restored.lower) == (1062, 1)


def test_bounds_set_where_a_range_starts_over_are_not_open():
    """By themselves, both bounds of an earlier try look like a range that is used up."""
    small = with_settings(InterchangeControlNumberUpperBound=1020)
    used = known(use(SENDING, "interchange", 1015, 15), recorded=small)
    first = decided(small, used)
    assert first.changes() == {
        SENDING: {"InterchangeControlNumberLowerBound": 46, "InterchangeControlNumberUpperBound": 1000}
    }
    again = with_settings(**first.changes()[SENDING])
    assert decided(again, used) == first


# --- what the agreements and partners are ----------------------------------------------------------------------------


def test_as2_has_no_numbers_and_that_is_said():
    taken = with_agreement("Northwind AS2", "AS2")
    result = decided(taken, known(use("northwind as2", "interchange", 5), recorded=taken), margin=0)
    assert result.open == ()
    assert result.remarks == ("AS2 has no control numbers, so that none are advanced for Northwind AS2.",)
    assert number_plan(taken, result, known(), applied=True).remarks == result.remarks


PARTIES = {f"{end}.{part}": "x" for end in ("Sender", "Receiver") for part in ("Partner", "Identity")}


@pytest.mark.parametrize(("receiver", "lower"), [("x", 1107), ("y", 1011)], ids=["the same", "another"])
def test_two_agreements_with_the_same_sender_and_receiver(receiver, lower):
    taken = with_agreement("Litware X12 send", **PARTIES | {"Receiver.Identity": receiver})
    first = next(item for item in taken.items if (item.kind, item.name) == ("agreement", SENDING))
    others = tuple(item for item in taken.items if item is not first)
    taken = replace(taken, items=(Item("agreement", SENDING, {"ProtocolName": "X12", **PARTIES}), *others))
    used = known(use(SENDING, "interchange", 1005), use("Litware X12 send", "interchange", 960, 960), recorded=taken)
    ours, theirs = [each for each in decided(taken, used).bounds if each.kind == "interchange"]
    assert ours.lower == 1056
    assert theirs.lower == lower
    remarks = decided(taken, used).remarks
    assert any("The numbers of Litware X12 send count, too" in each for each in remarks) is (receiver == "x")


def test_a_window_of_days():
    partners = Partners.parsed('{"*": {"policy": "unique", "window_days": 3}}')
    small = with_settings(InterchangeControlNumberUpperBound=1020)
    used = use(SENDING, "interchange", 1015, 1035)
    begin = window_begin(3, CHECKED_AT)
    assert begin == CHECKED_AT - timedelta(days=4)
    window = replace(since(replace(used, used=100)), since=begin)
    late = replace(since(used), since=NOW - timedelta(days=30))
    answers = {"recorded": small, "partners": partners, "used": late}
    assert [each.rule for each in decided(small, known(**answers)).open] == ["control-numbers-room"]
    (bounds,) = decided(small, known(**answers, windows={3: window})).bounds
    assert (bounds.lower, bounds.upper) == (46, 1000)
    broken = replace(window, uses=())
    (contradiction,) = decided(small, known(**answers, windows={3: broken})).open
    assert contradiction.rule == "control-numbers-agree"
    assert "says that 0 were used since 2025-12-29" in contradiction.sentence
    unknown = replace(window, problem="It does not respond.")
    assert [each.rule for each in decided(small, known(**answers, windows={3: unknown})).open] == [
        "control-numbers-room"
    ]


# --- other sources ---------------------------------------------------------------------------------------------------


def test_another_database_does_not_count_for_any_agreement_and_is_told_once():
    empty = since(ever=())
    (other,) = decided(inventory(), known(used=empty)).open
    assert (other.key, other.rule) == (("all", "all"), "control-numbers-known")
    assert SENDING in other.sentence
    never_used = inventory(control_numbers=())
    assert decided(never_used, known(used=empty, recorded=never_used)).open == ()


def test_the_last_numbers_of_the_backup_were_not_recorded():
    blind = inventory(control_numbers=(), parts={CONTROL_NUMBERS: "It did not respond."})
    rows = (use(SENDING, "interchange", 1005), use(SENDING, "group", 705))
    result = decided(inventory(), known(recorded=blind, used=since(*rows, ever=rows)))
    assert [(each.kind, each.lower) for each in result.bounds] == [("interchange", 1056), ("group", 756)]


def test_nobody_knows_any_number():
    """Neither the inventory nor the database, which may be another one: that none was used is not known."""
    blind = inventory(control_numbers=(), parts={CONTROL_NUMBERS: "It did not respond."})
    for recorded in (blind, None):
        found = decided(inventory(), known(recorded=recorded, used=since(ever=())), margin=0).open
        assert {(each.kind, each.rule) for each in found} == {
            ("interchange", "control-numbers-known"),
            ("group", "control-numbers-known"),
        }
        assert "knows no number of any agreement" in found[0].sentence
    others = since(ever=(use("Litware X12 send", "interchange", 5, last_used=NOW - timedelta(days=1)),))
    assert decided(inventory(), known(recorded=blind, used=others), margin=0).open == ()


def test_the_archive_of_sent_interchanges():
    sent = replace(since(use(SENDING, "interchange", 1040, 3)), source="archive")
    (wrong,) = decided(inventory(), known(use(SENDING, "interchange", 1005), sent=sent), margin=0).open
    assert "1005 is the last one used since the backup; archive has 1040" in wrong.sentence
    agreeing = replace(sent, uses=(use(SENDING, "interchange", 1004, 3),))
    used = known(use(SENDING, "interchange", 1005), sent=agreeing)
    (row,) = number_plan(inventory(), decided(inventory(), used), used, applied=True).rows
    assert row.source == f"{SEEN}; archive has 3, the latest 1004"
    unread = replace(sent, uses=(), problem="It is not reachable.")
    assert decided(inventory(), known(sent=unread)).remarks == (
        "The second source could not be read as a whole, and only the numbers that it names count (archive): It is not "
        "reachable.",
    )


# --- rows ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("applied", "following"), [(True, 1056), (False, 1001)])
def test_a_row_for_what_was_used_and_for_what_is_open(applied, following):
    used = known(use(SENDING, "interchange", 1005), use("Litware", "group", 7))
    decision = decided(inventory(), used)
    plan = number_plan(inventory(), decision, used, applied=applied)
    reason, why = decision.bounds[0].reason, str(decision.open[0])
    assert why.startswith("control-number-range: Agreement Litware has given out 5")
    assert plan.rows == (
        NumberRow(SENDING, "interchange", 1000, 1005, following, applied, reason, 1005, SEEN),
        NumberRow("Litware", "group", None, None, None, False, why),
    )
    assert plan.open == (why,)


def test_a_row_where_the_backup_has_the_highest_number_only():
    untold = inventory(control_numbers=(replace(USES.uses[0], latest=None),))
    used = known(use(SENDING, "interchange", 1005), recorded=untold)
    (row,) = number_plan(inventory(), decided(inventory(), used), used, applied=False).rows
    assert (row.backup, row.next) == (1000, 1001)


def test_a_row_for_a_range_that_is_beyond_already():
    beyond = with_settings(InterchangeControlNumberLowerBound=5000)
    used = known(use(SENDING, "interchange", 1005))
    (row,) = number_plan(beyond, decided(beyond, used), used, applied=True).rows
    assert (row.highest, row.next, row.done) == (1005, 5000, True)
    assert row.sentence == "It is beyond every number used since."
