"""Backups on a real Azurite, whole and damaged in every way, read back by the driver and by the archive."""

from __future__ import annotations

import pickle
import threading
from hashlib import sha256

import pytest
from biztalk_services.archive import verification
from biztalk_services.archive.errors import (
    BackupDamagedError,
    StorageAuthenticationError,
    StorageChangedError,
    StorageNotFoundError,
    StorageUnavailableError,
    WrongAccountError,
)
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.drivers.base import BackupTarget
from biztalk_services.drivers.biztalk.verification import read_back
from biztalk_services.model.backup import StoredBlob

from tests.archive.azurite import Azurite
from tests.archive.samples import reference
from tests.archive.troubled_storage import Trouble, troubled

DIGEST = sha256(b"x").hexdigest()


def target(client, name: str) -> BackupTarget:
    return BackupTarget(StorageAccount(client), name)


def test_a_whole_backup(client, write_backup):
    name = write_backup()
    content = read_back(target(client, name), "Orders")
    assert content.level == "matched"
    assert [blob.name for blob in content.blobs] == ["agreements.json", "bridges/inbound.zip", f"{name}.txt"]
    assert content.blobs[1].sha256 == sha256(b"PK" * 700_000).hexdigest()
    assert content.size == sum(blob.size for blob in content.blobs) > 1_400_000
    assert content.items == {"agreements": 2, "bridges": 1}


def test_large_blobs_come_in_chunks(client, write_backup, monkeypatch):
    content = bytes(range(256)) * 4096 * 40
    name = write_backup({"large.bin": content})
    sizes: list[int] = []

    class Watched:
        def __init__(self) -> None:
            self._real = sha256()

        def update(self, chunk: bytes) -> None:
            sizes.append(len(chunk))
            self._real.update(chunk)

        def hexdigest(self) -> str:
            return self._real.hexdigest()

    monkeypatch.setattr(verification, "sha256", lambda *content: sha256(*content) if content else Watched())
    assert read_back(target(client, name)).size > len(content)
    assert sum(sizes) == len(content)
    assert max(sizes) < len(content)


def damage(client, name: str, service_name: str | None = None) -> str:
    """The message about a damaged backup."""
    with pytest.raises(BackupDamagedError) as caught:
        read_back(target(client, name), service_name)
    assert caught.value.advice == "stop"
    return str(caught.value)


def test_every_disagreement_is_listed_in_one_error(client, write_backup):
    payload = {f"{letter}.json": b"content" for letter in "abcd"}
    name = write_backup(payload)
    container = client.get_container_client(name)
    container.upload_blob("a.json", b"CONTENT", overwrite=True)
    container.upload_blob("b.json", b"cont", overwrite=True)
    container.delete_blob("c.json")
    container.upload_blob("stray.json", b"?")
    message = damage(client, name, "billing")
    for part in (
        f"devstoreaccount1/{name} is damaged",
        "a.json has another content",
        "b.json has 4 bytes instead of 7",
        "c.json is missing",
        "stray.json is not in the descriptor's list",
        "about service orders, not billing",
    ):
        assert part in message
    assert "d.json" not in message


def test_every_single_flipped_bit_is_found(client, write_backup):
    content = b"EDI"
    name = write_backup({"a": content})
    for bit in range(len(content) * 8):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << (bit % 8)
        client.get_blob_client(name, "a").upload_blob(bytes(damaged), overwrite=True)
        assert "another content" in damage(client, name)


def test_a_missing_or_empty_descriptor(client, write_backup):
    name = write_backup()
    client.get_blob_client(name, f"{name}.txt").delete_blob()
    assert f"the descriptor {name}.txt is missing (there is: agreements.json, bridges/inbound.zip)" in damage(
        client, name
    )
    assert "is empty" in damage(client, write_backup(descriptor=b""))
    assert "is empty" in damage(client, write_backup(descriptor=b" \n"))


def test_a_torn_descriptor(client, write_backup):
    assert "torn or damaged" in damage(client, write_backup(descriptor=b'{"schema_version": 1, "blo'))
    assert "torn or damaged" in damage(client, write_backup(descriptor=b'\xef\xbb\xbf {"a": \xff}'))


@pytest.mark.parametrize(
    "descriptor", [b"BizTalk Services backup of orders", b"<Backup/>", b"[]", b'"text"', b"\xff\xfe\x00"]
)
def test_a_descriptor_of_unknown_format_is_no_damage(client, write_backup, descriptor):
    name = write_backup({"a": b"1"}, descriptor)
    content = read_back(target(client, name), "orders")
    assert (content.level, content.items) == ("read", {})
    assert [blob.size for blob in content.blobs] == [1, len(descriptor)]


