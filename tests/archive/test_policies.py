"""What policies, leases and settings of an account refuse: noticed before a service is suspended, by their names; and
the layout that works under an immutability policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from biztalk_services.archive.archive import Archive
from biztalk_services.archive.errors import (
    AlreadyPublishedError,
    RecordNotWrittenError,
    StorageError,
    StorageForbiddenError,
    StorageImmutableError,
    StorageLeasedError,
    StorageNotReadyError,
)
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.drivers.base import BackupTarget
from biztalk_services.drivers.biztalk.verification import read_back
from biztalk_services.model.records import Lock, SuspensionRecord
from biztalk_services.model.run import Run

from tests.archive.azurite import Azurite
from tests.archive.samples import reference
from tests.archive.storage_policy import ImmutabilityPolicy
from tests.archive.troubled_storage import Trouble, TroubledStorage, troubled
from tests.biztalk.inventories import inventory

NOW = datetime.now(UTC)
ADDRESS, SUBSCRIPTION = "contoso-west-us/orders", "b6a9"
NIGHTS = [Run("biztalk_nightly_backup", f"scheduled__{day}", "a1b2c3d4") for day in (1, 2)]


def record(run: Run = NIGHTS[0], minutes: float = 0) -> SuspensionRecord:
    opened_at = NOW + timedelta(minutes=minutes)
    return SuspensionRecord(ADDRESS, SUBSCRIPTION, run, "backup", opened_at, opened_at + timedelta(hours=2))


def lock(run: Run = NIGHTS[0], hours: float = 1) -> Lock:
    return Lock(ADDRESS, SUBSCRIPTION, run, "backup", datetime.now(UTC) + timedelta(hours=hours))


def never(run: Run) -> bool:
    return False


@pytest.fixture
def storage(azurite: Azurite) -> Iterator[TroubledStorage]:
    with troubled(azurite) as proxy:
        yield proxy


@pytest.fixture
def account(storage) -> Iterator[StorageAccount]:
    """The account behind the proxy."""
    with storage.client() as client:
        yield StorageAccount(client)


@pytest.fixture
def archive(account, container_name) -> Archive:
    return Archive(account, container_name)


@pytest.fixture
def split(account, container_name) -> Archive:
    return Archive(account, container_name, f"{container_name}-records")


@pytest.fixture
def blobs(client, container_name):
    """Names of the blobs in a container."""

    def listed(suffix: str = "") -> list[str]:
        container = client.get_container_client(container_name + suffix)
        return [blob.name for blob in container.list_blobs()] if container.exists() else []

    return listed


def night(archive: Archive, run: Run, backup: str) -> None:
    """Everything that a night writes into the archive."""
    archive.check_writable()
    archive.locks.take(lock(run), has_ended=never)
    archive.locks.take(lock(run, hours=2), has_ended=never)
    opened = record(run)
    archive.suspensions.open(opened)
    archive.suspensions.note(opened, "resumed", by="watchdog")
    archive.catalog.record_inventory(backup, inventory())
    archive.suspensions.close(opened, by=str(run), reason="service is Active")
    published = reference(backup, run=run)
    assert archive.catalog.publish(published)[0] == published
    assert archive.catalog.publish(published)[0] == published, "a retry of the step"
    archive.locks.release(opened.key, run)


# --- an immutability policy ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_named_first", [False, True])
def test_two_nights_under_a_policy_in_the_layout(storage, split, container_name, blobs, is_named_first):
    storage.policy = ImmutabilityPolicy(frozenset({container_name}), is_named_first=is_named_first)
    backups = ["orders-20260101-020000", "orders-20260102-020000"]
    for run, backup in zip(NIGHTS, backups, strict=True):
        night(split, run, backup)
    assert [each.container for each in split.catalog.list_references()] == backups[::-1]
    probe = f"checks/{datetime.now(UTC):%Y%m%d}.json"
    assert [name for name in blobs() if name.startswith("checks/")] == [probe], "at most one blob a day"
    assert [name for name in blobs("-records") if not name.startswith(("suspensions/", "index/"))] == []
    assert split.suspensions.list_open() == ([], [])


@pytest.mark.parametrize(
    ("code", "named"),
    [("BlobImmutableDueToPolicy", "immutability policy"), ("BlobImmutableDueToLegalHold", "legal hold")],
)
@pytest.mark.parametrize("is_named_first", [False, True])
def test_a_policy_on_the_records_is_named_first(storage, archive, container_name, blobs, code, named, is_named_first):
    storage.policy = ImmutabilityPolicy(frozenset({container_name}), code, is_named_first)
    for _ in range(3):
        with pytest.raises(StorageImmutableError, match=code) as caught:
            archive.check_writable()
        assert named in str(caught.value)
        assert "records_container" in str(caught.value)
        assert caught.value.advice == "stop"
    assert blobs() == [f"checks/{datetime.now(UTC):%Y%m%d}.json"]


def test_a_lock_under_a_policy_is_neither_ours_nor_taken(storage, archive, container_name):
    """Overwriting is refused, and what is read back is the lock as it was: that is no success."""
    archive.locks.take(lock(hours=1), has_ended=never)
    storage.policy = ImmutabilityPolicy(frozenset({container_name}))
    for taken in (lock(hours=2), lock(NIGHTS[1])):
        with pytest.raises(StorageImmutableError, match="BlobImmutableDueToPolicy"):
            archive.locks.take(taken, has_ended=lambda run: True)
    with pytest.raises(StorageImmutableError):
        archive.locks.release(record().key, NIGHTS[0])
    assert archive.locks.of(record().key).run == NIGHTS[0]


def test_another_record_under_a_policy_is_not_ours(storage, archive, container_name):
    storage.policy = ImmutabilityPolicy(frozenset({container_name}), is_named_first=True)
    archive.catalog.publish(reference())
    with pytest.raises(AlreadyPublishedError):
        archive.catalog.publish(reference(run=NIGHTS[1]))


# --- a suspension record is there, or it is an error -----------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "AccountBeingCreated",
        "BlobImmutableDueToPolicy",
        "ResourceTypeMismatch",
        "ContainerBeingDeleted",
        "ContainerDisabled",
        "LeaseAlreadyPresent",
        "SnapshotsPresent",
        "SomethingNew",
    ],
)
def test_a_suspension_record_that_is_refused_is_an_error(storage, archive, code):
    storage.troubles = [Trouble("PUT", "suspensions/open", 409, code)]
    with pytest.raises(StorageError, match=code):
        archive.suspensions.open(record())
    assert archive.suspensions.list_open() == ([], [])


def test_a_full_azurite_takes_no_suspension_record(tmp_path):
    azurite = Azurite.start(tmp_path, "--inMemoryPersistence", "--extentMemoryLimit", "1")
    try:
        with azurite.client() as client:
            client.create_container("catalog").upload_blob("large", b"x" * 1_048_500)
            archive = Archive(StorageAccount(client), "catalog")
            with pytest.raises(StorageError, match="MemoryExtentStoreAtSizeLimit"):
                archive.suspensions.open(record())
            with pytest.raises(StorageError, match="takes no more data"):
                archive.check_writable()
    finally:
        azurite.stop()


@pytest.mark.parametrize("folder", ["open", "closed"])
@pytest.mark.parametrize("content", [b"", b"{}", b"[]"])
def test_another_blob_of_its_name_is_no_suspension_record(archive, client, container_name, folder, content):
    client.create_container(container_name)
    blob = client.get_blob_client(container_name, f"suspensions/{folder}/{record().name}.json")
    blob.upload_blob(content)
    if folder == "closed":
        archive.suspensions.open(record())
    change = {
        "open": lambda: archive.suspensions.open(record()),
        "closed": lambda: archive.suspensions.close(record(), by="x", reason="y"),
    }[folder]
    with pytest.raises(RecordNotWrittenError, match="Find out which program wrote the blob") as caught:
        change()
    assert caught.value.advice == "stop"
    assert blob.download_blob().readall() == content


def test_a_record_whose_closing_is_refused_stays_open(storage, archive):
    archive.suspensions.open(record())
    for code in ("ContainerBeingDeleted", "BlobImmutableDueToPolicy"):
        storage.troubles = [Trouble("PUT", "suspensions/closed", 409, code)]
        with pytest.raises(StorageError, match=code):
            archive.suspensions.close(record(), by="x", reason="y")
        assert archive.suspensions.list_open() == ([record()], [])


# --- leases, snapshots, settings -------------------------------------------------------------------------------------


def test_a_foreign_lease_is_named_and_helps_again(archive, client, container_name):
    archive.suspensions.open(record())
    archive.locks.take(lock(), has_ended=never)
    names = [blob.name for blob in client.get_container_client(container_name).list_blobs()]
    leases = [client.get_blob_client(container_name, name).acquire_lease() for name in names]
    for call in (
        lambda: archive.suspensions.close(record(), by="x", reason="y"),
        lambda: archive.locks.take(lock(hours=3), has_ended=never),
        lambda: archive.locks.release(record().key, NIGHTS[0]),
    ):
        with pytest.raises(StorageLeasedError, match="LeaseIdMissing") as caught:
            call()
        assert "Break the lease" in str(caught.value)
        assert caught.value.advice == "retry"
    for lease in leases:
        lease.break_lease(0)
    archive.suspensions.close(record(), by="x", reason="y")
    archive.locks.release(record().key, NIGHTS[0])
    assert archive.suspensions.list_open() == ([], [])


def test_a_lease_on_the_probe_is_named(archive, client, container_name):
    path = f"checks/{datetime.now(UTC):%Y%m%d}.json"
    client.create_container(container_name)
    client.get_blob_client(container_name, path).upload_blob(b"{}")
    client.get_blob_client(container_name, path).acquire_lease()
    with pytest.raises(StorageLeasedError, match="LeaseIdMissing"):
        archive.check_writable()


def test_snapshots_of_another_tool_keep_nothing_open(archive, client, container_name):
    archive.suspensions.open(record())
    archive.locks.take(lock(), has_ended=never)
    for blob in client.get_container_client(container_name).list_blobs():
        client.get_blob_client(container_name, blob.name).create_snapshot()
    assert archive.suspensions.list_open() == ([record()], [])
    archive.suspensions.close(record(), by="x", reason="y")
    archive.locks.release(record().key, NIGHTS[0])
    assert archive.suspensions.list_open() == ([], [])
    assert archive.locks.of(record().key) is None


@pytest.mark.parametrize("code", ["KeyBasedAuthenticationNotPermitted", "AuthorizationFailure", "AccountIsDisabled"])
def test_a_setting_of_the_account_is_named(storage, split, code):
    for method, part in (("PUT", "checks/"), ("DELETE", "-records/checks/")):
        storage.troubles = [Trouble(method, part, 403, code)]
        with pytest.raises(StorageForbiddenError, match=code):
            split.check_writable()


def test_what_is_tried_leaves_nothing_and_takes_few_requests(storage, split, archive, blobs):
    assert "can be created, overwritten and deleted" in archive.check_writable()
    split.check_writable()
    for each, most in ((archive, 4), (split, 6)):
        storage.requests.clear()
        each.check_writable()
        assert len(storage.requests) <= most, storage.requests
    assert (blobs(), blobs("-records")) == ([], [])


def test_fifteen_services_may_try_it_at_once(storage, container_name, azurite):
    from concurrent.futures import ThreadPoolExecutor

    def tried(number: int) -> str:
        with azurite.client() as own:
            return Archive(StorageAccount(own), container_name, f"{container_name}-records").check_writable()

    with ThreadPoolExecutor(15) as pool:
        assert len(set(pool.map(tried, range(15)))) == 1


def test_a_container_that_is_deleted_for_the_moment(storage, archive):
    storage.troubles = [Trouble("PUT", "checks/", 409, "ContainerBeingDeleted")]
    with pytest.raises(StorageNotReadyError) as caught:
        archive.check_writable()
    assert caught.value.advice == "retry"


def test_a_backup_may_be_read_back_under_a_policy(storage, account, write_backup):
    name = write_backup()
    storage.policy = ImmutabilityPolicy(frozenset({name}))
    assert read_back(BackupTarget(account, name)).level == "matched"


def test_the_policy_of_the_proxy_is_one(storage, account, container_name):
    """Creating is allowed, overwriting and deleting are not; other containers are free."""
    storage.policy = ImmutabilityPolicy(frozenset({container_name}))
    for container, free in ((container_name, False), (f"{container_name}-free", True)):
        blob = account.client.create_container(container).get_blob_client("a/b.json")
        blob.upload_blob(b"1")
        for change in (lambda blob=blob: blob.upload_blob(b"2", overwrite=True), lambda blob=blob: blob.delete_blob()):
            if free:
                change()
            else:
                with pytest.raises(Exception, match=re.escape("BlobImmutableDueToPolicy")):
                    change()
