"""The index of the catalog on a real Azurite: a list out of it is what a list of the records is, whatever was lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from biztalk_services.archive import catalog_index
from biztalk_services.archive.archive import Archive
from biztalk_services.archive.blobs import Blobs, json_bytes
from biztalk_services.archive.catalog_index import QUARANTINE, REFERENCES, path_of
from biztalk_services.archive.errors import IndexContendedError, NotInCatalogError, StorageAuthenticationError
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.model.backup import BackupReference, backup_name
from biztalk_services.model.listing import ListedBackup, Wanted
from biztalk_services.model.service import ServiceKey, ServiceRef

from tests.archive.samples import NOW, SUBSCRIPTION, reference
from tests.archive.storage_policy import ImmutabilityPolicy
from tests.archive.troubled_storage import Trouble, troubled

DAY = timedelta(days=1)
ALL = Wanted()


@pytest.fixture(autouse=True)
def few():
    """Catalogs of three records are large, so that their index is used; two markers are many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog_index, "FEW", 2)
        patch.setattr(catalog_index, "MERGED_AT", 2)
        yield


@pytest.fixture
def catalog(archive):
    return archive.catalog


@pytest.fixture
def container(client, archive, container_name):
    return client.get_container_client(container_name)


def taken(number: int, service: str = "orders", **changes) -> BackupReference:
    """A backup of a service, so many days after the first one."""
    at = NOW + number * DAY
    name = backup_name(ServiceKey(SUBSCRIPTION, ServiceRef("contoso-west", service)), at)
    return reference(name, service=service, finished_at=at, **changes)


def listed(catalog, wanted: Wanted = ALL) -> list[str]:
    view = catalog.view(wanted.service)
    return [each.backup for each in view.pack.select(REFERENCES, wanted)]


def listed_with_index(catalog) -> list[str]:
    """The same, sure to come out of the index."""
    view = catalog.view()
    assert view.caveat is None
    return [each.backup for each in view.pack.select(REFERENCES, ALL)]


def in_index(container) -> tuple[list[str], list[str]]:
    """Names of the packs, and of the records that have a marker."""
    names = [blob.name for blob in container.list_blobs(name_starts_with="index/")]
    packs = [name for name in names if name.startswith("index/packs/")]
    return packs, [name.removeprefix("index/pending/") for name in names if name not in packs]


@pytest.fixture
def five(catalog) -> list[BackupReference]:
    """Five backups in the index."""
    made = [catalog.publish(taken(number))[0] for number in range(5)]
    assert catalog.tidy().references == 5
    return made


@pytest.fixture
def read(catalog, monkeypatch) -> list[str]:
    """Paths of the records that were read."""
    paths: list[str] = []
    original = catalog._blobs.read
    monkeypatch.setattr(
        catalog._blobs, "read", lambda path: (path.startswith("index/") or paths.append(path), original(path))[1]
    )
    return paths


# --- what it shows ---------------------------------------------------------------------------------------------------


def test_a_list_out_of_the_index_reads_no_record(catalog, five, read):
    view = catalog.view()
    assert view.caveat is None
    assert list(view.pack.select(REFERENCES, ALL)) == [ListedBackup.of(each) for each in reversed(five)]
    assert read == []


def test_what_came_since_is_read(catalog, five, read, container):
    newer = catalog.publish(taken(9))[0]
    assert in_index(container)[1] == [path_of(REFERENCES, "orders", newer.container)]
    read.clear()
    assert listed(catalog) == [each.container for each in (newer, *reversed(five))]
    assert len(read) == 1


def test_quarantine_is_in_it(catalog, five, container):
    for number in (7, 8):
        catalog.quarantine(taken(number), "It was changed.")
    assert len(in_index(container)[1]) == 2
    catalog.tidy()
    assert in_index(container)[1] == []
    found = list(catalog.view().pack.select(QUARANTINE, ALL))
    assert [(each.backup, each.reason) for each in found] == [
        (taken(number).container, "It was changed.") for number in (8, 7)
    ]
    assert len(listed(catalog)) == 5


def test_any_text_comes_back_as_it_was(catalog, archive):
    for number, label in enumerate(["übermorgen", "'; DROP TABLE listed; --", "\x00\U0001f600", "x" * 9_000, None]):
        catalog.publish(taken(number, label=label))
    records = [ListedBackup.of(each) for each in catalog.list_references()]
    assert list(catalog.view().pack.select(REFERENCES, ALL)) == records
    catalog.tidy()
    assert list(catalog.view().pack.select(REFERENCES, ALL)) == records


