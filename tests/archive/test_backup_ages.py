"""The records of the watch over missing backups, on a real Azurite."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from biztalk_services.archive.backup_ages import BackupAgeRecords, InvalidAgeRecordError
from biztalk_services.model.records import AgeAlert
from biztalk_services.model.service import ServiceKey, ServiceRef

NOW = datetime(2026, 1, 1, 2, tzinfo=UTC)
ORDERS = ServiceKey("b6a9", ServiceRef("contoso-west", "Orders"))
HOUR = timedelta(hours=1)


@pytest.fixture
def records(archive) -> BackupAgeRecords:
    return archive.backup_ages


def alert(at: datetime = NOW, *findings: str) -> AgeAlert:
    return AgeAlert(at, findings, "1 service has no verified backup that is recent enough.")


def names(client, container_name) -> list[str]:
    return [blob.name for blob in client.get_container_client(container_name).list_blobs()]


def test_a_service_is_first_seen_once(records, client, container_name):
    assert records.first_seen(ORDERS) is None
    assert records.note_first_seen(ORDERS, NOW) == NOW
    assert records.note_first_seen(ORDERS, NOW + HOUR) == records.first_seen(ORDERS) == NOW
    assert names(client, container_name) == [f"ages/first-seen/orders-{ORDERS.digest}.json"]


def test_services_of_one_name_are_seen_each_for_itself(records):
    records.note_first_seen(ORDERS, NOW)
    for other in (ServiceKey("b6a9", ServiceRef("contoso-north", "orders")), ServiceKey("another", ORDERS.ref)):
        assert records.first_seen(other) is None
        assert records.note_first_seen(other, NOW + HOUR) == NOW + HOUR
    assert records.first_seen(ServiceKey("B6A9", ServiceRef("CONTOSO-WEST", "ORDERS"))) == NOW


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"service": "a/b", "subscription_id": "c"}', b"7"])
def test_a_record_that_cannot_be_read_is_told(content, records, client, container_name):
    records.note_first_seen(ORDERS, NOW)
    path = f"ages/first-seen/orders-{ORDERS.digest}.json"
    client.get_blob_client(container_name, path).upload_blob(content, overwrite=True)
    with pytest.raises(InvalidAgeRecordError, match=path):
        records.note_first_seen(ORDERS, NOW)


def test_the_newest_alert_of_an_airflow(records):
    assert records.newest_alert("blue", NOW) is None
    first, second = alert(NOW, "a", "b"), alert(NOW + HOUR)
    records.record_alert("blue", first)
    assert records.newest_alert("blue", NOW + HOUR) == first
    records.record_alert("blue", second)
    assert records.newest_alert("blue", NOW + HOUR) == second


def test_another_airflow_has_alerts_of_its_own(records):
    records.record_alert("blue", alert(NOW, "a"))
    assert records.newest_alert("green", NOW) is None
    assert records.newest_alert("../odd / id", NOW) is None


def test_an_alert_from_the_future_does_not_count(records):
    records.record_alert("blue", past := alert(NOW, "a"))
    records.record_alert("blue", alert(NOW + timedelta(days=400), "a"))
    assert records.newest_alert("blue", NOW + HOUR) == past


@pytest.mark.parametrize("content", [b"", b"{", b'{"sent_at": "2026-01-01T02:00:00", "findings": [], "sentence": ""}'])
def test_an_alert_that_cannot_be_read_is_none(content, records, client, container_name):
    records.record_alert("blue", alert())
    (path,) = names(client, container_name)
    client.get_blob_client(container_name, path).upload_blob(content, overwrite=True)
    assert records.newest_alert("blue", NOW) is None
