"""What differs between two inventories, and what cannot be compared."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from biztalk_services.drivers.biztalk.entities import inventory_of
from biztalk_services.model.differences import Difference, differences
from biztalk_services.model.inventory import Inventory, Item
from hypothesis import given
from hypothesis import strategies as st

from tests.biztalk.inventories import NOW, SENDING, USES, entities, inventory, service


def changed(change: Any, **more: Any) -> Inventory:
    """The inventory after a change of the entities."""
    after = entities()
    change(after)
    return inventory_of(service(**more), after, taken_at=NOW, uses=USES)


def parts_of(result: tuple[Difference, ...]) -> list[tuple[str, str, Any, Any]]:
    return [(each.path, each.change, each.before, each.after) for each in result]


def only(result: tuple[Difference, ...]) -> Difference:
    (one,) = result
    return one


def test_the_same():
    assert differences(inventory(), inventory()) == ()
    later = inventory(taken_at=NOW + timedelta(days=1), control_numbers=())
    assert differences(inventory(), later) == ()


def test_a_changed_attribute():
    after = changed(lambda all_: all_["Agreements"][0]["BatchDescriptions"][0].update(MessageCount=20))
    result = only(differences(inventory(), after))
    assert result == Difference("batch", f"{SENDING}/by ten", "MessageCount", "changed", 10, 20)
    assert result.path == f"batch[{SENDING}/by ten].MessageCount"
    assert result.sentence() == "Batch Fabrikam X12 send/by ten: MessageCount changed from 10 to 20."


def test_added_and_removed_attributes():
    after = changed(lambda all_: all_["Partners"][0].update(Phone="1"))
    result = only(differences(inventory(), after))
    assert result.sentence() == "Partner Fabrikam: Phone was added ('1')."
    assert only(differences(after, inventory())).sentence() == "Partner Fabrikam: Phone was removed ('1')."


def test_added_and_removed_items():
    after = changed(lambda all_: all_["Partners"].append({"Name": "Litware"}))
    result = only(differences(inventory(), after))
    assert result == Difference("partner", "Litware", None, "added")
    assert result.sentence() == "Partner Litware was added."
    assert only(differences(after, inventory())).sentence() == "Partner Litware was removed."


def test_settings_edition_and_service():
    after = inventory(edition="standard", service="orders2", settings={"UnitCount": "1"})
    result = differences(inventory(), after)
    assert parts_of(result) == [
        ("service", "changed", "orders", "orders2"),
        ("settings.Edition", "changed", "premium", "standard"),
        (
            "settings.TrackingStoreConnectionString",
            "removed",
            "Data Source=tcp:sql.example;Initial Catalog=Tracking",
            None,
        ),
        ("settings.UnitCount", "changed", "2", "1"),
    ]
    assert result[0].sentence() == "Service changed from 'orders' to 'orders2'."
    assert result[1].sentence() == "Setting Edition changed from 'premium' to 'standard'."


def test_what_could_not_be_read_is_a_difference():
    blind = inventory_of(service(), None, taken_at=NOW, problem="The token was refused.")
    seeing = inventory()
    for before, after, sentence in (
        (seeing, blind, "Partner management cannot be compared (after: The token was refused)."),
        (blind, seeing, "Partner management cannot be compared (before: The token was refused)."),
        (
            blind,
            blind,
            "Partner management cannot be compared (before: The token was refused.; after: The token was refused).",
        ),
    ):
        result = differences(before, after)
        assert [each.path for each in result] == ["parts.control numbers", "parts.partner management"]
        assert result[1].sentence() == sentence
    bare = replace(seeing, parts={})
    assert [each.change for each in differences(seeing, bare)] == ["not comparable", "not comparable"]


def test_a_part_that_no_earlier_version_had():
    after = inventory(parts={"bridges": None, **inventory().parts})
    (result,) = differences(inventory(), after)
    assert (result.path, result.before, result.after) == ("parts.bridges", "It is not in the inventory.", None)


@pytest.mark.parametrize(
    ("allowed", "unexpected"),
    [
        ((), ["settings.Edition", "settings.UnitCount", "partner[Fabrikam].Description"]),
        (("settings.Edition",), ["settings.UnitCount", "partner[Fabrikam].Description"]),
        (("settings",), ["partner[Fabrikam].Description"]),
        (("settings.Edit", "setting", "partner[Fabrikam].Desc"), None),
        (("settings", "partner[Fabrikam]"), []),
        (("settings", "partner"), []),
        (("settings", "partner[Fabrikam].Description"), []),
    ],
)
def test_what_is_allowed_is_marked(allowed, unexpected):
    after = changed(lambda all_: all_["Partners"][0].update(Description="customer"), edition="standard")
    after = replace(after, settings=dict(after.settings) | {"UnitCount": "1"})
    result = differences(inventory(), after, allowed=allowed)
    assert len(result) == 3
    left = [each.path for each in result if not each.allowed]
    assert left == ([each.path for each in result] if unexpected is None else unexpected)
    assert all(each.sentence().endswith(", as expected.") for each in result if each.allowed)


def test_long_and_odd_values_make_one_short_line():
    after = changed(lambda all_: all_["Partners"][0].update(Description="a\n\x1b[31m" + "x" * 1000))
    sentence = only(differences(inventory(), after)).sentence()
    assert len(sentence) < 200
    assert sentence.isprintable()


def test_a_difference_as_json():
    after = changed(lambda all_: all_["Partners"][0].update(Description=None))
    values = only(differences(inventory(), after)).to_dict()
    assert json.loads(json.dumps(values)) == {
        "path": "partner[Fabrikam].Description",
        "kind": "partner",
        "name": "Fabrikam",
        "attribute": "Description",
        "change": "changed",
        "before": "supplier",
        "after": None,
        "allowed": False,
    }


SCALAR = st.sampled_from([None, True, False, 0, 1, 0.0, -0.0, 1.0, "", "1", "True", "None"])
ITEMS = st.dictionaries(
    st.sampled_from("abc"), st.dictionaries(st.sampled_from("xyz"), SCALAR, max_size=3), max_size=3
).map(lambda all_: tuple(Item("partner", name, attributes) for name, attributes in all_.items()))


@given(ITEMS, ITEMS)
def test_a_difference_is_found_where_there_is_one(left, right):
    before, after = inventory(items=left), inventory(items=right)
    there, back = differences(before, after), differences(after, before)
    hashes = [{each.name: each.sha256 for each in items} for items in (left, right)]
    assert bool(there) == (hashes[0] != hashes[1])
    turned = {"added": "removed", "removed": "added", "changed": "changed"}
    assert [(each.path, turned[each.change], repr(each.after), repr(each.before)) for each in there] == [
        (each.path, each.change, repr(each.before), repr(each.after)) for each in back
    ]
