"""The inventory: complete, stable, without secrets, the same for a restored service."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import permutations
from random import Random
from typing import Any

import pytest
from biztalk_services.drivers.biztalk.entities import ENTITY_SETS, flatten, inventory_of, protocol_settings_of
from biztalk_services.drivers.biztalk.numbers.ranges import HIGHEST, UNREADABLE, Place, Range, ranges_of
from biztalk_services.model.control_numbers import ControlNumberUse
from biztalk_services.model.inventory import SCHEMA_VERSION, InvalidInventoryError, Inventory, Item, is_secret
from biztalk_services.model.redaction import HIDDEN, looks_secret
from hypothesis import given
from hypothesis import strategies as st

from tests.rules.inventories import COUNTS, NOW, SENDING, USES, entities, inventory, service

SECRETS = [
    "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=Y2FuYXJ5",
    "Data Source=tcp:x;User ID=sa;Password=canary",
    "https://x.blob.core.windows.net/c?sv=2024-01-01&sig=canary%3D",
    "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----",
]


def item(kind: str, name: str, taken: Inventory | None = None) -> Item:
    (found,) = [each for each in (taken or inventory()).items if (each.kind, each.name) == (kind, name)]
    return found


# --- taking it -------------------------------------------------------------------------------------------------------


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
    assert taken.counts == COUNTS
    assert taken.control_numbers == USES.uses
    assert taken.parts == {"partner management": None, "control numbers": None}
    assert taken.last_number(SENDING.upper(), "interchange") == 1000
    assert taken.last_number(SENDING, "group") is None


@given(st.randoms(use_true_random=False))
def test_a_restored_service_has_the_same_items(random: Random):
    """Other ids, addresses and ETags; another order of entities and properties."""
    told = entities(number=7)
    for entity_set in told.values():
        random.shuffle(entity_set)
        for place, entity in enumerate(entity_set):
            names = list(entity)
            random.shuffle(names)
            entity_set[place] = {name: entity[name] for name in names}
    restored = inventory_of(service(), told, taken_at=NOW, counts=COUNTS, uses=USES)
    assert restored.to_bytes() == inventory().to_bytes()


def test_things_of_the_same_name_are_told_apart_whatever_their_order():
    told = entities()
    same = [{"Name": "Fabrikam", "Use": use} for use in ("Signing", "Encryption", "Verification")]
    found = set()
    for order in permutations(same):
        told["CertificateReferences"] = list(order)
        taken = inventory_of(service(), told, taken_at=NOW)
        found.add(tuple((each.name, each.attributes["Use"]) for each in taken.items if each.kind == "certificate"))
    assert len(found) == 1
    assert [name for name, _ in found.pop()] == ["Fabrikam", "Fabrikam #2", "Fabrikam #3"]


@pytest.mark.parametrize("missing", ENTITY_SETS)
def test_an_entity_set_that_was_not_read(missing):
    told = entities()
    del told[missing]
    taken = inventory_of(service(), told, taken_at=NOW, uses=USES)
    assert taken.parts["partner management"] == f"{missing} was not read."
    assert taken.items


@pytest.mark.parametrize(
    ("entity_set", "link"), [(entity_set, link) for entity_set, links in ENTITY_SETS.items() for link in links]
)
def test_a_link_that_was_not_expanded(entity_set, link):
    told = entities()
    del told[entity_set][0][link]
    taken = inventory_of(service(), told, taken_at=NOW, uses=USES)
    assert taken.parts["partner management"] == f"{link} of {entity_set} were not read."


def test_what_could_not_be_read_at_all():
    taken = inventory_of(service(), None, taken_at=NOW, trouble="No token: Password=canary was refused.")
    assert taken.parts == {
        "partner management": f"No token: Password={HIDDEN} was refused.",
        "control numbers": "Nobody asked for it.",
    }
    unknown = replace(USES, trouble="The database is gone.")
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
    told = entities()
    told["Agreements"][0]["Description"] = secret
    told["Agreements"][0]["Transport"][secret] = {"x": 1}
    told["Agreements"][0]["Transport"]["FtpPassword"] = "canary"
    told["Partners"][0]["Name"] = secret
    text = inventory_of(service(), told, taken_at=NOW).to_bytes().decode()
    assert "canary" not in text
    assert "Y2FuYXJ5" not in text


@pytest.mark.parametrize(
    ("path", "value", "secret"),
    [
        ("Transport.Password", "x", True),
        ("FtpPassword", "x", True),
        ("Store.AccountKey", "x", True),
        ("SasToken[0]", "x", True),
        ("ArchiveStoreConnectionString", "x", True),
        ("Description", "Password=x", True),
        ("Transport.Password", HIDDEN, False),
        ("Transport.Password", "", False),
        ("PasswordRequired", True, False),
        ("Password.Length", "8", False),
        ("Thumbprint", "A" * 40, False),
    ],
)
def test_what_is_a_secret(path, value, secret):
    assert is_secret(path, value) is secret


def test_the_settings_of_an_agreement():
    found = protocol_settings_of(entities(), SENDING.lower())
    assert (found["@id"][-5:], found["@etag"]) == ("(105)", 'W/"1-5"')
    assert protocol_settings_of(entities(), "Litware") is None
    assert protocol_settings_of({}, SENDING) is None


def test_its_ranges():
    assert list(ranges_of(inventory())) == [
        Place(SENDING, "interchange", "X12", Range(1, HIGHEST, rollover=True)),
        Place(SENDING, "group", "X12", Range(1, 9999)),
    ]
    told = entities()
    told["Agreements"][0]["ProtocolSettings"]["GroupControlNumberUpperBound"] = "many"
    del told["Agreements"][0]["ProtocolName"]
    found = list(ranges_of(inventory_of(service(), told, taken_at=NOW)))
    assert found[1] == Place(SENDING, "group", "X12", UNREADABLE)
    assert UNREADABLE.trouble("X12")


# --- keeping it ------------------------------------------------------------------------------------------------------

TEXT = st.text(max_size=20).filter(lambda text: not looks_secret(text))
SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
ATTRIBUTES = st.dictionaries(st.from_regex(r"[A-F][a-f]{0,5}(\.[A-F][a-f])?", fullmatch=True), SCALAR, max_size=4)
ITEMS = st.lists(st.builds(Item, TEXT, TEXT, ATTRIBUTES), max_size=4, unique_by=lambda each: (each.kind, each.name))
MOMENT = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7, minutes=-30))]))
INVENTORY = st.builds(
    Inventory,
    service=st.from_regex(r"[a-zA-Z0-9][a-z0-9-]{2,30}", fullmatch=True),
    edition=st.none() | TEXT,
    product_version=st.none() | TEXT,
    taken_at=MOMENT,
    items=ITEMS.map(tuple),
    settings=st.dictionaries(TEXT, TEXT, max_size=3),
    counts=st.dictionaries(TEXT, st.none() | st.integers(0), max_size=3),
    control_numbers=st.sampled_from([(), USES.uses, (ControlNumberUse("a", "group"), *USES.uses)]),
    parts=st.dictionaries(TEXT, st.none() | TEXT, max_size=3),
)


@given(INVENTORY)
def test_an_inventory_survives_and_gives_the_same_bytes(original):
    content = original.to_bytes()
    copy = Inventory.from_bytes(content)
    assert copy == original
    assert copy.to_bytes() == content


def test_the_written_form_is_stable():
    values = json.loads(inventory().to_bytes())
    assert values["schema_version"] == SCHEMA_VERSION == 1
    assert values["taken_at"] == "2026-01-01T02:00:00+00:00"
    first = values["items"][0]
    assert list(first) == ["attributes", "kind", "name", "sha256"]
    assert first["sha256"] == item("agreement", SENDING).sha256
    assert len(first["sha256"]) == 64


@pytest.mark.parametrize("name", [each.name for each in fields(Inventory)])
def test_a_missing_field_is_named(name):
    values = inventory().to_dict()
    del values[name]
    with pytest.raises(InvalidInventoryError, match=f"incomplete: {name} is missing"):
        Inventory.from_dict(values)


@pytest.mark.parametrize("version", [2, 99])
def test_a_newer_version_is_refused(version):
    with pytest.raises(InvalidInventoryError, match=f"schema version {version}; this program understands up to 1"):
        Inventory.from_dict(inventory().to_dict() | {"schema_version": version})


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"5", b"null", b"[" * 100_000, b'{"items": []}'])
def test_what_is_no_inventory_is_refused(content):
    with pytest.raises(InvalidInventoryError, match="not an inventory"):
        Inventory.from_bytes(content)


def _with_item(change: Callable[[dict[str, Any]], None]) -> list[dict[str, Any]]:
    items = inventory().to_dict()["items"]
    change(items[0])
    return items


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("service", 5),
        ("service", None),
        ("service", "../x"),
        ("edition", 5),
        ("taken_at", "yesterday"),
        ("taken_at", "2026-01-01T00:00:00"),
        ("taken_at", None),
        ("items", None),
        ("items", [5]),
        ("items", [{"kind": "partner"}]),
        ("items", _with_item(lambda item: item.update(kind=5))),
        ("items", _with_item(lambda item: item.pop("sha256"))),
        ("items", _with_item(lambda item: item["attributes"].update(x=[]))),
        ("items", _with_item(lambda item: item.update(attributes=[]))),
        ("items", inventory().to_dict()["items"] * 2),
        ("settings", {"UnitCount": 2}),
        ("settings", []),
        ("counts", {"agreements": "many"}),
        ("counts", {"agreements": True}),
        ("control_numbers", [{}]),
        ("control_numbers", [5]),
        ("parts", {"partner management": 5}),
        ("parts", None),
    ],
)
def test_a_field_of_the_wrong_kind_is_refused(name, value):
    with pytest.raises(InvalidInventoryError):
        Inventory.from_dict(inventory().to_dict() | {name: value})


def test_a_changed_item_is_noticed():
    items = _with_item(lambda item: item["attributes"].update(ProtocolName="EDIFACT"))
    with pytest.raises(InvalidInventoryError, match=f"agreement {SENDING} of this inventory was changed"):
        Inventory.from_dict(inventory().to_dict() | {"items": items})


def test_a_field_that_is_not_known_is_passed_over():
    assert Inventory.from_dict(inventory().to_dict() | {"mood": "good"}) == inventory()


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_cannot_get_in_anywhere(secret):
    places = {
        "edition": secret,
        "product_version": secret,
        "items": (Item("partner", "x", {"Description": secret}),),
        "settings": {"x": secret},
        "counts": {secret: 1},
        "control_numbers": (ControlNumberUse(secret, "group"),),
        "parts": {"partner management": secret},
    }
    for place, value in places.items():
        with pytest.raises(InvalidInventoryError, match="looks like it holds a secret") as caught:
            inventory(**{place: value})
        assert "canary" not in str(caught.value)
        assert "Y2FuYXJ5" not in str(caught.value)
    with pytest.raises(InvalidInventoryError, match=r"Transport\.Password of partner x looks like a secret") as caught:
        inventory(items=(Item("partner", "x", {"Transport.Password": "canary"}),))
    assert "canary" not in str(caught.value)


def test_the_time_has_a_zone():
    with pytest.raises(InvalidInventoryError, match="taken_at"):
        inventory(taken_at=datetime(2026, 1, 1))
