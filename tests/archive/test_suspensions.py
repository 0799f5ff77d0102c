"""Suspension records on a real Azurite."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from biztalk_services.archive.archive import Archive
from biztalk_services.archive.blobs import Blobs
from biztalk_services.archive.errors import StorageAuthenticationError, StorageUnreachableError
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.archive.suspensions import OpenName, SuspensionRecords
from biztalk_services.model.records import SuspensionRecord
from biztalk_services.model.run import Run

from tests.archive.azurite import Azurite, free_port
from tests.archive.samples import key

OURS = Run("biztalk_nightly_backup", "scheduled__1", "a1b2c3d4")
THEIRS = Run("biztalk_restore", "manual__1", "a1b2c3d4")
ORDERS = key("contoso-west-us/orders", "b6a9")
NOW = datetime(2026, 11, 25, 2, 0, 1, 5, tzinfo=UTC)


def record(
    run: Run = OURS, minutes: float = 0, service: str = "contoso-west-us/Orders", subscription_id: str = "b6a9"
) -> SuspensionRecord:
    opened_at = NOW + timedelta(minutes=minutes)
    return SuspensionRecord(service, subscription_id, run, "backup", opened_at, opened_at + timedelta(hours=2))


@pytest.fixture
def suspensions(archive) -> SuspensionRecords:
    return archive.suspensions


@pytest.fixture
def names(client, container_name):
    def listed() -> list[str]:
        return [blob.name for blob in client.get_container_client(container_name).list_blobs()]

    return listed


def test_opened_and_closed(suspensions, names, client, container_name):
    assert suspensions.list_open() == ([], [])
    opened = record()
    suspensions.open(opened)
    assert suspensions.list_open() == ([opened], [])
    assert names() == [f"suspensions/open/{opened.name}.json"]
    suspensions.close(opened, by=str(OURS), reason="service is Active")
    assert suspensions.list_open() == ([], [])
    assert names() == [f"suspensions/closed/{opened.name}.json"]
    values = json.loads(client.get_blob_client(container_name, names()[0]).download_blob().readall())
    assert (values["closed_by"], values["closed"]) == (
        "run scheduled__1 of biztalk_nightly_backup in Airflow a1b2c3d4",
        "service is Active",
    )
    assert SuspensionRecord.from_dict(values) == opened


def test_a_closed_record_stays_as_it_was_closed(suspensions, names, client, container_name):
    opened = record()
    suspensions.open(opened)
    for reason in ("service is Active", "deleted"):
        suspensions.close(opened, by="a person", reason=reason)
    values = json.loads(client.get_blob_client(container_name, names()[0]).download_blob().readall())
    assert values["closed"] == "service is Active"


def test_written_twice_is_one_record(suspensions):
    for _ in range(2):
        suspensions.open(record())
    assert suspensions.list_open() == ([record()], [])


def test_a_later_record_of_the_same_run_replaces_the_earlier(suspensions):
    earlier, later, other = record(), record(minutes=5), record(THEIRS, minutes=1)
    for each in (earlier, other, later):
        suspensions.open(each)
    assert suspensions.list_open()[0] == [other, later]


def test_the_oldest_first_and_by_service_in_any_case(suspensions):
    orders, billing = record(minutes=2), record(THEIRS, service="contoso-west-us/Billing")
    for each in (orders, billing):
        suspensions.open(each)
    assert suspensions.list_open()[0] == [billing, orders]
    assert suspensions.list_open(key("CONTOSO-WEST-US/orders", "B6A9"))[0] == [orders]
    assert suspensions.list_open(key("contoso-west-us/Order", "b6a9"))[0] == []


def test_all_of_a_service_or_those_of_a_run_are_closed(suspensions):
    ours, theirs, other = record(), record(THEIRS), record(service="contoso-west-us/Billing")
    for each in (ours, theirs, other):
        suspensions.open(each)
    assert suspensions.close_all(ORDERS, by="x", reason="y", run=OURS) == [ours]
    assert suspensions.close_all(ORDERS, by="x", reason="y") == [theirs]
    assert suspensions.list_open()[0] == [other]


OTHERS = [
    record(replace(OURS, airflow="e5f60718")),
    record(subscription_id="0b5f"),
    record(service="contoso-east-us/Orders"),
]
"""Records of another Airflow's run of the same ids, and of services of the same name, all of the same moment."""


@pytest.mark.parametrize("other", OTHERS, ids=["Airflow", "subscription", "scope"])
def test_what_is_not_ours_stays_as_it_is(suspensions, other):
    for each in (other, record()):
        suspensions.open(each)
    assert suspensions.list_open() == ([other, record()], []) or suspensions.list_open() == ([record(), other], [])
    assert not suspensions.all_closed(other.key, other.run)
    assert suspensions.note(record(), "resumed", by="x")
    assert not suspensions.is_noted(other, "resumed")
    assert suspensions.close_all(ORDERS, by="x", reason="y", run=OURS) == [record()]
    assert suspensions.list_open() == ([other], [])
    assert suspensions.all_closed(ORDERS, OURS)
    assert not suspensions.all_closed(other.key, other.run)


