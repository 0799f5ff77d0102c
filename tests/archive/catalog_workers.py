"""Processes that write into one catalog and keep its index, until somebody kills them."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from random import Random

from biztalk_services.archive import catalog_index
from biztalk_services.archive.archive import Archive
from biztalk_services.archive.catalog import Catalog
from biztalk_services.archive.errors import IndexContendedError
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.model.backup import backup_name
from biztalk_services.model.listing import Wanted

from tests.archive.azurite import Azurite
from tests.archive.samples import NOW, key, reference


def open_catalog(port: int, container: str) -> Catalog:
    """The catalog; its index is used and replaced from a few records on."""
    catalog_index.FEW, catalog_index.MERGED_AT = 0, 3
    azurite: Azurite = Azurite(Path(), port, None)  # type: ignore[arg-type]
    return Archive(StorageAccount(azurite.client()), container).catalog


def write(port: int, container: str, life: int, published: Path) -> None:
    """Publish one backup after the other, and note each that was."""
    begun(published, life).touch()
    catalog, service = open_catalog(port, container), f"orders{life}"
    for night in range(100_000):
        at = NOW + timedelta(hours=night)
        name = backup_name(key(f"contoso-west/{service}"), at)
        catalog.publish(reference(name, service=service, finished_at=at))
        with published.open("a") as file:
            file.write(f"{name}\n")
            file.flush()
            os.fsync(file.fileno())


def keep(port: int, container: str, life: int, published: Path) -> None:
    """Keep the index, and make it anew now and then; end when a backup is missing from the list."""
    begun(published, life).touch()
    catalog, random = open_catalog(port, container), Random(life)
    while True:
        before = set(published.read_text().split()) if published.exists() else set()
        if missing := before - listed(catalog):
            published.with_name("missing").write_text(" ".join(missing))
            return
        with suppress(IndexContendedError):
            catalog.rebuild_index() if random.random() < 0.2 else catalog.tidy()


def begun(published: Path, life: int) -> Path:
    """The file that is there once a process works."""
    return published.with_name(f"begun-{life}")


def listed(catalog: Catalog) -> set[str]:
    """What a list out of the index shows."""
    return {each.backup for each in catalog.view().pack.select(catalog_index.REFERENCES, Wanted())}
