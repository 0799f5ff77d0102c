"""The references of one service, the newest first: on a real Azurite, with big catalogs and records of others."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

import pytest
from biztalk_services.model.backup import BackupReference, backup_name, moment_in_name
from biztalk_services.model.service import ServiceKey, ServiceRef

from tests.archive.samples import NOW, reference

ORDERS = reference().key
TWIN = ServiceKey(ORDERS.subscription_id, ServiceRef("contoso-north", "orders"))
ELSEWHERE = ServiceKey("another", ORDERS.ref)
DAY = timedelta(days=1)


@pytest.fixture
def catalog(archive):
    return archive.catalog


@pytest.fixture
def taken(catalog):
    """Publishes a backup of a service; returns its reference."""

    def publish(at: datetime = NOW, service: ServiceKey = ORDERS, name: str = "", **changes) -> BackupReference:
        record = reference(
            name or backup_name(service, at),
            service=service.ref.name,
            scope=service.ref.scope,
            subscription_id=service.subscription_id,
            finished_at=at,
        )
        return catalog.publish(replace(record, **changes))[0]

    return publish


@pytest.fixture
def read(catalog, monkeypatch) -> list[str]:
    """The paths that were read."""
    paths: list[str] = []
    original = catalog._blobs.read
    monkeypatch.setattr(catalog._blobs, "read", lambda path: paths.append(path) or original(path))
    return paths


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("orders-20260101-020000", ("20260101-020000", None)),
        ("orders-20260101-020000-a1b2c3", ("20260101-020000", "a1b2c3")),
        ("orders-20260101-020000-123456", ("20260101-020000", "123456")),
        ("20260101-020000-20270203-040506", ("20270203-040506", None)),
        ("orders-before-the-move", None),
        ("orders-20260101", None),
    ],
)
def test_the_moment_in_a_name(name, expected):
    assert moment_in_name(name) == expected


def test_only_the_newest_is_read(catalog, taken, read):
    backups = [taken(NOW + number * DAY) for number in range(5)]
    read.clear()
    assert next(catalog.newest_first(ORDERS)) == backups[-1]
    assert len(read) == 1
    assert list(catalog.newest_first(ORDERS)) == backups[::-1]


def test_services_of_one_name_are_told_apart_unread(catalog, taken, read):
    mine = taken()
    for number in range(1, 4):
        taken(NOW + number * DAY, TWIN)
        taken(NOW + number * DAY, ELSEWHERE)
    read.clear()
    assert list(catalog.newest_first(ORDERS)) == [mine]
    assert len(read) == 1
    assert len(list(catalog.newest_first(TWIN))) == len(list(catalog.newest_first(ELSEWHERE))) == 3
    assert list(catalog.newest_first(ServiceKey("third", ORDERS.ref))) == []


def test_names_of_earlier_versions_are_read(catalog, taken):
    newer = taken(NOW + DAY, name="orders-20260102-020000")
    taken(NOW + 2 * DAY, TWIN, name="orders-20260103-020000")
    older = taken(NOW)
    assert list(catalog.newest_first(ORDERS)) == [newer, older]


def test_a_name_without_a_moment_counts_by_its_record(catalog, taken):
    newest, oldest = taken(NOW + 2 * DAY, name="orders-after"), taken(NOW, name="orders-before")
    middle = taken(NOW + DAY)
    assert list(catalog.newest_first(ORDERS)) == [newest, middle, oldest]


def test_case_does_not_matter(catalog, taken):
    mine = taken()
    key = ServiceKey(ORDERS.subscription_id.upper(), ServiceRef(ORDERS.ref.scope.upper(), "ORDERS"))
    assert list(catalog.newest_first(key)) == [mine]


@pytest.mark.parametrize("content", [b"{", b"[]", b"", b'{"schema_version": 99}'])
def test_what_cannot_be_read_hides_no_other(content, catalog, taken, client, container_name):
    mine = taken()
    path = f"references/orders/{backup_name(ORDERS, NOW + DAY)}.json"
    client.get_blob_client(container_name, path).upload_blob(content)
    problems: list[str] = []
    found = catalog.newest_first(ORDERS, on_invalid=lambda error: problems.append(str(error)))
    assert list(islice(found, 1)) == [mine]
    (problem,) = problems
    assert path in problem


def test_what_storage_refuses_to_read_hides_no_other(catalog, taken, client, container_name):
    mine, newer = taken(), taken(NOW + DAY)
    path = f"references/orders/{newer.container}.json"
    client.get_blob_client(container_name, path).set_standard_blob_tier("Archive")
    problems: list[str] = []
    assert list(catalog.newest_first(ORDERS, on_invalid=lambda error: problems.append(str(error)))) == [mine]
    (problem,) = problems
    assert path in problem


def test_a_record_in_an_unknown_scope_hides_no_other(catalog, taken):
    mine = taken()
    taken(NOW + DAY, name="orders-20260102-020000", scope="not / a scope")
    assert list(catalog.newest_first(ORDERS)) == [mine]


def test_a_reference_that_was_deleted_meanwhile(catalog, taken, client, container_name):
    mine, newer = taken(), taken(NOW + DAY)
    found = catalog.newest_first(ORDERS)
    client.get_blob_client(container_name, f"references/orders/{newer.container}.json").delete_blob()
    assert list(found) == [mine]


def test_backups_in_quarantine_are_none(catalog, taken):
    catalog.quarantine(reference(backup_name(ORDERS, NOW)), "It was changed meanwhile.")
    assert list(catalog.newest_first(ORDERS)) == []
