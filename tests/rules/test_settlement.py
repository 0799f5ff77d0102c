"""All agreements of a restored service at once."""

from __future__ import annotations

from dataclasses import replace

from biztalk_services.drivers.biztalk.entities import inventory_of
from biztalk_services.drivers.biztalk.numbers.plan import ALL, Settlement, settle
from biztalk_services.model.control_numbers import ControlNumberUse
from biztalk_services.model.inventory import Inventory

from tests.rules.inventories import NOW, SENDING, USES, entities, inventory, service


def use(agreement: str, kind: str, latest: int, used: int = 5) -> ControlNumberUse:
    return ControlNumberUse(agreement, kind, latest, latest, used, NOW)


def since(*uses: ControlNumberUse, trouble: str | None = None):
    return replace(USES, uses=uses, trouble=trouble, since=NOW)


def test_nothing_was_used():
    assert settle(inventory(), since(), margin=50) == Settlement()


def test_all_changes_of_an_agreement_go_together():
    found = settle(inventory(), since(use(SENDING.upper(), "interchange", 1005), use(SENDING, "group", 705)), margin=50)
    assert found.findings == ()
    assert found.changes() == {
        SENDING: {"InterchangeControlNumberLowerBound": 1056, "GroupControlNumberLowerBound": 756}
    }


def test_what_is_not_known_is_found_for_every_kind():
    unknown = since(use(SENDING, "group", 705), trouble="The database does not answer.")
    found = settle(inventory(), unknown, margin=50, recorded=inventory())
    assert [each.kind for each in found.raises] == ["group"]
    assert [(each.kind, each.rule) for each in found.findings] == [("interchange", "control-numbers-known")]
    estimated = settle(inventory(), unknown, margin=50, recorded=inventory(), estimates={"interchange": 200})
    assert estimated.changes()[SENDING]["InterchangeControlNumberLowerBound"] == 1000 + 200 + 51
    assert estimated.findings == ()
    unrecorded = settle(inventory(), unknown, margin=50, estimates={"interchange": 200})
    assert "last number of the backup" in unrecorded.findings[0].sentence


def test_the_range_of_the_replaced_service_counts():
    told = entities()
    told["Agreements"][0]["ProtocolSettings"]["InterchangeControlNumberPrefix"] = "7"
    told["Agreements"][0]["ProtocolSettings"]["InterchangeControlNumberUpperBound"] = 99_999_999
    living = inventory_of(service(), told, taken_at=NOW)
    found = settle(inventory(), since(use(SENDING, "interchange", 1005)), margin=50, living=living)
    assert [each.rule for each in found.findings] == ["control-number-range"]


def test_an_agreement_that_the_restored_service_does_not_have():
    found = settle(inventory(), since(use("Litware X12 send", "interchange", 1005)), margin=50)
    assert found.raises == ()
    (finding,) = found.findings
    assert (finding.agreement, finding.rule) == ("Litware X12 send", "control-number-range")
    assert "the highest 1005, but has no range for them in the restored service" in finding.sentence


def test_a_range_that_cannot_be_read():
    told = entities()
    told["Agreements"][0]["ProtocolSettings"]["GroupControlNumberUpperBound"] = "many"
    broken = inventory_of(service(), told, taken_at=NOW)
    assert settle(broken, since(), margin=50) == Settlement()
    (finding,) = settle(broken, since(use(SENDING, "group", 5)), margin=50).findings
    assert finding.rule == "control-number-range"


def test_a_service_whose_ranges_could_not_be_read():
    blind: Inventory = inventory_of(service(), None, taken_at=NOW, trouble="The token was refused.")
    (finding,) = settle(blind, since(), margin=50).findings
    assert (finding.agreement, finding.kind, finding.rule) == (ALL, ALL, "control-numbers-known")
    assert "The token was refused." in finding.sentence