def test_a_descriptor_without_list(client, write_backup):
    name = write_backup(blobs=None)
    assert read_back(target(client, name)).level == "read"


@pytest.mark.parametrize(
    "blobs",
    [
        "all",
        {"a": 1},
        [5],
        [{"name": "a"}],
        [{"name": "a", "size": "1", "sha256": DIGEST}],
        [{"name": "a", "size": True, "sha256": DIGEST}],
        [{"name": "a", "size": 1, "sha256": "abc"}],
        [{"name": None, "size": 1, "sha256": DIGEST}],
        [{"name": "a", "size": 1, "sha256": DIGEST}] * 2,
    ],
)
def test_an_unusable_list_is_damage(client, write_backup, blobs):
    assert "unusable entry" in damage(client, write_backup({"a": b"x"}, blobs=blobs))


def test_a_list_without_entries_is_compared_too(client, write_backup):
    assert "a is not in the descriptor's list" in damage(client, write_backup({"a": b"x"}, blobs=[]))


def test_upper_case_digests_match(client, write_backup):
    name = write_backup({"a": b"x"}, blobs=[{"name": "a", "size": 1, "sha256": DIGEST.upper()}])
    assert read_back(target(client, name)).level == "matched"


def test_counts_that_are_no_counts_are_not_known(client, write_backup):
    name = write_backup(items={"agreements": 2, "bridges": "some", "certificates": -1, "transforms": None})
    content = read_back(target(client, name)).items
    assert content == {"agreements": 2, "bridges": None, "certificates": None, "transforms": None}
    assert read_back(target(client, write_backup(items=7))).items == {}


def test_a_secret_in_the_descriptor_goes_no_further(client, write_backup):
    name = write_backup(region="AccountKey=canary", note="Password=canary", items={"Password=canary": 1})
    assert "canary" not in repr(read_back(target(client, name)))


def test_an_error_shows_no_secret_of_the_list(client, write_backup):
    assert "canary" not in damage(client, write_backup({"a": b"x"}, blobs=[{"AccountKey": "canary"}]))


def test_no_such_container_and_wrong_key(client, azurite: Azurite, container_name):
    with pytest.raises(StorageNotFoundError, match="ContainerNotFound"):
        read_back(target(client, container_name))
    with azurite.client("d3Jvbmc=") as other, pytest.raises(StorageAuthenticationError):
        read_back(target(other, container_name))


def test_the_error_survives_pickling(client, write_backup):
    with pytest.raises(BackupDamagedError) as caught:
        read_back(target(client, write_backup(descriptor=b"")))
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.disagreements) == (str(caught.value), caught.value.disagreements)


# --- compared with the reference -------------------------------------------------------------------------------------


@pytest.fixture
def recorded(account, write_backup):
    """The reference of a backup that is whole."""
    name = write_backup()
    return reference(name, account=account.name, blobs=read_back(BackupTarget(account, name)).blobs)


def test_a_backup_as_recorded(archive, recorded):
    assert archive.verify(recorded) == (
        f"All 3 blobs ({recorded.size} bytes) were read back and are what was recorded."
    )


def test_every_difference_from_the_reference_is_listed(archive, client, recorded):
    container = client.get_container_client(recorded.container)
    container.upload_blob("agreements.json", b"[1, 3]", overwrite=True)
    container.upload_blob(f"{recorded.container}.txt", b"{}", overwrite=True)
    container.delete_blob("bridges/inbound.zip")
    container.upload_blob("stray.json", b"?")
    with pytest.raises(BackupDamagedError) as caught:
        archive.verify(recorded)
    assert caught.value.advice == "stop"
    assert len(caught.value.disagreements) == 4
    for part in (
        f"Backup {recorded.place} is damaged",
        "agreements.json has another content than when it was written",
        f"{recorded.container}.txt has 2 bytes instead of",
        "bridges/inbound.zip is missing",
        "stray.json is not in its reference",
    ):
        assert part in str(caught.value)


def test_a_backup_whose_container_is_deleted(archive, client, recorded):
    client.delete_container(recorded.container)
    with pytest.raises(BackupDamagedError, match=f"container {recorded.container} does not exist"):
        archive.verify(recorded)


def test_a_blob_deleted_while_a_backup_is_verified(archive, client, recorded, monkeypatch):
    read = verification.read_blob

    def delete_then_read(container, name: str, ended):
        if name == "bridges/inbound.zip":
            container.delete_blob(name)
        return read(container, name, ended)

    monkeypatch.setattr(verification, "read_blob", delete_then_read)
    with pytest.raises(StorageNotFoundError, match="BlobNotFound"):
        archive.verify(recorded)