# --- names -----------------------------------------------------------------------------------------------------------


def test_a_name_with_digest_is_one_request(catalog, five, read):
    assert catalog.find(five[2].container) == five[2]
    assert len(read) == 1


def test_other_names_are_found_by_the_index(catalog, five, read, monkeypatch):
    old = [catalog.publish(reference(name))[0] for name in ("orders-20260101-020000", "before-the-move")]
    catalog.tidy()
    last = catalog.publish(reference("just-now"))[0]
    read.clear()
    monkeypatch.setattr(Blobs, "list", lambda *_: pytest.fail("all names were listed"))
    for each in (*old, last):
        assert catalog.find(each.container) == each
    assert len(read) == 3


def test_a_name_that_the_index_does_not_know_is_looked_for(catalog, five, container):
    strange = reference("put-there-by-hand")
    container.upload_blob("references/orders/put-there-by-hand.json", json_bytes(strange.to_dict()))
    assert catalog.find("put-there-by-hand") == strange
    container.delete_blob(path_of(REFERENCES, "orders", five[0].container))
    with pytest.raises(NotInCatalogError):
        catalog.find(five[0].container)


# --- lost, stale, damaged --------------------------------------------------------------------------------------------


def test_a_catalog_of_an_earlier_version(catalog, container):
    """It has neither markers nor labels."""
    container.create_container()
    records = [taken(number) for number in range(4)]
    for each in records:
        container.upload_blob(path_of(REFERENCES, "orders", each.container), json_bytes(each.to_dict()))
    expected = [each.container for each in reversed(records)]
    view = catalog.view()
    assert "has no index, so all its records were listed" in view.caveat
    assert listed(catalog) == expected
    assert catalog.tidy().references == 4
    assert catalog.view().caveat is None
    assert listed(catalog) == expected


@pytest.mark.parametrize("damage", [b"", b"biztalk-catalog-index 2 abc\n", "cut", "bit", "archived"])
def test_a_pack_that_cannot_be_used_is_made_anew(catalog, five, container, damage):
    ((name,), _) = in_index(container)
    content = bytearray(container.download_blob(name).readall())
    if damage == "archived":
        container.get_blob_client(name).set_standard_blob_tier("Archive")
    else:
        content[-10] ^= damage == "bit"
        spoilt = {"cut": bytes(content[:-1]), "bit": bytes(content)}.get(damage, damage)
        container.upload_blob(name, spoilt, overwrite=True)
    expected = [each.container for each in reversed(five)]
    assert "no index that can be used" in catalog.view().caveat
    assert listed(catalog) == expected
    assert catalog.tidy().references == 5
    assert catalog.view().caveat is None
    assert listed(catalog) == expected
    assert len(in_index(container)[0]) == 1


def test_a_lost_index_is_made_anew(catalog, five, container):
    for blob in container.list_blobs(name_starts_with="index/"):
        container.delete_blob(blob.name)
    assert "has no index" in catalog.view().caveat
    assert len(listed(catalog)) == 5
    assert catalog.tidy().lacked == 5
    assert catalog.view().caveat is None


def test_records_that_came_and_went_without_markers_are_noticed_in_a_day(catalog, five, container):
    container.delete_blob(path_of(REFERENCES, "orders", five[0].container))
    strange = taken(9)
    container.upload_blob(path_of(REFERENCES, "orders", strange.container), json_bytes(strange.to_dict()))
    now = datetime.now(UTC)
    assert catalog.tidy() is None
    assert catalog._index.tidy(now + DAY / 2) is None
    assert "last compared with it at" in catalog._index.view(None, now + 3 * DAY).caveat
    renewal = catalog._index.tidy(now + 1.1 * DAY)
    assert (renewal.references, renewal.lacked, renewal.gone) == (5, 1, 1)
    assert listed(catalog)[0] == strange.container
    assert five[0].container not in listed(catalog)


def test_a_list_of_one_service_is_read_where_it_has_few(catalog, five, container):
    strange = taken(9, "billing")
    container.upload_blob(path_of(REFERENCES, "billing", strange.container), json_bytes(strange.to_dict()))
    assert listed(catalog, Wanted(service="billing")) == [strange.container]


def test_the_command_reads_every_record_anew(catalog, five, container):
    path = path_of(REFERENCES, "orders", five[0].container)
    container.upload_blob(path, b"{", overwrite=True)
    assert catalog.rebuild_index().unreadable == 1
    assert [each for each, _ in catalog.view().pack.unreadable()] == [path]
    container.upload_blob(path, json_bytes(five[0].to_dict()), overwrite=True)
    assert catalog.view().pack.unreadable() == []
    assert len(listed(catalog)) == 5


