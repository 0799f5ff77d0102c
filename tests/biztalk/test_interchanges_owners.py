"""Whose numbers an interchange carries: by identities and kind, without affixes; what is unclear counts for none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from biztalk_services.drivers.biztalk.interchanges.envelopes import Interchange, interchanges_in
from biztalk_services.drivers.biztalk.interchanges.owners import Counted, Numbers, Owners
from biztalk_services.model.control_numbers import ControlNumberUse
from biztalk_services.model.inventory import Inventory, Item

from tests.biztalk.edi_texts import OUR_GLN, THEIR_GLN, THEM, US, edifact, x12
from tests.biztalk.inventories import NOW, inventory

SEND, RECEIVE, EDIFACT_SEND, EDIFACT_RECEIVE = "X12 send", "X12 receive", "EDIFACT send", "EDIFACT receive"
ACKNOWLEDGED = [("FA", "4", [("997", "0004")])]
KINDS = ("Interchange", "Group", "TransactionSet")


def item_of_identity(partner: str, name: str, identity: tuple[str, str]) -> Item:
    attributes = {"Name": name, "Qualifier": identity[0], "Value": identity[1]}
    return Item("identity", f"{partner}/Default/{name}", attributes)


def items_of_agreement(
    name: str, protocol: str, ends: tuple[str, str, str], kinds: tuple[str, ...], **settings: Any
) -> list[Item]:
    """:param ends: partners that send and receive, and the name of their identities."""
    sender, receiver, identity = ends
    attributes: dict[str, Any] = {"Name": name, "ProtocolName": protocol}
    for end, partner in (("Sender", sender), ("Receiver", receiver)):
        attributes |= {f"{end}.Partner": partner, f"{end}.Profile": "Default", f"{end}.Identity": identity}
    ranges: dict[str, Any] = {"Type": f"{protocol}ProtocolSettings"}
    for kind in kinds:
        ranges |= {f"{kind}ControlNumberLowerBound": 1, f"{kind}ControlNumberUpperBound": 999_999}
    return [Item("agreement", name, attributes), Item("protocol settings", name, ranges | settings)]


def trading(*more: Item) -> Inventory:
    """Two partners, with an agreement for each direction."""
    items = [
        item_of_identity("Contoso", "DUNS", US),
        item_of_identity("Fabrikam", "DUNS", THEM),
        item_of_identity("Contoso", "GLN", OUR_GLN),
        item_of_identity("Fabrikam", "GLN", THEIR_GLN),
        *items_of_agreement(SEND, "X12", ("Contoso", "Fabrikam", "DUNS"), KINDS),
        *items_of_agreement(RECEIVE, "X12", ("Fabrikam", "Contoso", "DUNS"), ("Acknowledgement",)),
        *items_of_agreement(
            EDIFACT_SEND, "EDIFACT", ("Contoso", "Fabrikam", "GLN"), KINDS, TransactionSetControlNumberPrefix="FA"
        ),
        *items_of_agreement(EDIFACT_RECEIVE, "EDIFACT", ("Fabrikam", "Contoso", "GLN"), ("Acknowledgement",)),
    ]
    return inventory(items=tuple(sorted([*items, *more], key=lambda item: (item.kind, item.name))))


def counted(*texts: str, known: Inventory | None = None) -> Counted:
    owners, into = Owners(known or trading()), Counted()
    for each in interchanges_in(iter(["".join(texts).encode()])):
        assert isinstance(each, Interchange)
        owners.count(each, into)
    return into


def test_numbers_are_counted_by_agreement_and_kind():
    found = counted(
        x12("000000041", [("PO", "7", [("850", "0001"), ("850", "0002")]), ("IN", "8", [("810", "0003")])]),
        x12("000000040"),
        edifact("00009", [("FA000010", "ORDERS"), ("FA11", "ORDERS")], group="77"),
    )
    assert found.numbers == {
        (SEND, "interchange"): Numbers(41, 40, 2),
        (SEND, "group"): Numbers(8, 1, 3),
        (SEND, "transaction_set"): Numbers(3, 1, 4),
        (EDIFACT_SEND, "interchange"): Numbers(9, 9, 1),
        (EDIFACT_SEND, "group"): Numbers(77, 77, 1),
        (EDIFACT_SEND, "transaction_set"): Numbers(11, 11, 2),
    }
    assert (found.interchanges, found.foreign, found.unclear) == (3, 0, {})


def test_what_stands_before_the_last_number_of_the_backup_was_sent_before_it():
    """A blob may be archived late, or be one of a whole day."""
    known = replace(trading(), control_numbers=(ControlNumberUse(SEND, "interchange", 7, 7, 7, NOW),))
    found = counted(*(x12(f"{number:09}") for number in (5, 6, 7, 8, 9)), known=known)
    assert found.numbers[SEND, "interchange"] == Numbers(9, 9, 2, follows_backup=True)
    assert found.numbers[SEND, "group"] == Numbers(1, 1, 5)
    assert counted(x12("000000007"), known=known).numbers[SEND, "interchange"] == Numbers(follows_backup=True)


def test_an_acknowledgement_is_of_the_agreement_that_received():
    found = counted(x12("000000004", ACKNOWLEDGED), edifact("5", [("5", "CONTRL")]))
    assert found.numbers == {
        (RECEIVE, "acknowledgement"): Numbers(4, 4, 1),
        (EDIFACT_RECEIVE, "acknowledgement"): Numbers(5, 5, 1),
    }


def test_what_was_received_is_of_others():
    there = {"sender": THEM, "receiver": US}
    received = x12("000000004", **there), x12("000000005", ACKNOWLEDGED, **there)
    found = counted(*received, edifact("6", sender=THEIR_GLN, receiver=OUR_GLN))
    assert (found.numbers, found.foreign, found.unclear) == ({}, 3, {})


@pytest.mark.parametrize(
    "changes",
    [{"sender": ("ZZ", US[1])}, {"receiver": ("01", "0607047800")}, {"sender": ("01", "79928354")}],
    ids=["qualifier", "value", "without zero"],
)
def test_unknown_identities_are_told(changes):
    found = counted(x12("000000004", **changes), x12("000000005"))
    sender, receiver = (changes.get(end, known) for end, known in (("sender", US), ("receiver", THEM)))
    ends = f"from {':'.join(sender)} to {':'.join(receiver)}"
    assert found.unclear == {f"{ends} are of no X12 agreement of the inventory": 1}
    assert found.numbers[SEND, "interchange"] == Numbers(5, 5, 1)


def test_identities_of_several_agreements_are_told_and_count_for_none():
    again = items_of_agreement("X12 invoices", "X12", ("Contoso", "Fabrikam", "DUNS"), KINDS)
    found = counted(x12("000000004"), x12("000000005"), known=trading(*again))
    assert found.unclear == {
        "from 01:079928354 to 01:060704780 may be of the agreements X12 invoices, X12 send": 2,
    }
    assert found.numbers == {}


def test_the_same_identities_in_the_other_standard_are_another_agreement():
    found = counted(edifact("4", sender=US, receiver=THEM))
    assert found.unclear == {"from 01:079928354 to 01:060704780 are of no EDIFACT agreement of the inventory": 1}


@pytest.mark.parametrize(
    ("text", "settings", "number"),
    [
        ("000000012", {}, 12),
        ("900000012", {"InterchangeControlNumberPrefix": "9"}, 12),
        ("000012345", {"InterchangeControlNumberSuffix": "45"}, 123),
        ("790000012", {"InterchangeControlNumberPrefix": "78"}, None),
        ("000000012", {"InterchangeControlNumberSuffix": "3"}, None),
        ("00000012A", {}, None),
        ("000000-12", {}, None),
        ("٣٤", {}, None),
        ("12", {"InterchangeControlNumberPrefix": "1", "InterchangeControlNumberSuffix": "2"}, None),
        ("1", {"InterchangeControlNumberPrefix": "1", "InterchangeControlNumberSuffix": "1"}, None),
    ],
    ids=[
        "plain",
        "prefix",
        "suffix",
        "other prefix",
        "other suffix",
        "letter",
        "sign",
        "digits of Arabic",
        "none",
        "short",
    ],
)
def test_prefix_and_suffix(text, settings, number):
    again = items_of_agreement("own", "EDIFACT", ("Contoso", "Contoso", "GLN"), ("Interchange",), **settings)
    found = counted(edifact(text, [], receiver=OUR_GLN), known=trading(*again))
    assert found.numbers == ({("own", "interchange"): Numbers(number, number, 1)} if number else {})
    assert len(found.unclear) == (0 if number else 1)


def test_a_number_that_is_longer_than_python_reads_is_told():
    found = counted(x12("000000041", [("PO", "7", [("850", "9" * 5000)])]))
    assert (SEND, "transaction_set") not in found.numbers
    assert found.unclear.total() == 1


def test_a_number_of_a_kind_without_a_range_is_told():
    again = items_of_agreement("own", "X12", ("Contoso", "Contoso", "DUNS"), ("Interchange", "TransactionSet"))
    found = counted(x12("000000004", receiver=US), known=trading(*again))
    assert set(found.numbers) == {("own", "interchange"), ("own", "transaction_set")}
    assert found.unclear == {"of agreement own have a group control number that is not of its range ": 1}
