"""References that were written before there were several kinds of services and of backups stay readable."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from biztalk_services.model.backup import BackupReference, InvalidReferenceError
from biztalk_services.model.run import Run

from tests.archive.samples import reference

RECORD: dict[str, Any] = json.loads(
    """
{
  "schema_version": 1,
  "account": "backups",
  "container": "orders-20260101-020000",
  "blobs": [
    {"name": "a.json", "size": 3, "sha256": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
    {
      "name": "orders-20260101-020000.txt",
      "size": 500,
      "sha256": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
    }
  ],
  "service": "orders",
  "cloud_service": "contoso-west",
  "subscription_id": "5f3c1a52-9e0b-4d6e-8f52-2b1c7d9a4e10",
  "edition": "premium",
  "product_version": "1.1.0",
  "region": "West US",
  "etag": "2f2f46dd-1f4e-4a3c-9f65-6bb9ad1a3a52",
  "created_at": "2026-01-01T02:06:00+00:00",
  "started_at": "2026-01-01T02:00:00+00:00",
  "finished_at": "2026-01-01T02:05:00+00:00",
  "run": {"dag_id": "biztalk_nightly_backup", "run_id": "scheduled__2026-01-01T02:00:00+00:00"},
  "operation_id": "0c9f2f6e4ac83ac3a5e7c8fbf0c2c1d4",
  "label": "before the move, \\u00fcbermorgen",
  "drain": {
    "before": {
      "answer": "active",
      "batches": [
        {"agreement": "Fabrikam", "batch": "hourly", "messages": 3, "oldest": "2026-01-01T02:00:00+00:00"}
      ],
      "source": "tracking database",
      "reason": null,
      "checked_at": "2026-01-01T02:00:00+00:00"
    },
    "after": {
      "answer": "empty",
      "batches": [],
      "source": "tracking database",
      "reason": null,
      "checked_at": "2026-01-01T02:00:00+00:00"
    },
    "drained": true
  },
  "items": {"agreements": 12, "bridges": null},
  "verification": {
    "level": "matched",
    "checked_at": "2026-01-01T02:05:00+00:00",
    "checked": "All blobs were read and match."
  },
  "not_included": [
    {"what": "hybrid connections", "sentence": "They are not in the backup of any edition."}
  ]
}
"""
)
FIELDS = [name for name in RECORD if name != "schema_version"]


def record(**changes: Any) -> dict[str, Any]:
    return deepcopy(RECORD) | changes


def test_a_record_as_the_earlier_version_wrote_it():
    read = BackupReference.from_dict(record())
    of_today = reference(not_included=read.not_included)
    assert read == replace(of_today, run=Run(of_today.run.dag_id, of_today.run.run_id, airflow=""))
    assert [(each.what, each.sentence) for each in read.not_included] == [
        ("hybrid connections", "They are not in the backup of any edition.")
    ]
    assert (read.service_kind, read.scope, read.kind) == ("biztalk", "contoso-west", "nightly")
    assert (read.expires_at, read.hold) == (None, None)


@pytest.mark.parametrize(
    ("run", "kind"),
    [
        ({"dag_id": "biztalk_nightly_backup", "run_id": "scheduled__2026-01-01T02:00:00+00:00"}, "nightly"),
        ({"dag_id": "biztalk_nightly_backup", "run_id": "manual__2026-01-01T02:00:00+00:00"}, "manual"),
        ({"dag_id": "biztalk_restore", "run_id": "manual__2026-01-01T02:00:00+00:00"}, "safety"),
        (None, "manual"),
    ],
)
def test_the_kind_of_an_earlier_backup(run, kind):
    assert BackupReference.from_dict(record(run=run)).kind == kind


def test_an_earlier_backup_without_what_may_be_missing():
    nothing = {"product_version": None, "region": None, "etag": None, "operation_id": None, "label": None}
    drain = {"before": None, "after": None, "drained": False}
    read = BackupReference.from_dict(record(**nothing, run=None, drain=drain, items={}))
    assert (read.product_version, read.run, read.drain.before, read.item_count) == (None, None, None, None)


def test_it_is_written_as_the_present_version():
    values = BackupReference.from_dict(record()).to_dict()
    assert values["schema_version"] == 2
    assert "cloud_service" not in values
    assert BackupReference.from_dict(json.loads(json.dumps(values))) == BackupReference.from_dict(record())


@pytest.mark.parametrize("name", FIELDS)
def test_a_missing_field_of_an_earlier_record_is_named(name):
    values = record()
    del values[name]
    named = "scope" if name == "cloud_service" else name
    with pytest.raises(InvalidReferenceError, match=f"cannot be read: {named} is missing"):
        BackupReference.from_dict(values)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("service", 5),
        ("cloud_service", None),
        ("started_at", "yesterday"),
        ("finished_at", "2026-01-01T02:05:00"),
        ("blobs", None),
        ("blobs", [{"name": "a.json"}]),
        ("run", "r1"),
        ("run", ["biztalk_restore"]),
        ("run", {"dag_id": "biztalk_restore"}),
        ("drain", None),
        ("drain", {"before": 5, "after": None, "drained": False}),
        ("items", {"agreements": "many"}),
        ("verification", {}),
        ("not_included", [{}]),
        ("label", "AccountKey=Y2FuYXJ5"),
    ],
)
def test_a_wrong_value_in_an_earlier_record_is_refused(name, value):
    with pytest.raises(InvalidReferenceError):
        BackupReference.from_dict(record(**{name: value}))