def test_a_label_counts_only_with_its_content(catalog, container):
    records = [catalog.publish(taken(number))[0] for number in range(3)]
    path = path_of(REFERENCES, "orders", records[0].container)
    blob = container.get_blob_client(path)
    changed = replace(records[0], label="changed")
    blob.upload_blob(json_bytes(changed.to_dict()), overwrite=True, metadata=blob.get_blob_properties().metadata)
    assert list(catalog.view().pack.select(REFERENCES, ALL))[-1].label == "changed"


# --- markers ---------------------------------------------------------------------------------------------------------


def test_a_marker_without_record_is_no_backup_and_goes_after_a_day(catalog, five, container):
    path = path_of(REFERENCES, "orders", taken(8).container)
    catalog._index.announce(path)
    assert len(listed(catalog)) == 5
    catalog.publish(taken(9))
    catalog.tidy()
    assert in_index(container)[1] == [path]
    catalog._index.tidy(datetime.now(UTC) + 1.1 * DAY)
    assert in_index(container)[1] == []


@pytest.mark.parametrize("dies_at", [1, 2, 3])
def test_a_writer_that_dies(catalog, five, container, monkeypatch, dies_at):
    """Before the marker, before the record, behind it: a list shows the record as soon as there is one."""
    write_once, requests = catalog._blobs.write_once, []

    def dying(*arguments):
        requests.append(arguments)
        if len(requests) == dies_at:
            raise KeyboardInterrupt
        return write_once(*arguments)

    monkeypatch.setattr(catalog._blobs, "write_once", dying)
    with pytest.raises(KeyboardInterrupt):
        catalog.publish(taken(9))
    monkeypatch.undo()
    assert (taken(9).container in listed_with_index(catalog)) == (dies_at == 3)
    assert (len(in_index(container)[1]) == 1) == (dies_at > 1)


def test_a_writer_that_stands_still_until_its_marker_is_deleted(catalog, five, container, monkeypatch):
    write_once = catalog._blobs.write_once

    def slow(path, *arguments):
        if path.startswith(REFERENCES):
            catalog._index.tidy(datetime.now(UTC) + 1.1 * DAY)
            assert in_index(container)[1] == []
        return write_once(path, *arguments)

    monkeypatch.setattr(catalog._blobs, "write_once", slow)
    catalog.publish(taken(9))
    monkeypatch.undo()
    assert taken(9).container in listed_with_index(catalog)


@pytest.mark.parametrize("step", range(1, 6))
def test_who_replaces_the_pack_dies_anywhere(catalog, five, container, monkeypatch, step):
    """Before or behind the writing of the pack, before any of the deletions."""
    for number in (7, 8):
        catalog.publish(taken(number))
    requests = []

    def dying(name):
        request = getattr(catalog._blobs, name)

        def counted(*arguments):
            requests.append(name)
            if len(requests) == step:
                raise KeyboardInterrupt
            return request(*arguments)

        monkeypatch.setattr(catalog._blobs, name, counted)

    for name in ("write_once", "in_folder", "delete"):
        dying(name)
    with pytest.raises(KeyboardInterrupt):
        catalog.tidy()
    monkeypatch.undo()
    assert len(listed_with_index(catalog)) == 7
    catalog.publish(taken(9))
    catalog.rebuild_index()
    assert len(listed_with_index(catalog)) == 8
    assert (len(in_index(container)[0]), in_index(container)[1]) == (1, [])


def test_a_marker_of_another_program_is_left_alone(catalog, five, container):
    for name in ("index/pending/x.json", "index/pending/claims/a/b.json", "index/notes.txt"):
        container.upload_blob(name, b"{}")
    assert len(listed(catalog)) == 5
    catalog.rebuild_index()
    assert len(in_index(container)[1]) == 3


def test_what_is_published_again_is_listed_once(catalog, five, container):
    catalog.publish(five[0])
    catalog.quarantine(taken(7), "It was changed.")
    catalog.quarantine(taken(7), "It was changed.")
    assert len(listed(catalog)) == 5
    catalog.rebuild_index()
    assert in_index(container)[1] == []
    assert len(listed(catalog)) == 5