def test_a_record_of_the_version_before_is_found_and_closed(suspensions, names, client, container_name):
    """It has no Airflow, and its name follows from its run alone."""
    before = record(Run("biztalk_nightly_backup", "scheduled__1"))
    values = before.to_dict()
    del values["run"]["airflow"]
    mark = hashlib.sha256(b"biztalk_nightly_backup/scheduled__1").hexdigest()[:12]
    path = f"contoso-west-us/orders/20261125-020001-000005-{mark}.json"
    container = client.create_container(container_name)
    container.upload_blob(f"suspensions/open/{path}", json.dumps(values))
    suspensions.open(record(minutes=60 * 24))
    assert suspensions.list_open(ORDERS) == ([before, record(minutes=60 * 24)], [])
    assert suspensions.close_all(ORDERS, by="x", reason="y", run=before.run) == [before]
    assert suspensions.list_open(ORDERS) == ([record(minutes=60 * 24)], [])
    assert f"suspensions/closed/{path}" in names()


def test_noted_once(suspensions):
    assert not suspensions.is_noted(record(), "resumed")
    assert suspensions.note(record(), "resumed", by="watchdog")
    assert not suspensions.note(record(), "resumed", by="another")
    assert suspensions.is_noted(record(), "resumed")
    assert not suspensions.is_noted(record(THEIRS), "resumed")
    assert not suspensions.is_noted(record(), "failed")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b"\xff",
        json.dumps(record().to_dict() | {"back_by": "2026-11-25T04:00:00"}).encode(),
        json.dumps(record().to_dict() | {"back_by": "soon"}).encode(),
        json.dumps(record().to_dict() | {"run": "scheduled__1"}).encode(),
    ],
    ids=["empty", "list", "nothing", "deep", "no text", "no zone", "no time", "no run"],
)
def test_an_invalid_record_is_reported_and_hides_no_other(content, suspensions, client, container_name):
    suspensions.open(record())
    client.get_blob_client(container_name, "suspensions/open/contoso-west-us/orders/x.json").upload_blob(content)
    valid, invalid = suspensions.list_open()
    assert valid == [record()]
    (sentence,) = invalid
    assert "suspensions/open/contoso-west-us/orders/x.json" in sentence
    assert "resume those that this project suspended" in sentence
    suspensions.open(record(minutes=1))
    assert suspensions.list_open()[0] == [record(minutes=1)]


def test_a_name_has_service_moment_and_run():
    assert record().name.startswith("contoso-west-us/orders/20261125-020001-000005-")
    names = {record().name, record(THEIRS).name, replace(record(), opened_at=NOW + timedelta(microseconds=1)).name}
    assert len(names) == 3


def test_a_record_closed_after_the_list_is_skipped(suspensions, monkeypatch):
    first, second = record(), record(THEIRS)
    for each in (first, second):
        suspensions.open(each)
    listed = Blobs.list

    def list_then_close(self: Blobs, folder: str) -> list[str]:
        paths = listed(self, folder)
        self.delete(f"suspensions/open/{first.name}.json")
        return paths

    monkeypatch.setattr(Blobs, "list", list_then_close)
    assert suspensions.list_open() == ([second], [])
    assert suspensions.close_all(ORDERS, by="x", reason="y") == [second]


def test_all_closed_is_about_one_run(suspensions):
    ours, theirs = record(), record(THEIRS)
    assert not suspensions.all_closed(ORDERS, OURS)
    for each in (ours, theirs):
        suspensions.open(each)
    assert not suspensions.all_closed(ORDERS, OURS)
    suspensions.close(ours, by="x", reason="y")
    assert suspensions.all_closed(key("CONTOSO-WEST-US/ORDERS", "b6a9"), OURS)
    assert not suspensions.all_closed(ORDERS, THEIRS)
    suspensions.open(record(minutes=5))
    assert not suspensions.all_closed(ORDERS, OURS)


def test_a_note_on_an_invalid_record_is_written_once(suspensions, names):
    sentence = "suspensions/open/x.json is not a suspension record."
    assert suspensions.note_invalid(sentence, "failed-2026010102", by="watchdog")
    assert not suspensions.note_invalid(sentence, "failed-2026010102", by="watchdog")
    assert suspensions.note_invalid(sentence, "failed-2026010103", by="watchdog")
    assert suspensions.note_invalid("Another sentence.", "failed-2026010102", by="watchdog")
    assert len(names()) == 3
    assert all(name.startswith("suspensions/notes/unusable/") for name in names())


def test_storage_errors_are_raised(azurite: Azurite, container_name):
    with azurite.client(key="d3Jvbmc=") as wrong, pytest.raises(StorageAuthenticationError):
        Archive(StorageAccount(wrong), container_name).suspensions.open(record())
    with Azurite(azurite.folder, free_port(), azurite.process).client() as away, pytest.raises(StorageUnreachableError):
        Archive(StorageAccount(away), container_name).suspensions.list_open()


def test_names_say_when_a_record_was_opened_and_by_which_run(suspensions, client, container_name):
    assert suspensions.open_names() == []
    first, second = record(), record(THEIRS, minutes=5, service="contoso-west-us/returns", subscription_id="c0de")
    for each in (first, second, closed := record(minutes=9, service="contoso-west-us/stock")):
        suspensions.open(each)
    suspensions.close(closed, by="ada", reason="service is Active")
    client.get_blob_client(container_name, "suspensions/open/contoso-west-us/orders/notes.json").upload_blob(b"{}")
    assert suspensions.open_names() == [
        OpenName(each.opened_at, each.run.digest(each.subscription_id)) for each in (first, second)
    ]


def test_an_earlier_version_wrote_names_too(suspensions):
    suspensions.open(earlier := record(Run("biztalk_nightly_backup", "scheduled__1")))
    assert suspensions.open_names() == [OpenName(NOW, earlier.run.digest(""))]
