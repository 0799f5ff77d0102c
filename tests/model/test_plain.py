"""Dataclasses as plain JSON values and back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal

import pytest
from biztalk_services.model.backup import StoredBlob
from biztalk_services.model.control_numbers import NumberRow
from biztalk_services.model.drain import ActiveBatch, DrainStatus
from biztalk_services.model.plain import from_plain, texts_in, to_plain
from biztalk_services.model.requests import BackupRequest, NightRequest, RestoreRequest, ServiceRequest
from biztalk_services.model.run import Run, RunState
from biztalk_services.model.steps import (
    BackupJob,
    CheckedBackup,
    ChosenService,
    ConfirmedPlan,
    FoundSuspension,
    ReachedState,
    StartedBackup,
    Suspension,
    SuspensionDecision,
    VerifiedBackup,
)
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 1, 1, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Part:
    name: str
    size: int
    note: str | None = None


@dataclass(frozen=True)
class Whole:
    text: str
    number: int
    ratio: float
    truth: bool
    answer: Literal["empty", "active"]
    at: datetime
    part: Part
    parts: tuple[Part, ...] = ()
    named: dict[str, int | None] = field(default_factory=dict)
    anything: dict[str, Any] = field(default_factory=dict)
    maybe: Part | None = None


WHOLE = Whole(
    text="übermorgen",
    number=5,
    ratio=0.5,
    truth=True,
    answer="empty",
    at=NOW,
    part=Part("a", 1),
    parts=(Part("b", 2, "x"), Part("c", 3)),
    named={"agreements": 12, "bridges": None},
    anything={"list": [1, "x", None, {"deep": True}]},
    maybe=Part("d", 4),
)
PLAIN = {
    "text": "übermorgen",
    "number": 5,
    "ratio": 0.5,
    "truth": True,
    "answer": "empty",
    "at": "2026-01-01T02:00:00+00:00",
    "part": {"name": "a", "size": 1, "note": None},
    "parts": [{"name": "b", "size": 2, "note": "x"}, {"name": "c", "size": 3, "note": None}],
    "named": {"agreements": 12, "bridges": None},
    "anything": {"list": [1, "x", None, {"deep": True}]},
    "maybe": {"name": "d", "size": 4, "note": None},
}


def without(name: str) -> dict[str, Any]:
    return {each: value for each, value in PLAIN.items() if each != name}


# --- there and back --------------------------------------------------------------------------------------------------


def test_the_written_form():
    assert to_plain(WHOLE) == PLAIN
    assert json.loads(json.dumps(to_plain(WHOLE))) == PLAIN


def test_it_is_read_back():
    assert from_plain(Whole, json.loads(json.dumps(PLAIN))) == WHOLE
    assert from_plain(Whole, PLAIN | {"maybe": None, "parts": []}) == Whole(
        **{**vars(WHOLE), "maybe": None, "parts": ()}
    )


def test_types_of_what_is_read_back():
    read = from_plain(Whole, PLAIN)
    assert (type(read.parts), type(read.part), type(read.parts[0])) == (tuple, Part, Part)
    assert read.at.utcoffset() == timedelta(0)


def test_unknown_fields_are_ignored():
    part = PLAIN["part"] | {"mood": "good"}
    assert from_plain(Whole, PLAIN | {"mood": "good", "part": part}) == WHOLE


def test_times_keep_their_offset():
    zone = timezone(timedelta(hours=-7, minutes=-30))
    at = NOW.astimezone(zone)
    plain = to_plain(Whole(**{**vars(WHOLE), "at": at}))
    assert plain["at"] == "2025-12-31T18:30:00-07:30"
    read = from_plain(Whole, plain)
    assert (read.at, read.at.utcoffset()) == (at, at.utcoffset())
    assert to_plain(read) == plain


EXAMPLES = [
    Run("biztalk_restore", "manual__1", "a1b2c3d4"),
    StoredBlob("a.json", 3, "a" * 64),
    BackupJob("biztalk_default", "contoso-west/orders", "orders-20260101-020000-0a1b2c"),
    ChosenService("biztalk_default", "5f3c", "contoso-west/orders", "contoso-west", "orders", None, "premium", True),
    CheckedBackup("contoso-west/orders", "5f3c", "premium", None, "West US", "Active"),
    Suspension("Active", True, "Suspended", None),
    ReachedState(None, None, NOW),
    StartedBackup("op", "backups", "orders", "https://backups/orders", None, NOW),
    VerifiedBackup((StoredBlob("a", 1, "b"),), {"agreements": 2, "bridges": None}, "matched", "All blobs.", NOW),
    FoundSuspension({"service": "contoso-west/orders"}, "biztalk_default", RunState.ENDED, False, None),
    FoundSuspension(None, None, None, False, "It is not a record."),
    SuspensionDecision("contoso-west/orders", None, "close", "the service does not exist any more"),
    ConfirmedPlan("contoso-west/orders", "ab12", NOW),
    NumberRow("Fabrikam", "interchange", 10, None, 121, True, "It has given out 10."),
    DrainStatus(answer="active", batches=(ActiveBatch("a", "b", 1, NOW),), source="s", reason="r", checked_at=NOW),
    NightRequest(services=("orders", "billing")),
    ServiceRequest(conn_id="north", service="west/orders", backup_name="orders-1"),
    BackupRequest(label="x"),
    RestoreRequest(service="orders", overrides={"unit_count": 3, "edition": "premium"}),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: type(each).__name__)
def test_what_is_stored_survives_json(example):
    plain = json.loads(json.dumps(to_plain(example)))
    assert from_plain(type(example), plain) == example
    assert to_plain(from_plain(type(example), plain)) == plain


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


ZONE = st.builds(timezone, st.integers(-14 * 60, 14 * 60).map(lambda minutes: timedelta(minutes=minutes)))
MOMENT = st.datetimes(timezones=ZONE)


@given(st.text(), st.integers(), MOMENT, st.dictionaries(st.text(), JSON, max_size=3))
def test_any_value_survives_json(text, number, at, anything):
    original = Whole(**{**vars(WHOLE), "text": text, "number": number, "at": at, "anything": anything})
    read = from_plain(Whole, json.loads(json.dumps(to_plain(original))))
    assert read == original
    assert [repr(each) for each in read.anything.values()] == [repr(each) for each in anything.values()]


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PLAIN)
def test_a_missing_field_is_named(name):
    """Also one that has a default: a record that lacks it is incomplete."""
    with pytest.raises(ValueError, match=f"^{name} is missing$"):
        from_plain(Whole, without(name))


def test_all_missing_fields_are_named():
    for nothing in ({}, [], None, "text", 5):
        with pytest.raises(ValueError, match=r"^text, number, ratio, .*, maybe is missing$"):
            from_plain(Whole, nothing)


def test_a_field_that_is_missing_inside_is_named():
    with pytest.raises(ValueError, match=r"part\.size"):
        from_plain(Whole, PLAIN | {"part": {"name": "a", "note": None}})
    with pytest.raises(ValueError, match=r"part\.note is missing"):
        from_plain(Whole, PLAIN | {"part": {"name": "a", "size": 1}})
    with pytest.raises(ValueError, match=r"parts\.1\.note is missing"):
        from_plain(Whole, PLAIN | {"parts": [PLAIN["part"], {"name": "a", "size": 1}]})


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        ("text", 5, "text"),
        ("text", None, "text"),
        ("number", "5", "number"),
        ("number", 5.5, "number"),
        ("number", True, "number"),
        ("ratio", "0.5", "ratio"),
        ("truth", 1, "truth"),
        ("truth", "true", "truth"),
        ("answer", "fine", "answer"),
        ("at", 1767225600, "at"),
        ("at", "yesterday", "at"),
        ("at", None, "at"),
        ("part", None, "part"),
        ("part", [], "part"),
        ("part", {"name": 5, "size": 1, "note": None}, "part.name"),
        ("parts", None, "parts"),
        ("parts", {"name": "a"}, "parts"),
        ("parts", [{"name": "b", "size": "2", "note": None}], "parts.0.size"),
        ("named", [], "named"),
        ("named", {"agreements": "many"}, "named.agreements"),
        ("maybe", "x", "maybe"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(name, value, where):
    with pytest.raises(ValueError, match=f"^{where}.* is of the wrong type") as caught:
        from_plain(Whole, PLAIN | {name: value})
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_a_wrong_value_is_not_shown():
    """It may be a secret."""
    with pytest.raises(ValueError, match=r"^number is of the wrong type") as caught:
        from_plain(Whole, PLAIN | {"number": "canary"})
    assert "canary" not in str(caught.value)


def test_what_the_dataclass_itself_refuses():
    values = to_plain(DrainStatus(answer="empty", source="s", checked_at=NOW))
    with pytest.raises(ValueError, match="time zone"):
        from_plain(DrainStatus, values | {"checked_at": "2026-01-01T02:00:00"})


# --- texts -----------------------------------------------------------------------------------------------------------


def test_texts_with_the_names():
    assert list(texts_in({"a": ["b", {"c": "d"}], "e": 5, "f": None})) == ["a", "b", "c", "d", "e", "f"]
    assert list(texts_in("x")) == ["x"]
    assert list(texts_in(5)) == []