@pytest.mark.parametrize("status", [403, 409])
def test_an_index_that_is_refused_refuses_no_backup(azurite, container_name, status, caplog):
    """403 is the whole account; any other refusal that lasts leaves the record."""
    with troubled(azurite) as storage, storage.client() as client:
        catalog = Archive(StorageAccount(client), container_name).catalog
        storage.troubles = [Trouble("PUT", "index/pending", status, "SomethingNew" * (status == 409), count=9)]
        if status == 403:
            with pytest.raises(StorageAuthenticationError, match="403"):
                catalog.publish(reference())
            assert catalog.list_references() == []
        else:
            catalog.publish(reference())
            assert catalog.list_references() == [reference()]
            assert "is not in the index of catalog" in caplog.text


# --- accounts that refuse to change ----------------------------------------------------------------------------------


def test_reading_writes_nothing(azurite, catalog, five, container_name):
    catalog.publish(taken(9))
    with troubled(azurite) as storage, storage.client() as client:
        behind = Archive(StorageAccount(client), container_name).catalog
        assert len(listed(behind)) == 6
        behind.find(five[0].container)
        assert [each for each in storage.requests if not each.startswith(("GET", "HEAD"))] == []


def test_under_an_immutability_policy_the_index_is_with_the_records(azurite, client, container_name):
    with troubled(azurite) as storage, storage.client() as proxied:
        storage.policy = ImmutabilityPolicy(frozenset({container_name}))
        split = Archive(StorageAccount(proxied), container_name, f"{container_name}-records").catalog
        for round_ in range(3):
            for number in range(2):
                split.publish(taken(2 * round_ + number))
            split.tidy()
        assert len(listed(split)) == 6
        names = [blob.name for blob in client.get_container_client(container_name).list_blobs()]
        assert all(name.startswith("references/") for name in names)
        packs, pending = in_index(client.get_container_client(f"{container_name}-records"))
        assert (len(packs), pending) == (1, [])


def test_markers_that_cannot_be_deleted_are_merged_once(azurite, container_name, client):
    with troubled(azurite) as storage, storage.client() as proxied:
        storage.policy = ImmutabilityPolicy(frozenset({container_name}))
        catalog = Archive(StorageAccount(proxied), container_name).catalog
        for number in range(4):
            catalog.publish(taken(number))
        catalog.tidy()
        for _ in range(2):
            assert len(listed(catalog)) == 4
            assert catalog.tidy() is None


# --- two at once -----------------------------------------------------------------------------------------------------


def test_of_two_that_replace_a_pack_one_wins(catalog, archive, five, container, account, container_name):
    """The other one is behind: it has read the markers, and writes after the first one has deleted them."""
    other = Archive(account, container_name).catalog
    for number in (7, 8):
        catalog.publish(taken(number))
    state = other._index._state()
    catalog.tidy()
    catalog.publish(taken(9))
    catalog.publish(taken(10))
    catalog.tidy()
    found = other._index._add(state.pack, state.pending)
    assert not other._index._replace(state, state.pack, found, datetime.now(UTC))
    assert len(listed(catalog)) == 9
    assert len(in_index(container)[0]) == 1


def test_a_rebuild_takes_in_what_others_do_meanwhile(catalog, five, container, account, container_name, monkeypatch):
    other = Archive(account, container_name).catalog
    survey = catalog._index._survey

    def survey_then_others(*arguments, **how):
        pack = survey(*arguments, **how)
        for number in (7, 8, 9):
            other.publish(taken(number))
            other.tidy()
        return pack

    monkeypatch.setattr(catalog._index, "_survey", survey_then_others)
    assert catalog.rebuild_index().references == 8
    monkeypatch.undo()
    assert len(listed(other)) == 8


def test_an_index_that_others_always_replace_is_theirs(catalog, five, monkeypatch):
    monkeypatch.setattr(catalog._index, "_replace", lambda *_: False)
    with pytest.raises(IndexContendedError) as caught:
        catalog.rebuild_index()
    assert caught.value.advice == "retry"


def test_a_reader_that_is_overtaken_lists_again(catalog, five, account, container_name, monkeypatch):
    other = Archive(account, container_name).catalog
    for number in (7, 8):
        other.publish(taken(number))
    original, overtaken = catalog._index._blobs.in_folder, []

    def list_then_others(*arguments, **how):
        names = list(original(*arguments, **how))
        if not overtaken:
            overtaken.append(other.tidy())
        return iter(names)

    monkeypatch.setattr(catalog._index._blobs, "in_folder", list_then_others)
    assert len(listed(catalog)) == 7
    assert overtaken
