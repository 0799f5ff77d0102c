"""Two writers, two that keep the index and a reader at once; all but the reader die at any request: no backup is ever
missing from the list, and nothing is overwritten."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from random import Random

import pytest
from biztalk_services.archive import catalog_index
from biztalk_services.archive.blobs import Blobs
from biztalk_services.archive.catalog import Catalog
from biztalk_services.archive.catalog_index import REFERENCES
from biztalk_services.archive.errors import IndexContendedError, NotInCatalogError
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.model.backup import backup_name
from biztalk_services.model.listing import Wanted

from tests.archive.azurite import Azurite
from tests.archive.samples import NOW, key, reference

BACKUPS = 20


class Killed(BaseException):
    """The process is dead."""


class MortalBlobs(Blobs):
    """A container whose user dies before or after some of the requests."""

    def __init__(self, account: StorageAccount, container: str, random: Random, risk: float) -> None:
        super().__init__(account, container)
        self._random, self._risk = random, risk

    def _maybe_die(self) -> None:
        if self._random.random() < self._risk:
            raise Killed

    def _mortal(self, request: Callable, *arguments):
        self._maybe_die()
        result = request(*arguments)
        self._maybe_die()
        return result

    def write_once(self, *arguments):
        return self._mortal(super().write_once, *arguments)

    def delete(self, *arguments):
        return self._mortal(super().delete, *arguments)

    def read(self, *arguments):
        return self._mortal(super().read, *arguments)


@pytest.mark.parametrize("seed", [1])
def test_no_backup_is_ever_missing(azurite: Azurite, container_name, monkeypatch, seed):
    monkeypatch.setattr(catalog_index, "FEW", 0)
    monkeypatch.setattr(catalog_index, "MERGED_AT", 3)
    published: list[str] = []
    writing, deaths, merges, problems = threading.Event(), [], [], []
    writing.set()

    def catalog(random: Random | None = None, risk: float = 0) -> Catalog:
        account = StorageAccount(azurite.client())
        blobs = MortalBlobs(account, container_name, random, risk) if random else Blobs(account, container_name)
        return Catalog(blobs, blobs)

    def write(number: int) -> None:
        random, service, alive = Random(f"{seed} writer {number}"), f"orders{number}", catalog()
        for night in range(BACKUPS):
            at = NOW + timedelta(days=night)
            taken = reference(backup_name(key(f"contoso-west/{service}"), at), service=service, finished_at=at)
            try:
                catalog(random, risk=1 / 8).publish(taken)
            except Killed:
                deaths.append(number)
            else:
                published.append(taken.container)
                continue
            with suppress(NotInCatalogError):  # it may have died behind the record
                alive.read(service, taken.container)
                if taken.container not in names(alive):
                    problems.append({taken.container})

    def keep(number: int) -> None:
        random = Random(f"{seed} keeper {number}")
        while writing.is_set():
            try:
                mine = catalog(random, risk=1 / 60)
                merges.append(mine.rebuild_index() if random.random() < 0.1 else mine.tidy())
            except Killed:
                deaths.append(number)
            except IndexContendedError:
                pass

    def read() -> None:
        mine = catalog()
        while writing.is_set():
            before = set(published)
            if missing := before - names(mine):
                problems.append(missing)

    def names(mine: Catalog) -> set[str]:
        return {each.backup for each in mine.view().pack.select(REFERENCES, Wanted())}

    writers = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    others = [threading.Thread(target=keep, args=(number,)) for number in (2, 3)] + [threading.Thread(target=read)]
    for each in (*writers, *others):
        each.start()
    for each in writers:
        each.join()
    writing.clear()
    for each in others:
        each.join()

    assert problems == []
    assert {0, 1} & set(deaths)
    assert {2, 3} & set(deaths)
    assert any(merges)
    records = {each.container for each in catalog().list_references()}
    assert set(published) <= records
    for change in (lambda: None, catalog().tidy, catalog().rebuild_index):
        change()
        assert names(catalog()) == records
    with azurite.client() as client:
        blobs = list(client.get_container_client(container_name).list_blobs())
    assert [each.name for each in blobs if each.creation_time != each.last_modified] == []
