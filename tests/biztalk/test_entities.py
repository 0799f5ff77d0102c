"""The inventory of a service: complete, without secrets, the same for a restored service."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from random import Random

import pytest
from biztalk_services.drivers.biztalk.entities import ENTITY_SETS, flatten, inventory_of, protocol_settings_of
from biztalk_services.drivers.biztalk.numbers.ranges import HIGHEST, UNREADABLE, Place, Range, ranges_of
from biztalk_services.model.redaction import HIDDEN
from hypothesis import given
from hypothesis import strategies as st

from tests.biztalk.inventories import NOW, SECRETS, SENDING, USES, entities, inventory, item, service


def test_the_items_and_their_names():
    assert [(each.kind, each.name) for each in inventory().items] == [
        ("agreement", SENDING),
        ("batch", f"{SENDING}/by ten"),
        ("certificate", "Fabrikam"),
        ("identity", "Fabrikam/Default/DUNS"),
        ("partner", "Fabrikam"),
        ("profile", "Fabrikam/Default"),
        ("protocol settings", SENDING),
    ]


def test_the_attributes():
    assert item("agreement", SENDING).attributes == {
        "Name": SENDING,
        "ProtocolName": "X12",
        "EnabledInternal": True,
        "DocumentTypes[0]": "850",
        "DocumentTypes[1]": "860",
        "Sender.Partner": "Contoso",
        "Sender.Profile": "Default",
        "Sender.Identity": "DUNS",
        "Transport.Kind": "FTP",
        "Transport.Address": "ftp://edi.example/in",
        "Transport.Password": HIDDEN,
    }
    assert item("profile", "Fabrikam/Default").attributes == {
        "Name": "Default",
        "Description": "supplier",
        "CertificateReferences": "Fabrikam",
    }
    assert item("identity", "Fabrikam/Default/DUNS").attributes["Value"] == "060704780"
    assert item("protocol settings", SENDING).attributes["Type"] == "X12ProtocolSettings"
    assert "canary" not in inventory().to_bytes().decode()


def test_the_rest():
    taken = inventory()
    assert (taken.service, taken.edition, taken.product_version) == ("orders", "premium", "1.1.0")
    assert taken.settings["UnitCount"] == "2"
    assert taken.control_numbers == USES.uses
    assert taken.parts == {"partner management": None, "control numbers": None}
    assert taken.last_number(SENDING.upper(), "interchange") == 1000
    assert taken.last_number(SENDING, "group") is None


@given(st.randoms(use_true_random=False))
def test_a_restored_service_has_the_same_items(random: Random):
    """Other ids, addresses and ETags; another order of entities and properties."""
    restored_entities = entities(number=7)
    for entity_set in restored_entities.values():
        random.shuffle(entity_set)
        for place, entity in enumerate(entity_set):
            names = list(entity)
            random.shuffle(names)
            entity_set[place] = {name: entity[name] for name in names}
    restored = inventory_of(service(), restored_entities, taken_at=NOW, uses=USES)
    assert restored.to_bytes() == inventory().to_bytes()


def test_things_of_the_same_name_are_numbered_in_any_order():
    changed = entities()
    same = [{"Name": "Fabrikam", "Use": use} for use in ("Signing", "Encryption", "Verification")]
    result = set()
    for order in permutations(same):
        changed["CertificateReferences"] = list(order)
        taken = inventory_of(service(), changed, taken_at=NOW)
        result.add(tuple((each.name, each.attributes["Use"]) for each in taken.items if each.kind == "certificate"))
    assert len(result) == 1
    assert [name for name, _ in result.pop()] == ["Fabrikam", "Fabrikam #2", "Fabrikam #3"]


@pytest.mark.parametrize("missing", ENTITY_SETS)
def test_an_entity_set_that_was_not_read(missing):
    changed = entities()
    del changed[missing]
    taken = inventory_of(service(), changed, taken_at=NOW, uses=USES)
    assert taken.parts["partner management"] == f"{missing} was not read."
    assert taken.items


@pytest.mark.parametrize(
    ("entity_set", "link"), [(entity_set, link) for entity_set, links in ENTITY_SETS.items() for link in links]
)
def test_a_link_that_was_not_expanded(entity_set, link):
    changed = entities()
    del changed[entity_set][0][link]
    taken = inventory_of(service(), changed, taken_at=NOW, uses=USES)
    assert taken.parts["partner management"] == f"{link} of {entity_set} were not read."


def test_what_could_not_be_read_at_all():
    taken = inventory_of(service(), None, taken_at=NOW, problem="No token: Password=canary was refused.")
    assert taken.parts == {
        "partner management": f"No token: Password={HIDDEN} was refused.",
        "control numbers": "It was not read.",
    }
    unknown = replace(USES, problem="The database is gone.")
    assert inventory_of(service(), {}, taken_at=NOW, uses=unknown).parts["control numbers"] == "The database is gone."


def test_flattening():
    value = {"a": [{"Name": "x", "Id": 5, "n": 1.5}, {"Name": "y", "n": float("inf")}], "b": [{"n": 1}, 2], "c": None}
    assert dict(flatten(value)) == {
        "a[x].Name": "x",
        "a[x].n": 1.5,
        "a[y].Name": "y",
        "a[y].n": "inf",
        "b[0].n": 1,
        "b[1]": 2,
        "c": None,
    }
    assert dict(flatten({"FunctionalId": "PO", "AgreementId": 7, "BatchID": None, "ETag": "x"})) == {
        "FunctionalId": "PO"
    }
    assert dict(flatten([{"Name": "same"}, {"Name": "same"}])) == {"[0].Name": "same", "[1].Name": "same"}


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_hidden_wherever_it_stands(secret):
    changed = entities()
    changed["Agreements"][0]["Description"] = secret
    changed["Agreements"][0]["Transport"][secret] = {"x": 1}
    changed["Agreements"][0]["Transport"]["FtpPassword"] = "canary"
    changed["Partners"][0]["Name"] = secret
    text = inventory_of(service(), changed, taken_at=NOW).to_bytes().decode()
    assert "canary" not in text
    assert "Y2FuYXJ5" not in text


def test_the_settings_of_an_agreement():
    result = protocol_settings_of(entities(), SENDING.lower())
    assert (result["@id"][-5:], result["@etag"]) == ("(105)", 'W/"1-5"')
    assert protocol_settings_of(entities(), "Litware") is None
    assert protocol_settings_of({}, SENDING) is None


def test_its_ranges():
    assert list(ranges_of(inventory())) == [
        Place(SENDING, "interchange", "X12", Range(1, HIGHEST, rollover=True)),
        Place(SENDING, "group", "X12", Range(1, 9999)),
    ]
    changed = entities()
    changed["Agreements"][0]["ProtocolSettings"]["GroupControlNumberUpperBound"] = "many"
    del changed["Agreements"][0]["ProtocolName"]
    result = list(ranges_of(inventory_of(service(), changed, taken_at=NOW)))
    assert result[1] == Place(SENDING, "group", "X12", UNREADABLE)
    assert UNREADABLE.problem("X12")