def test_a_backup_in_another_account(archive, recorded):
    elsewhere = reference(recorded.container, account="elsewhere", blobs=recorded.blobs)
    with pytest.raises(WrongAccountError, match="is in account elsewhere, and the credentials are those of devstore"):
        archive.verify(elsewhere)


# --- many blobs, large blobs -----------------------------------------------------------------------------------------

PIECE = 1000


@pytest.fixture
def small_pieces(monkeypatch) -> None:
    monkeypatch.setattr(verification, "PIECE", PIECE)


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 1])
def test_a_blob_in_pieces_is_what_it_is_in_one(client, write_backup, small_pieces, size):
    content = bytes(number % 251 for number in range(size))
    name = write_backup({"a": content})
    read = read_back(target(client, name))
    assert read.level == "matched"
    assert read.blobs[0] == StoredBlob("a", size, sha256(content).hexdigest())


def test_blobs_are_read_at_once_but_not_all(client, write_backup, monkeypatch):
    count = 4 * verification.AT_ONCE
    name = write_backup({f"{number:02}": b"%d" % number for number in range(count)})
    together, lock = threading.Barrier(verification.AT_ONCE, timeout=30), threading.Lock()
    reading, most = 0, 0
    read = verification.read_blob

    def watched(container, name: str, ended):
        nonlocal reading, most
        with lock:
            reading += 1
            most = max(most, reading)
        together.wait()
        try:
            return read(container, name, ended)
        finally:
            with lock:
                reading -= 1

    monkeypatch.setattr(verification, "read_blob", watched)
    blobs = read_back(target(client, name)).blobs
    assert [blob.name for blob in blobs] == sorted(blob.name for blob in blobs)
    assert len(blobs) == count + 1
    assert most == verification.AT_ONCE


def test_a_blob_changed_between_two_pieces(client, write_backup, small_pieces, monkeypatch):
    name = write_backup({"a": b"1" * 3 * PIECE})
    read = verification._begin_piece

    def change_then_read(blob, offset: int, same_version):
        if offset:
            blob.upload_blob(b"2" * 3 * PIECE, overwrite=True)
        return read(blob, offset, same_version)

    monkeypatch.setattr(verification, "_begin_piece", change_then_read)
    with pytest.raises(StorageChangedError, match="blob a "):
        read_back(target(client, name))


@pytest.mark.parametrize("retries", [0, 3])
def test_a_piece_in_the_middle_that_is_refused(azurite: Azurite, write_backup, small_pieces, monkeypatch, retries):
    name = write_backup({"a": b"1" * 3 * PIECE})
    read = verification._begin_piece
    with troubled(azurite) as storage, storage.client(retries) as client:

        def refuse_the_second(blob, offset: int, same_version):
            if offset == PIECE:
                storage.troubles = [Trouble("GET", f"{name}/a", 503, "ServerBusy")]
            return read(blob, offset, same_version)

        monkeypatch.setattr(verification, "_begin_piece", refuse_the_second)
        if retries:
            assert read_back(target(client, name)).level == "matched"
            return
        with pytest.raises(StorageUnavailableError, match="blob a ") as caught:
            read_back(target(client, name))
    assert caught.value.advice == "retry"


@pytest.mark.parametrize("reason", ["an error", "nobody takes more"])
def test_what_is_under_way_ends_with_its_piece(client, write_backup, small_pieces, monkeypatch, reason):
    """The first blob is done with, while the second is in the middle of its pieces."""
    name = write_backup({"a": b"1", "b": b"1" * 100 * PIECE})
    read, begun, offsets = verification._begin_piece, threading.Event(), []

    def watched(blob, offset: int, same_version):
        if blob.blob_name == "a":
            assert begun.wait(30)
            if reason == "an error":
                blob.delete_blob()
        else:
            offsets.append(offset)
            begun.set()
            if offset == PIECE:
                ended.wait(30)
        return read(blob, offset, same_version)

    ended = threading.Event()
    monkeypatch.setattr(verification, "_begin_piece", watched)
    monkeypatch.setattr(verification, "Event", lambda: ended)
    reading = verification.read_blobs(client.get_container_client(name), ["a", "b"], "read", at_once=2)
    if reason == "an error":
        with pytest.raises(StorageNotFoundError, match="blob a "):
            next(reading)
    else:
        assert next(reading).name == "a"
        reading.close()
    assert len(offsets) <= 2
