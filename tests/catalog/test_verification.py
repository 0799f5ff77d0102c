"""Backups on a real Azurite, whole and damaged in every way."""

from __future__ import annotations

from hashlib import sha256

import pytest
from biztalk_services.archive import verification
from biztalk_services.archive.errors import BackupDamagedError, StorageAuthenticationError, StorageNotFoundError
from biztalk_services.drivers.biztalk.verification import read_back

from tests.catalog.azurite import Azurite

DIGEST = sha256(b"x").hexdigest()


def test_a_whole_backup(client, write_backup):
    name = write_backup()
    found = read_back(client, name, name, service_name="Orders")
    assert found.level == "matched"
    assert [blob.name for blob in found.blobs] == ["agreements.json", "bridges/inbound.zip", f"{name}.txt"]
    assert found.blobs[1].sha256 == sha256(b"PK" * 700_000).hexdigest()
    assert found.size == sum(blob.size for blob in found.blobs) > 1_400_000
    assert found.items == {"agreements": 2, "bridges": 1}
    assert found.descriptor["product_version"] == "1.1.0"


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
    assert read_back(client, name, name).size > len(content)
    assert sum(sizes) == len(content)
    assert max(sizes) < len(content)


def refused(client, name: str, **options: object) -> str:
    with pytest.raises(BackupDamagedError) as caught:
        read_back(client, name, name, **options)
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
    message = refused(client, name, service_name="billing")
    for part in (
        f"devstoreaccount1/{name} is not whole",
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
        assert "another content" in refused(client, name)


def test_a_missing_or_empty_descriptor(client, write_backup):
    name = write_backup()
    client.get_blob_client(name, f"{name}.txt").delete_blob()
    assert f"the descriptor {name}.txt is missing (there is: agreements.json, bridges/inbound.zip)" in refused(
        client, name
    )
    assert "is empty" in refused(client, write_backup(descriptor=b""))
    assert "is empty" in refused(client, write_backup(descriptor=b" \n"))


def test_a_torn_descriptor(client, write_backup):
    assert "torn or damaged" in refused(client, write_backup(descriptor=b'{"schema_version": 1, "blo'))
    assert "torn or damaged" in refused(client, write_backup(descriptor=b'\xef\xbb\xbf {"a": \xff}'))


@pytest.mark.parametrize(
    "descriptor", [b"BizTalk Services backup of orders", b"<Backup/>", b"[]", b'"text"', b"\xff\xfe\x00"]
)
def test_a_descriptor_of_unknown_format_is_no_damage_but_is_said(client, write_backup, descriptor):
    name = write_backup({"a": b"1"}, descriptor)
    found = read_back(client, name, name, service_name="orders")
    assert (found.level, found.items, found.descriptor) == ("read", {}, {})
    assert [blob.size for blob in found.blobs] == [1, len(descriptor)]


def test_a_descriptor_without_list(client, write_backup):
    name = write_backup(blobs=None)
    assert read_back(client, name, name).level == "read"


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
    assert "unusable entry" in refused(client, write_backup({"a": b"x"}, blobs=blobs))


def test_a_list_without_entries_is_compared_too(client, write_backup):
    assert "a is not in the descriptor's list" in refused(client, write_backup({"a": b"x"}, blobs=[]))


def test_upper_case_digests_match(client, write_backup):
    name = write_backup({"a": b"x"}, blobs=[{"name": "a", "size": 1, "sha256": DIGEST.upper()}])
    assert read_back(client, name, name).level == "matched"


def test_counts_that_are_none_are_not_known(client, write_backup):
    name = write_backup(items={"agreements": 2, "bridges": "some", "certificates": -1, "transforms": None})
    found = read_back(client, name, name).items
    assert found == {"agreements": 2, "bridges": None, "certificates": None, "transforms": None}
    assert read_back(client, *[write_backup(items=7)] * 2).items == {}


def test_a_secret_in_the_descriptor_goes_no_further(client, write_backup):
    name = write_backup(region="AccountKey=canary", note="Password=canary", items={"Password=canary": 1})
    assert "canary" not in repr(read_back(client, name, name))


def test_an_error_shows_no_secret_of_the_list(client, write_backup):
    assert "canary" not in refused(client, write_backup({"a": b"x"}, blobs=[{"AccountKey": "canary"}]))


def test_no_such_container_and_wrong_key(client, azurite: Azurite, container_name):
    with pytest.raises(StorageNotFoundError, match="ContainerNotFound"):
        read_back(client, container_name, container_name)
    with azurite.client("d3Jvbmc=") as stranger, pytest.raises(StorageAuthenticationError):
        read_back(stranger, container_name, container_name)


def test_the_error_survives_pickling(client, write_backup):
    import pickle

    with pytest.raises(BackupDamagedError) as caught:
        read_back(client, *[write_backup(descriptor=b"")] * 2)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.disagreements) == (str(caught.value), caught.value.disagreements)
