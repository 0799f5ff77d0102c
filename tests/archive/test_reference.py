"""The backup reference: complete, stable, without secrets."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from biztalk_services.archive.blobs import json_bytes
from biztalk_services.drivers.biztalk.info import INFO
from biztalk_services.model.backup import (
    SCHEMA_VERSION,
    BackupReference,
    Drain,
    InvalidReferenceError,
    NotIncluded,
    StoredBlob,
    Verification,
)
from biztalk_services.model.drain import ActiveBatch, DrainStatus
from biztalk_services.model.redaction import looks_secret
from biztalk_services.model.run import Run
from hypothesis import given
from hypothesis import strategies as st

from tests.archive.samples import NOW, reference, schema_1

SECRETS = [
    "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=Y2FuYXJ5",
    "Data Source=tcp:x;User ID=sa;Password=canary",
    "https://x.blob.core.windows.net/c?sv=2024-01-01&sig=canary%3D",
    "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----",
]

TEXT = st.text(max_size=40).filter(lambda text: not looks_secret(text))
MOMENT = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7, minutes=-30))]))
COUNTS = st.dictionaries(TEXT, st.none() | st.integers(0), max_size=4)
BATCH = st.builds(ActiveBatch, TEXT, TEXT, st.integers(1), st.none() | st.datetimes(timezones=st.just(UTC)))
REPORT = st.builds(
    lambda batches, source, reason, checked_at: DrainStatus(
        answer="active" if batches else "empty",
        batches=tuple(batches),
        source=source,
        reason=reason,
        checked_at=checked_at,
    ),
    st.lists(BATCH, max_size=2),
    TEXT,
    st.none() | TEXT,
    MOMENT,
)
NAME = st.from_regex(r"[a-z0-9][a-z0-9-]{2,30}", fullmatch=True)
REFERENCE = st.builds(
    reference,
    container=NAME,
    account=TEXT,
    blobs=st.lists(st.builds(StoredBlob, TEXT, st.integers(0), TEXT), max_size=3).map(tuple),
    service=NAME,
    service_kind=TEXT,
    scope=TEXT,
    edition=TEXT,
    product_version=st.none() | TEXT,
    region=st.none() | TEXT,
    etag=st.none() | TEXT,
    created_at=MOMENT,
    started_at=MOMENT,
    finished_at=MOMENT,
    kind=st.sampled_from(["nightly", "manual", "safety", "drill"]),
    run=st.none() | st.builds(Run, TEXT, TEXT),
    operation_id=st.none() | TEXT,
    label=st.none() | TEXT,
    drain=st.builds(Drain, st.none() | REPORT, st.none() | REPORT, st.booleans()),
    items=COUNTS,
    verification=st.builds(Verification, TEXT, MOMENT, TEXT),
    not_included=st.lists(st.builds(NotIncluded, TEXT, TEXT), max_size=2).map(tuple),
    expires_at=st.none() | MOMENT,
    hold=st.none() | TEXT,
)


def to_bytes(record: BackupReference) -> bytes:
    return json_bytes(record.to_dict())


@given(REFERENCE)
def test_a_reference_survives_json_and_gives_the_same_bytes(original):
    content = to_bytes(original)
    copy = BackupReference.from_dict(json.loads(content))
    assert copy == original
    assert to_bytes(copy) == content


def test_the_written_form_is_stable():
    assert to_bytes(reference()).decode().startswith('{\n  "account": "backups",\n  "blobs": [\n')
    values = reference().to_dict()
    assert next(iter(values)) == "schema_version"
    assert values["schema_version"] == SCHEMA_VERSION == 2
    assert (values["service_kind"], values["scope"], values["kind"]) == ("biztalk", "contoso-west", "nightly")
    assert (values["expires_at"], values["hold"]) == (None, None)
    assert "cloud_service" not in values
    assert values["created_at"] == "2026-01-01T02:06:00+00:00"
    assert values["run"] == {
        "dag_id": "biztalk_nightly_backup",
        "run_id": "scheduled__2026-01-01T02:00:00+00:00",
        "airflow": "a1b2c3d4",
    }
    assert values["drain"]["before"]["batches"][0]["messages"] == 3
    assert values["items"] == {"agreements": 12, "bridges": None}
    assert reference().size == 503
    assert reference().place == "backups/orders-20260101-020000"


def test_a_reference_names_what_is_not_in_the_backup():
    named = {part["what"]: part["sentence"] for part in reference().to_dict()["not_included"]}
    assert {"tracking database", "messages in batches", "hybrid connections"} <= set(named)
    assert all(sentence.endswith(".") for sentence in named.values())
    assert len(named) == len(INFO.not_included)


@pytest.mark.parametrize("name", [item.name for item in fields(BackupReference)])
def test_a_missing_field_is_named(name):
    values = reference().to_dict()
    del values[name]
    with pytest.raises(InvalidReferenceError, match=f"cannot be read: {name} is missing"):
        BackupReference.from_dict(values)


@pytest.mark.parametrize("version", [3, 99])
def test_a_newer_version_is_refused(version):
    with pytest.raises(InvalidReferenceError, match=f"schema version {version}; this program understands up to 2"):
        BackupReference.from_dict(reference().to_dict() | {"schema_version": version})


@pytest.mark.parametrize("values", [{}, *[{"schema_version": version} for version in ("1", 0, True, None)], [], None])
def test_values_that_are_no_reference_are_refused(values):
    with pytest.raises(InvalidReferenceError, match="not a backup reference"):
        BackupReference.from_dict(values)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("blobs", None),
        ("blobs", [{"name": "x"}]),
        ("created_at", "yesterday"),
        ("created_at", "2026-01-01T00:00:00"),
        ("expires_at", "2026-01-01T00:00:00"),
        ("expires_at", "soon"),
        ("hold", 5),
        ("kind", "weekly"),
        ("kind", None),
        ("service_kind", None),
        ("scope", None),
        ("run", {"dag_id": "x"}),
        ("drain", {}),
        ("drain", {"before": {"answer": "fine"}, "after": None, "drained": True}),
        ("items", {"agreements": "many"}),
        ("verification", None),
        ("service", 5),
        ("service", None),
        ("service", "../x"),
        ("container", ""),
        ("not_included", [{}]),
    ],
)
def test_a_field_of_the_wrong_kind_is_refused(name, value):
    with pytest.raises(InvalidReferenceError):
        BackupReference.from_dict(reference().to_dict() | {name: value})


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        (("drain", "drained"), "drain.drained"),
        (("drain", "after"), "drain.after"),
        (("drain", "before", "reason"), "drain.before.reason"),
        (("drain", "before", "batches", 0, "oldest"), "drain.before.batches.0.oldest"),
    ],
)
def test_a_missing_value_inside_a_field_is_named(path, missing):
    values = json.loads(to_bytes(reference()))
    inside = values
    for part in path[:-1]:
        inside = inside[part]
    del inside[path[-1]]
    with pytest.raises(InvalidReferenceError, match=f"cannot be read: {missing} is missing"):
        BackupReference.from_dict(values)


def test_a_reference_whose_run_has_no_airflow_is_read():
    """Earlier versions did not store in which Airflow it was."""
    values = reference().to_dict()
    del values["run"]["airflow"]
    assert BackupReference.from_dict(values) == reference(run=replace(reference().run, airflow=""))


def test_an_unknown_field_is_ignored():
    assert BackupReference.from_dict(reference().to_dict() | {"mood": "good"}) == reference()


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_cannot_get_in_anywhere(secret):
    report = DrainStatus(answer="unknown", source="s", reason=f"connection failed: {secret}", checked_at=NOW)
    places = {
        "label": secret,
        "account": secret,
        "scope": secret,
        "hold": secret,
        "not_included": (NotIncluded("x", secret),),
        "etag": secret,
        "region": secret,
        "operation_id": secret,
        "run": Run("dag", secret),
        "drain": Drain(before=report),
        "items": {secret: 1},
        "blobs": (StoredBlob(secret, 1, "a"),),
        "verification": Verification("matched", NOW, secret),
    }
    for place, value in places.items():
        with pytest.raises(InvalidReferenceError, match="looks like a secret") as caught:
            reference(**{place: value})
        assert "canary" not in str(caught.value)
        assert "Y2FuYXJ5" not in str(caught.value)
    with pytest.raises(InvalidReferenceError):
        BackupReference.from_dict(reference().to_dict() | {"label": secret})


def test_every_time_has_a_zone():
    with pytest.raises(InvalidReferenceError, match="started_at"):
        replace(reference(), started_at=datetime(2026, 1, 1))


# --- schema version 1 ------------------------------------------------------------------------------------------------


@given(REFERENCE)
def test_every_reference_of_schema_1_can_be_read(original):
    old = BackupReference.from_dict(json.loads(json_bytes(schema_1(original))))
    added = {"service_kind": "biztalk", "kind": old.kind, "expires_at": None, "hold": None}
    assert old == replace(original, **added)
    assert BackupReference.from_dict(old.to_dict()) == old


@pytest.mark.parametrize(
    ("run", "kind"),
    [
        (Run("biztalk_nightly_backup", "scheduled__2026-01-01T02:00:00+00:00"), "nightly"),
        (Run("biztalk_nightly_backup", "manual__2026-01-01T02:00:00+00:00"), "manual"),
        (Run("biztalk_restore", "manual__1"), "safety"),
        (None, "manual"),
    ],
)
def test_kind_of_a_reference_of_schema_1(run, kind):
    old = BackupReference.from_dict(schema_1(reference(run=run)))
    assert (old.kind, old.run, old.scope) == (kind, run, "contoso-west")
    assert (old.service_kind, old.expires_at, old.hold) == ("biztalk", None, None)
    assert old.to_dict()["schema_version"] == 2


@pytest.mark.parametrize("name", [name for name in schema_1(reference()) if name != "schema_version"])
def test_a_field_missing_in_schema_1_is_named(name):
    values = schema_1(reference())
    del values[name]
    with pytest.raises(
        InvalidReferenceError, match=f"cannot be read: {name.replace('cloud_service', 'scope')} is missing"
    ):
        BackupReference.from_dict(values)


@pytest.mark.parametrize(
    "change",
    [{"run": "x"}, {"run": []}, {"run": {"dag_id": "biztalk_restore"}}, {"blobs": None}, {"cloud_service": None}],
)
def test_a_wrong_value_in_schema_1_is_refused(change):
    with pytest.raises(InvalidReferenceError):
        BackupReference.from_dict(schema_1(reference(), **change))
