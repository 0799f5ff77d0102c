"""Records of restores on a real Azurite."""

from __future__ import annotations

import json
from typing import Any

import pytest
from azure.core.exceptions import ResourceExistsError
from biztalk_services.archive.archive import Archive
from biztalk_services.archive.blobs import Blobs
from biztalk_services.archive.errors import StorageNotReadyError, StorageUnreachableError
from biztalk_services.archive.restores import RestoreRecords
from biztalk_services.archive.storage import StorageAccount

from tests.archive.azurite import Azurite, free_port

WHEN = "20260101-020000"


def restored(seconds: Any = 60.0, outcome: str = "restored", **values: Any) -> dict[str, Any]:
    return {"outcome": outcome, "seconds": seconds, **values}


@pytest.fixture
def restores(client, archive) -> RestoreRecords:
    client.create_container(archive.container)
    return archive.restores


def test_records_once(restores, client, container_name):
    url = restores.record("Orders", WHEN, restored(approved_by="Jürgen"))
    assert url.endswith(f"/devstoreaccount1/{container_name}/restores/orders/{WHEN}.json")
    assert restores.record("orders", WHEN, restored(1.0, approved_by="Jürgen")) == url
    blob = client.get_blob_client(container_name, f"restores/orders/{WHEN}.json")
    assert json.loads(blob.download_blob().readall()) == restored(approved_by="Jürgen")
    assert blob.get_blob_properties().content_settings.content_type == "application/json; charset=utf-8"


@pytest.mark.parametrize("before", [restored(outcome="failed"), restored(run={"airflow": "e5f60718"}), None])
def test_another_record_of_the_same_name_stays(restores, client, container_name, before):
    """Of a run that was cleared and went on, or whatever it may be."""
    blobs = [client.get_blob_client(container_name, f"restores/orders/{WHEN}{more}.json") for more in ("", "-2", "-3")]
    blobs[0].upload_blob(b"rubbish" if before is None else json.dumps(before))
    urls = [restores.record("orders", WHEN, values) for values in (restored(), restored(5.0), restored(state="Active"))]
    assert urls == [blobs[1].url, blobs[1].url, blobs[2].url]
    assert blobs[0].download_blob().readall() == (b"rubbish" if before is None else json.dumps(before).encode())
    assert json.loads(blobs[1].download_blob().readall()) == restored()
    assert restores.durations("orders")[:2] == [60.0, 60.0]


def test_durations_of_successful_restores_the_newest_first(restores):
    for day, record in enumerate(
        [
            restored(10.0),
            restored(20.0, "failed"),
            restored(30),
            restored(None),
            restored(0),
            {"outcome": "restored"},
            restored(True),
        ]
    ):
        restores.record("orders", f"2026010{day}-020000", record)
    restores.record("orders2", WHEN, restored(99.0))
    assert restores.durations("ORDERS") == [30, 10.0]


def test_only_the_last_ones_are_read(restores):
    for number in range(25):
        restores.record("orders", f"20260101-0200{number:02}", restored(float(number + 1)))
    assert restores.durations("orders") == [float(25 - number) for number in range(20)]


def test_none_yet(account, container_name, restores):
    assert restores.durations("orders") == []
    assert Archive(account, f"{container_name}-not-there").restores.durations("orders") == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"[" * 100_000, b"null", b"\xff", b'{"outcome": "restored", "seconds": "10"}', b'"restored"'],
)
def test_an_unreadable_record_is_ignored(restores, client, container_name, content):
    restores.record("orders", "20260102-020000", restored(10.0))
    client.get_blob_client(container_name, f"restores/orders/{WHEN}.json").upload_blob(content)
    assert restores.durations("orders") == [10.0]


def test_a_record_deleted_after_the_list_is_skipped(restores, monkeypatch):
    for day in (1, 2):
        restores.record("orders", f"2026010{day}-020000", restored(day * 10.0))
    listed = Blobs.list

    def list_then_delete(self: Blobs, folder: str) -> list[str]:
        paths = listed(self, folder)
        self.delete("restores/orders/20260102-020000.json")
        return paths

    monkeypatch.setattr(Blobs, "list", list_then_delete)
    assert restores.durations("orders") == [10.0]


def test_the_catalog_lists_no_restores(archive, restores):
    restores.record("orders", WHEN, restored())
    assert archive.catalog.list_references() == []


def test_the_first_record_creates_its_container(account, container_name):
    records = Archive(account, f"{container_name}-new").restores
    records.record("orders", WHEN, restored())
    assert len(records.durations("orders")) == 1


def test_a_container_that_is_being_deleted_takes_no_record(archive, restores, monkeypatch):
    error = ResourceExistsError("It is being deleted.")
    error.error_code = "ContainerBeingDeleted"

    def refuse(*arguments: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(archive._blobs._container, "create_container", refuse)
    archive._blobs._container.delete_container()
    with pytest.raises(StorageNotReadyError):
        restores.record("orders", WHEN, restored())


def test_azurite_down(azurite: Azurite, container_name):
    with Azurite(azurite.folder, free_port(), azurite.process).client() as client:
        restores = Archive(StorageAccount(client), container_name).restores
        for call in (lambda: restores.record("orders", WHEN, restored()), lambda: restores.durations("orders")):
            with pytest.raises(StorageUnreachableError):
                call()
