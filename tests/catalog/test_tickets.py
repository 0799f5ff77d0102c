"""Suspension tickets on a real Azurite."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from biztalk_services.archive.errors import StorageAuthenticationError, StorageUnreachableError
from biztalk_services.archive.suspensions import SuspensionRecords
from biztalk_services.model.records import SuspensionRecord
from biztalk_services.model.run import Run

from tests.catalog.azurite import Azurite, free_port

OURS, THEIRS = Run("biztalk_nightly_backup", "scheduled__1"), Run("biztalk_restore", "manual__1")
NOW = datetime(2026, 11, 25, 2, 0, 1, 5, tzinfo=UTC)


def ticket(run: Run = OURS, minutes: float = 0, service: str = "contoso-west-us/Orders") -> SuspensionRecord:
    opened_at = NOW + timedelta(minutes=minutes)
    return SuspensionRecord(service, "b6a9", run, "backup", opened_at, opened_at + timedelta(hours=2))


@pytest.fixture
def tickets(client, container_name) -> SuspensionRecords:
    return SuspensionRecords(client, container_name)


@pytest.fixture
def names(client, container_name):
    def listed() -> list[str]:
        return [blob.name for blob in client.get_container_client(container_name).list_blobs()]

    return listed


def test_opened_and_closed(tickets, names, client, container_name):
    assert tickets.look() == ([], [])
    opened = ticket()
    tickets.open(opened)
    assert tickets.look() == ([opened], [])
    assert names() == [f"suspensions/open/{opened.name}.json"]
    tickets.close(opened, by=str(OURS), how="seen Active")
    assert tickets.look() == ([], [])
    assert names() == [f"suspensions/closed/{opened.name}.json"]
    record = json.loads(client.get_blob_client(container_name, names()[0]).download_blob().readall())
    assert (record["closed_by"], record["closed"]) == ("run scheduled__1 of biztalk_nightly_backup", "seen Active")
    assert SuspensionRecord.from_dict(record) == opened


def test_a_closed_ticket_stays_as_it_was_closed(tickets, names, client, container_name):
    opened = ticket()
    tickets.open(opened)
    for how in ("seen Active", "deleted"):
        tickets.close(opened, by="somebody", how=how)
    record = json.loads(client.get_blob_client(container_name, names()[0]).download_blob().readall())
    assert record["closed"] == "seen Active"


def test_written_twice_is_one_ticket(tickets):
    for _ in range(2):
        tickets.open(ticket())
    assert tickets.look() == ([ticket()], [])


def test_a_later_one_of_the_same_run_takes_the_place_of_the_earlier(tickets):
    earlier, later, other = ticket(), ticket(minutes=5), ticket(THEIRS, minutes=1)
    for each in (earlier, other, later):
        tickets.open(each)
    assert tickets.look()[0] == [other, later]


def test_the_oldest_first_and_by_service_whatever_its_case(tickets):
    orders, billing = ticket(minutes=2), ticket(THEIRS, service="contoso-west-us/Billing")
    for each in (orders, billing):
        tickets.open(each)
    assert tickets.look()[0] == [billing, orders]
    assert tickets.look("CONTOSO-WEST-US/orders")[0] == [orders]
    assert tickets.look("contoso-west-us/Order")[0] == []


def test_all_of_a_service_or_only_those_of_a_run_are_closed(tickets):
    ours, theirs, other = ticket(), ticket(THEIRS), ticket(service="contoso-west-us/Billing")
    for each in (ours, theirs, other):
        tickets.open(each)
    assert tickets.close_all("contoso-west-us/orders", by="x", how="y", run=OURS) == [ours]
    assert tickets.close_all("contoso-west-us/orders", by="x", how="y") == [theirs]
    assert tickets.look()[0] == [other]


def test_noted_once(tickets):
    assert not tickets.is_noted(ticket(), "resumed")
    assert tickets.note(ticket(), "resumed", by="watchdog")
    assert not tickets.note(ticket(), "resumed", by="another")
    assert tickets.is_noted(ticket(), "resumed")
    assert not tickets.is_noted(ticket(THEIRS), "resumed")
    assert not tickets.is_noted(ticket(), "failed")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b"\xff",
        json.dumps(ticket().to_dict() | {"back_by": "2026-11-25T04:00:00"}).encode(),
        json.dumps(ticket().to_dict() | {"back_by": "soon"}).encode(),
        json.dumps(ticket().to_dict() | {"run": "scheduled__1"}).encode(),
    ],
    ids=["empty", "list", "nothing", "deep", "no text", "no zone", "no time", "no run"],
)
def test_what_is_no_ticket_is_told_and_hides_none(content, tickets, client, container_name):
    tickets.open(ticket())
    client.get_blob_client(container_name, "suspensions/open/contoso-west-us/orders/x.json").upload_blob(content)
    found, unusable = tickets.look()
    assert found == [ticket()]
    (sentence,) = unusable
    assert "suspensions/open/contoso-west-us/orders/x.json" in sentence
    assert "bring back what is ours" in sentence
    tickets.open(ticket(minutes=1))
    assert tickets.look()[0] == [ticket(minutes=1)]


def test_a_name_says_service_moment_and_run():
    assert ticket().name.startswith("contoso-west-us/orders/20261125-020001-000005-")
    names = {ticket().name, ticket(THEIRS).name, replace(ticket(), opened_at=NOW + timedelta(microseconds=1)).name}
    assert len(names) == 3


def test_trouble_with_the_storage(azurite: Azurite, container_name):
    with azurite.client(key="d3Jvbmc=") as wrong, pytest.raises(StorageAuthenticationError):
        SuspensionRecords(wrong, container_name).open(ticket())
    with Azurite(azurite.folder, free_port(), azurite.process).client() as away, pytest.raises(StorageUnreachableError):
        SuspensionRecords(away, container_name).look()
