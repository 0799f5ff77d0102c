"""Processes that write into one catalog and keep its index are killed at any moment: no backup that was
published is ever missing from the list, and nothing is overwritten."""

from __future__ import annotations

import multiprocessing
import time
from itertools import count
from random import Random

import pytest

from tests.archive.azurite import Azurite
from tests.archive.catalog_workers import begun, keep, listed, open_catalog, write

DEATHS, BACKUPS, SECONDS = 30, 100, 300


@pytest.mark.parametrize("seed", [1, 2])
def test_no_backup_is_missing(azurite: Azurite, container_name, tmp_path, seed):
    random, published = Random(seed), tmp_path / "published"
    published.touch()
    spawn = multiprocessing.get_context("spawn").Process
    lives, running = count(1), {}
    deadline, deaths, names = time.monotonic() + SECONDS, 0, set()

    def born(work) -> tuple:
        life = next(lives)
        process = spawn(target=work, args=(azurite.port, container_name, life, published))
        process.start()
        return process, work, begun(published, life), random.uniform(0.1, 3)

    for place, work in enumerate((write, keep, write, keep)):
        running[place] = born(work)
    while (deaths < DEATHS or len(names) < BACKUPS) and time.monotonic() < deadline:
        names = set(published.read_text().split())
        for place, (process, work, sign, seconds) in list(running.items()):
            if sign.exists() and time.time() - sign.stat().st_mtime > seconds:
                process.kill()
                process.join()
                deaths += process.exitcode < 0
                running[place] = born(work)
        time.sleep(0.01)
    for process, *_ in running.values():
        process.kill()
        process.join()

    assert deaths >= DEATHS
    assert len(names) >= BACKUPS
    assert not (tmp_path / "missing").exists(), (tmp_path / "missing").read_text()
    catalog = open_catalog(azurite.port, container_name)
    records = {each.container for each in catalog.list_references()}
    assert set(published.read_text().split()) <= records
    for change in (lambda: None, catalog.tidy, catalog.rebuild_index):
        change()
        assert listed(catalog) == records
    with azurite.client() as client:
        blobs = list(client.get_container_client(container_name).list_blobs())
    assert [each.name for each in blobs if each.creation_time != each.last_modified] == []
