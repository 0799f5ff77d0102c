"""One record that cannot be read, or that is none, never hides the others: archived, of another program, a folder."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from azure.storage.blob import ContentSettings
from biztalk_services.archive.errors import (
    AmbiguousServiceError,
    BackupArchivedError,
    BackupDamagedError,
    BlobArchivedError,
    NotInCatalogError,
    StorageForbiddenError,
    StorageUnavailableError,
)
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.archive.verification import verify_against_reference
from biztalk_services.drivers.base import BackupTarget
from biztalk_services.drivers.biztalk.verification import read_back
from biztalk_services.flows.restore_checks import backup_is_whole
from biztalk_services.model.backup import InvalidReferenceError
from biztalk_services.model.records import SuspensionRecord
from biztalk_services.model.run import Run

from tests.archive.samples import NOW, reference
from tests.archive.troubled_storage import Trouble, troubled

DAY = timedelta(days=1)
OLD = reference("orders-20260101-020000")
NEW = reference("orders-20260103-020000", finished_at=NOW + 2 * DAY)
RUN = Run("biztalk_nightly_backup", "scheduled__1", "a1b2c3d4")
RECORD = SuspensionRecord("contoso-west-us/orders", "b6a9", RUN, "backup", NOW, NOW + timedelta(hours=2))
LATER = replace(RECORD, opened_at=NOW + timedelta(minutes=1))
NOT_DELETED = ("delete", "Delete", "remove", "Remove")


@pytest.fixture
def container(client, container_name):
    """The container of the archive, with what stands in it."""
    return client.create_container(container_name)


@pytest.fixture
def catalog(archive, container):
    for each in (OLD, NEW):
        archive.catalog.publish(each)
    return archive.catalog


@pytest.fixture
def archive_blob(container):
    """Moves a blob to the archive tier, as a lifecycle rule does."""
    return lambda name: container.get_blob_client(name).set_standard_blob_tier("Archive")


def path(record) -> str:
    return f"references/orders/{record.container}.json"


# --- the catalog -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [OLD, NEW])
def test_an_archived_reference_is_named_and_hides_no_other(catalog, archive_blob, hidden):
    archive_blob(path(hidden))
    invalid: list[InvalidReferenceError] = []
    assert catalog.list_references(on_invalid=invalid.append) == [each for each in (NEW, OLD) if each != hidden]
    (error,) = invalid
    for part in (path(hidden), "409 BlobArchived", "Rehydrate it"):
        assert part in str(error)
    with pytest.raises(BlobArchivedError, match="Rehydrate it"):
        catalog.find(hidden.container)


def test_an_older_archived_reference_leaves_the_newest(catalog, archive_blob, caplog):
    archive_blob(path(OLD))
    assert catalog.latest("orders") == NEW
    assert path(OLD) in caplog.text
    assert f"It is older than backup {NEW.container}, which is taken." in caplog.text


@pytest.mark.parametrize("name", [NEW.container, "orders-20260104-020000", "orders-20260104-020000-a1b2c3", "other"])
def test_a_newer_unreadable_reference_is_refused_by_name(catalog, container, archive_blob, name):
    if name != NEW.container:
        container.upload_blob(f"references/orders/{name}.json", b"{}")
    archive_blob(f"references/orders/{name}.json")
    with pytest.raises(InvalidReferenceError, match="name one in the form") as caught:
        catalog.latest("orders")
    assert f"references/orders/{name}.json" in str(caught.value)


def test_the_newest_of_other_kinds_is_found_beside_it(catalog, archive_blob):
    archive_blob(path(OLD))
    assert catalog.latest("orders", kinds=("nightly",)) == NEW
    with pytest.raises(InvalidReferenceError):
        catalog.latest("orders", kinds=("safety",))


def test_one_unreadable_quarantine_record_hides_no_other(catalog, archive_blob):
    for each in (OLD, NEW):
        catalog.quarantine(each, "It was changed.")
    archive_blob(f"set-aside/orders/{OLD.container}.json")
    invalid: list[InvalidReferenceError] = []
    assert [each.reference for each in catalog.list_quarantined(on_invalid=invalid.append)] == [NEW]
    assert len(invalid) == 1


@pytest.mark.parametrize(
    "name", ["references/orders/package.json", "references/orders/sub/x.json", "references/x.json"]
)
def test_json_of_another_program_is_named_and_left(catalog, container, name):
    container.upload_blob(name, json.dumps({"name": "left-pad", "version": "1.0.0"}))
    invalid: list[InvalidReferenceError] = []
    assert catalog.list_references(on_invalid=invalid.append) == [NEW, OLD]
    (error,) = invalid
    assert name in str(error)
    assert not any(word in str(error) for word in NOT_DELETED)


def test_files_of_other_programs_are_named_in_the_log(catalog, archive, container, caplog):
    archive.suspensions.open(RECORD)
    for name in ("references/orders/notes.txt", "references/orders/x.json.azDownload", "suspensions/open/.lock"):
        container.upload_blob(name, b"something")
    assert catalog.list_references() == [NEW, OLD]
    assert catalog.latest("orders") == NEW
    assert archive.suspensions.list_open() == ([RECORD], [])
    assert "references/orders/notes.txt" in caplog.text
    assert "suspensions/open/.lock" in caplog.text
    assert not any(word in caplog.text for word in NOT_DELETED)


def test_markers_of_folders_are_no_records(catalog, archive, container, caplog):
    """An account with a hierarchical namespace lists its folders as empty blobs."""
    archive.suspensions.open(RECORD)
    for name in ("references", "references/orders", "suspensions/open/contoso-west-us", "suspensions/open/x/"):
        container.upload_blob(name, b"", metadata={"hdi_isfolder": "true"})
    assert catalog.list_references() == [NEW, OLD]
    assert catalog.latest("orders") == NEW
    assert archive.suspensions.list_open() == ([RECORD], [])
    assert not [each for each in caplog.records if each.name.startswith("biztalk_services")]


def test_snapshots_are_no_records(catalog, container):
    container.get_blob_client(path(OLD)).create_snapshot()
    assert catalog.list_references() == [NEW, OLD]


@pytest.mark.parametrize(("status", "code"), [(503, "ServerBusy"), (403, "AuthenticationFailed"), (429, "")])
def test_trouble_of_the_whole_account_is_no_odd_record(azurite, catalog, archive, container_name, status, code):
    archive.suspensions.open(RECORD)
    with troubled(azurite) as storage, storage.client() as client:
        behind = type(archive)(StorageAccount(client), container_name)
        for call, part in (
            (behind.catalog.list_references, "references"),
            (behind.suspensions.list_open, "suspensions"),
        ):
            storage.troubles = [Trouble("GET", f"{part}/", status, code)]
            with pytest.raises(Exception, match=str(status)) as caught:
                call()
            assert caught.value.of_account


# --- services of one name --------------------------------------------------------------------------------------------


def test_the_newest_of_one_of_two_services_of_a_name(catalog):
    east = reference("orders-20260104-020000-aaaaaa", scope="contoso-east", finished_at=NOW + 3 * DAY)
    other = reference("orders-20260105-020000-bbbbbb", subscription_id="0b5f", finished_at=NOW + 4 * DAY)
    for each in (east, other):
        catalog.publish(each)
    with pytest.raises(AmbiguousServiceError, match="contoso-east/orders in subscription") as caught:
        catalog.latest("orders")
    assert "contoso-west/orders in subscription 0b5f" in str(caught.value)
    ours = OLD.subscription_id.upper()
    assert catalog.latest("Orders", subscription_id=ours, scope="CONTOSO-WEST") == NEW
    assert catalog.latest("orders", subscription_id=ours, scope="contoso-east") == east
    assert catalog.latest("orders", subscription_id="0b5f") == other
    with pytest.raises(NotInCatalogError):
        catalog.latest("orders", subscription_id="0b5f", scope="contoso-east")


def test_an_unreadable_record_of_the_other_service_is_no_trouble(catalog, container):
    container.upload_blob("references/orders/orders-20260109-020000-bbbbbb.json", b"{")
    assert catalog.latest("orders", subscription_id=NEW.subscription_id, scope=NEW.scope) == NEW
    with pytest.raises(InvalidReferenceError):
        catalog.latest("orders")


# --- suspension records ----------------------------------------------------------------------------------------------


def test_an_archived_suspension_record_is_named_and_hides_no_other(archive, container, archive_blob):
    for each in (RECORD, LATER):
        archive.suspensions.open(replace(each, run=replace(RUN, run_id=str(each.opened_at))))
    first, second = archive.suspensions.list_open()[0]
    archive_blob(f"suspensions/open/{first.name}.json")
    valid, invalid = archive.suspensions.list_open()
    assert valid == [second]
    (sentence,) = invalid
    for part in (first.name, "409 BlobArchived", "Rehydrate it", "resume those that this project suspended"):
        assert part in sentence
    assert not any(word in sentence for word in NOT_DELETED)


def test_json_of_another_program_among_suspension_records(archive, container):
    archive.suspensions.open(RECORD)
    container.upload_blob("suspensions/open/contoso-west-us/orders/tsconfig.json", b'{"compilerOptions": {}}')
    valid, (sentence,) = archive.suspensions.list_open()
    assert valid == [RECORD]
    assert "tsconfig.json" in sentence
    assert "belongs into another folder" in sentence
    assert not any(word in sentence for word in NOT_DELETED)


def test_an_archived_record_of_a_restore_is_ignored(archive, container, archive_blob, caplog):
    for day, seconds in ((1, 10.0), (2, 20.0)):
        archive.restores.record("orders", f"2026010{day}-020000", {"outcome": "restored", "seconds": seconds})
    archive_blob("restores/orders/20260102-020000.json")
    assert archive.restores.durations("orders") == [10.0]
    assert "BlobArchived" in caplog.text


# --- backups ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def recorded(account, write_backup):
    """The reference of a backup that is whole."""
    name = write_backup()
    return reference(name, account=account.name, blobs=read_back(BackupTarget(account, name)).blobs)


def test_an_archived_blob_of_a_backup_is_named(archive, account, client, recorded):
    client.get_blob_client(recorded.container, "bridges/inbound.zip").set_standard_blob_tier("Archive")
    for call in (lambda: archive.verify(recorded), lambda: read_back(BackupTarget(account, recorded.container))):
        with pytest.raises(BackupArchivedError, match="be rehydrated") as caught:
            call()
        assert "bridges/inbound.zip." in str(caught.value)
        assert "agreements.json" not in str(caught.value)
        assert caught.value.advice == "stop"
    check = backup_is_whole(archive, recorded)
    assert (check.rule, check.passed) == ("backup-whole", False)
    assert "bridges/inbound.zip" in check.message
    client.get_blob_client(recorded.container, "bridges/inbound.zip").set_standard_blob_tier("Hot")
    assert backup_is_whole(archive, recorded).passed


def test_many_archived_blobs_are_counted(account, client, write_backup):
    name = write_backup({f"{number:02}.json": b"1" for number in range(15)})
    for blob in client.get_container_client(name).list_blobs():
        client.get_blob_client(name, blob.name).set_standard_blob_tier("Archive")
    with pytest.raises(BackupArchivedError, match=r"09\.json and 6 more\."):
        read_back(BackupTarget(account, name))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("BlobArchived", BlobArchivedError),
        ("BlobBeingRehydrated", BlobArchivedError),
        ("ServerBusy", StorageUnavailableError),
    ],
)
def test_a_blob_that_is_refused_is_named(azurite, recorded, code, kind):
    with troubled(azurite) as storage, storage.client() as client:
        storage.troubles = [Trouble("GET", "inbound.zip", 503 if code == "ServerBusy" else 409, code)]
        with pytest.raises(kind, match=r"blob bridges/inbound\.zip"):
            verify_against_reference(StorageAccount(client), recorded)


def test_a_backup_whose_container_is_refused_is_not_damaged(azurite, recorded):
    with troubled(azurite) as storage, storage.client() as client:
        storage.troubles = [Trouble("GET", "comp=list", 403, "AuthorizationFailure")]
        with pytest.raises(StorageForbiddenError):
            verify_against_reference(StorageAccount(client), recorded)


COMPRESSED = gzip.compress(b"x" * 5000)


@pytest.mark.parametrize("content", [b"no gzip", COMPRESSED, b""], ids=["another", "compressed", "empty"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "utf-8", "aws-chunked"])
def test_stored_bytes_are_compared_whatever_their_label(archive, account, client, write_backup, content, encoding):
    name = write_backup({"a.json": content})
    for blob in client.get_container_client(name).list_blobs():
        client.get_blob_client(name, blob.name).set_http_headers(ContentSettings(content_encoding=encoding))
    read = read_back(BackupTarget(account, name))
    assert read.level == "matched"
    assert read.blobs[0].size == len(content)
    assert archive.verify(reference(name, account=account.name, blobs=read.blobs)).startswith("All 2 blobs")


def test_a_record_that_is_labelled_as_compressed(catalog, container):
    container.get_blob_client(path(OLD)).set_http_headers(ContentSettings(content_encoding="gzip"))
    assert catalog.list_references() == [NEW, OLD]


def test_folders_of_a_backup_are_no_blobs(archive, account, client, recorded):
    """An account with a hierarchical namespace lists them; without the mark an empty blob is one too much."""
    client.get_container_client(recorded.container).upload_blob("bridges", b"", metadata={"hdi_isfolder": "true"})
    assert read_back(BackupTarget(account, recorded.container)).level == "matched"
    assert archive.verify(recorded)
    client.get_container_client(recorded.container).upload_blob("empty", b"")
    with pytest.raises(BackupDamagedError, match="empty is not"):
        archive.verify(recorded)
