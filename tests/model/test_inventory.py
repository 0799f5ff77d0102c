"""The inventory as a record: stable, complete, without secrets."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from biztalk_services.model.control_numbers import ControlNumberUse
from biztalk_services.model.inventory import SCHEMA_VERSION, InvalidInventoryError, Inventory, Item, is_secret
from biztalk_services.model.redaction import HIDDEN, looks_secret
from hypothesis import given
from hypothesis import strategies as st

from tests.biztalk.inventories import SECRETS, SENDING, USES, inventory, item

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
    with pytest.raises(InvalidInventoryError, match=f"cannot be read: {name} is missing"):
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
        ("control_numbers", [{}]),
        ("control_numbers", [5]),
        ("parts", {"partner management": 5}),
        ("parts", None),
    ],
)
def test_a_field_of_the_wrong_type_is_refused(name, value):
    with pytest.raises(InvalidInventoryError):
        Inventory.from_dict(inventory().to_dict() | {name: value})


def test_a_changed_item_is_noticed():
    items = _with_item(lambda item: item["attributes"].update(ProtocolName="EDIFACT"))
    with pytest.raises(InvalidInventoryError, match=f"agreement {SENDING} of this inventory was changed"):
        Inventory.from_dict(inventory().to_dict() | {"items": items})


def test_a_field_that_is_not_known_is_ignored():
    record = inventory().to_dict() | {"mood": "good", "counts": {"agreements": 1, "bridges": None}}
    assert Inventory.from_dict(record) == inventory()


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_refused_in_every_field(secret):
    places = {
        "edition": secret,
        "product_version": secret,
        "items": (Item("partner", "x", {"Description": secret}),),
        "settings": {"x": secret},
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
