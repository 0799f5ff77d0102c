"""The catalog: all backup references, kept in blob storage beside the backups, so that it outlives Airflow.

A reference is written last, once its backup was verified, and never overwritten: what the catalog lists is whole.
Beside it may be the inventory of the service at the backup, written once too. What decides reads the references; only
lists come out of the index (:mod:`biztalk_services.archive.catalog_index`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge
from typing import Any, TypeVar

from biztalk_services.archive.blobs import Blobs, json_bytes
from biztalk_services.archive.catalog_index import QUARANTINE, REFERENCES, CatalogIndex, Renewal, View, path_of
from biztalk_services.archive.errors import (
    AlreadyPublishedError,
    AmbiguousServiceError,
    NotInCatalogError,
    StorageError,
)
from biztalk_services.archive.labels import label
from biztalk_services.archive.parallel import in_parallel
from biztalk_services.model.backup import BackupReference, InvalidReferenceError, is_backup_name, moment_in_name
from biztalk_services.model.differences import differences
from biztalk_services.model.errors import InvalidAddressError
from biztalk_services.model.inventory import InvalidInventoryError, Inventory
from biztalk_services.model.listing import ListedBackup
from biztalk_services.model.plain import parsed
from biztalk_services.model.service import ServiceKey, ServiceRef

log = logging.getLogger(__name__)

_INVENTORIES = "inventories"
_MOVE = "Restore the blob, or move it into another folder."

T = TypeVar("T")
OnInvalid = Callable[[InvalidReferenceError], Any] | None


@dataclass(frozen=True)
class QuarantinedBackup:
    """A backup that is not valid: what is known of it, and why it is not, in sentences."""

    reference: BackupReference
    reason: str


class Catalog:
    """The references and inventories. Every method raises StorageError when the account was not reached or refused.

    :param records: container of the index, where blobs may be deleted.
    """

    def __init__(self, blobs: Blobs, records: Blobs) -> None:
        self._blobs = blobs
        self._index = CatalogIndex(blobs, records, lambda path: self._tried(path, self._listed))

    def publish(self, reference: BackupReference) -> tuple[BackupReference, str]:
        """Write a reference, once. When the same run has published the same blobs before, that reference stays.

        :returns: the published reference, and the URL of its blob.
        :raises AlreadyPublishedError: the reference of another backup has this name.
        """
        path = path_of(REFERENCES, reference.service, reference.container)
        if not self._write(path, reference.to_dict(), ListedBackup.of(reference)):
            published = self._reference(path)
            if (published.run, published.blobs) != (reference.run, reference.blobs):
                raise self._exists("reference", path)
            reference = published
        return reference, self._blobs.url(path)

    def quarantine(self, reference: BackupReference, reason: str) -> str:
        """Record a backup that is not valid, and why (in sentences), apart from the valid ones; returns the URL.

        :raises AlreadyPublishedError: the quarantine record of another backup has this name.
        """
        path = path_of(QUARANTINE, reference.service, reference.container)
        values = {"reason": reason, "reference": reference.to_dict()}
        if not self._write(path, values, ListedBackup.of(reference, reason)):
            recorded = self._quarantined(path).reference
            if (recorded.run, recorded.account) != (reference.run, reference.account):
                raise self._exists("quarantine record", path)
        return self._blobs.url(path)

    def read(self, service: str, name: str) -> BackupReference:
        """One reference; the name of the service may be in any case.

        :raises NotInCatalogError: there is none.
        :raises InvalidReferenceError: the record cannot be read.
        """
        return self._reference(path_of(REFERENCES, service, name))

    def list_references(self, service: str | None = None, *, on_invalid: OnInvalid = None) -> list[BackupReference]:
        """All references, the newest backup first.

        :param service: only of this service, any case; None: of all.
        :param on_invalid: called for each record that cannot be read; None: a warning in the log. The others are
            listed all the same.
        """
        return sorted(self._all(REFERENCES, service, self._reference, on_invalid), key=_when, reverse=True)

    def newest_first(self, service: ServiceKey, *, on_invalid: OnInvalid = None) -> Iterator[BackupReference]:
        """The references of one service, the newest backup first. The folder is listed, and a reference is read when it
        is asked for: the moment stands in its name. One whose name has none is read in any case.

        :param on_invalid: as :meth:`list_references`.
        """
        dated, others = [], []
        for path in self._blobs.list(f"{REFERENCES}/{service.ref.name.lower()}"):
            found = moment_in_name(path.removesuffix(".json"))
            if found is None:
                others.append(path)
            elif found[1] in (None, service.digest):
                dated.append((found[0], path))
        read = self._each(others, self._reference, on_invalid)
        newest_first = self._each((path for _, path in sorted(dated, reverse=True)), self._reference, on_invalid)
        found_references = merge(sorted(read, key=_when, reverse=True), newest_first, key=_when, reverse=True)
        return (reference for reference in found_references if _is_of(reference, service))

    def view(self, service: str | None = None) -> View:
        """What a list shows of the catalog, out of the index where there are many records: as :meth:`list_references`
        and :meth:`list_quarantined`, for a hundred thousand of them.

        :param service: what is shown of other services may be missing; None: of all.
        """
        return self._index.view(service, datetime.now(UTC))

    def tidy(self) -> Renewal | None:
        """Do what the index needs; None where it needs nothing. For a step that runs all the time.

        :raises IndexContendedError: others replaced it meanwhile, each time.
        """
        return self._index.tidy(datetime.now(UTC))

    def rebuild_index(self) -> Renewal:
        """Make the index anew out of the records; errors as :meth:`tidy`."""
        return self._index.renew(datetime.now(UTC))

    def list_quarantined(self, service: str | None = None, *, on_invalid: OnInvalid = None) -> list[QuarantinedBackup]:
        """All backups in quarantine, the newest first; parameters and errors as :meth:`list_references`."""
        found = self._all(QUARANTINE, service, self._quarantined, on_invalid)
        return sorted(found, key=lambda each: _when(each.reference), reverse=True)

    def find(self, name: str) -> BackupReference:
        """The reference of a backup, whatever its service is.

        :param name: name of the backup, or ``account/name``.
        :raises NotInCatalogError: there is none, or there are two.
        :raises InvalidReferenceError: the record cannot be read.
        """
        name = name.strip().rpartition("/")[2]
        for path in self._likely_paths(name):
            with suppress(NotInCatalogError):
                return self._reference(path)
        valid, quarantined = (
            [path for path in self._blobs.list(folder) if path.endswith(f"/{name}.json")]
            for folder in (REFERENCES, QUARANTINE)
        )
        if len(valid) == 1:
            return self._reference(valid[0])
        references = f"{len(valid)} references" if valid else "no reference"
        not_valid = "; it is in quarantine, so it is not valid" if quarantined and not valid else ""
        raise NotInCatalogError(
            f"Catalog {self._blobs.place} has {references} to backup {name}{not_valid}. List the catalog to see what "
            "it has."
        )

    def latest(
        self,
        service: str,
        *,
        subscription_id: str | None = None,
        scope: str | None = None,
        kinds: Collection[str] | None = None,
    ) -> BackupReference:
        """The newest backup of a service. A record that cannot be read is passed over, with a warning in the log, where
        its name shows that it is an older one.

        :param service: its name, any case.
        :param subscription_id: only of a service in this subscription; None: in any.
        :param scope: only of a service in this scope; None: in any.
        :param kinds: only backups of these kinds; None: of all.
        :raises NotInCatalogError: there is none.
        :raises AmbiguousServiceError: there are backups of several services of this name.
        :raises InvalidReferenceError: a record cannot be read that may be newer.
        """
        readable: list[BackupReference] = []
        unreadable: list[tuple[str, InvalidReferenceError]] = []
        paths = self._blobs.list(f"{REFERENCES}/{service.lower()}")
        for path, found in zip(paths, self._all_tried(paths, self._reference), strict=True):
            if isinstance(found, InvalidReferenceError):
                unreadable.append((path, found))
            elif found:
                readable.append(found)
        wanted = {"subscription_id": subscription_id, "scope": scope}
        asked = {name: value.lower() for name, value in wanted.items() if value}
        readable = [each for each in readable if all(getattr(each, name).lower() == asked[name] for name in asked)]
        if len({(each.subscription_id.lower(), each.scope.lower()) for each in readable}) > 1:
            raise AmbiguousServiceError(_ambiguous(self._blobs.place, service, readable))
        chosen = [each for each in readable if kinds is None or each.kind in kinds]
        newest = max(chosen, key=_when, default=None)
        digest = ServiceKey(subscription_id, ServiceRef(scope, service)).digest if subscription_id and scope else None
        for path, error in unreadable:
            named = moment_in_name(path.removesuffix(".json"))
            if digest and named and named[1] not in (None, digest):
                continue  # of another service of this name
            if newest is None or not _is_older(path, newest):
                raise InvalidReferenceError(f"{error} It may be the newest backup of {service}: name one in the form.")
            log.warning("%s It is older than backup %s, which is taken.", error, newest.container)
        if newest is None:
            raise NotInCatalogError(f"Catalog {self._blobs.place} has no backup of service {service}. Take one first.")
        return newest

    def record_inventory(self, backup_name: str, inventory: Inventory) -> tuple[Inventory, str]:
        """Write what the service held at a backup, once. An earlier inventory that does not contradict it stays: it was
        taken closer to the backup.

        :returns: the recorded inventory, and the URL of its blob.
        :raises AlreadyPublishedError: another inventory has this name.
        :raises InvalidInventoryError: this is not the name of a backup, or the record cannot be read.
        """
        if not is_backup_name(backup_name):
            raise InvalidInventoryError(f"{backup_name!r} is not the name of a backup; its inventory cannot be stored.")
        path = path_of(_INVENTORIES, inventory.service, backup_name)
        if not self._blobs.write_once(path, inventory.to_dict()):
            recorded = self._inventory(path, inventory.service)
            if any(each.change != "not comparable" for each in differences(recorded, inventory)):
                raise self._exists("inventory", path)
            inventory = recorded
        return inventory, self._blobs.url(path)

    def inventory(self, service: str, backup_name: str) -> Inventory:
        """What a service held at a backup; its name may be in any case.

        :raises NotInCatalogError: it was not recorded.
        :raises InvalidInventoryError: the record cannot be read.
        """
        return self._inventory(path_of(_INVENTORIES, service, backup_name), service)

    def inventory_of(self, reference: BackupReference) -> Inventory | None:
        """What a backup holds, None when it was not recorded; errors as :meth:`inventory`."""
        try:
            return self.inventory(reference.service, reference.container)
        except NotInCatalogError:
            return None

    def _all(self, folder: str, service: str | None, read: Callable[[str], T], on_invalid: OnInvalid) -> list[T]:
        paths = self._blobs.list(f"{folder}/{service.lower()}" if service else folder)
        return list(_readable(self._all_tried(paths, read), on_invalid))

    def _each(self, paths: Iterable[str], read: Callable[[str], T], on_invalid: OnInvalid) -> Iterator[T]:
        """What is at these paths; each is read when it is asked for."""
        return _readable((self._tried(path, read) for path in paths), on_invalid)

    def _all_tried(self, paths: Iterable[str], read: Callable[[str], T]) -> Iterator[T | InvalidReferenceError | None]:
        return in_parallel(lambda path: self._tried(path, read), paths)

    def _tried(self, path: str, read: Callable[[str], T]) -> T | InvalidReferenceError | None:
        """What is at a path; why it cannot be read; or None where it was deleted since the folder was listed."""
        try:
            return read(path)
        except NotInCatalogError:
            return None
        except InvalidReferenceError as error:
            return error
        except StorageError as error:
            if error.of_account:
                raise
            return InvalidReferenceError(f"{path} in catalog {self._blobs.place} is not readable. {error}")

    def _write(self, path: str, values: dict[str, Any], listed: ListedBackup) -> bool:
        """Write a record once, so that the index misses it at no moment."""
        self._index.announce(path)
        is_new = self._blobs.write_once(path, values, label(listed, json_bytes(values)))
        self._index.announce(path)
        return is_new

    def _likely_paths(self, name: str) -> Iterator[str]:
        """Where the one reference to a backup of this name may be."""
        found = moment_in_name(name)
        if found and found[1] and is_backup_name(name):  # by its digest it is that of one service
            yield path_of(REFERENCES, name.removesuffix(f"-{found[0]}-{found[1]}"), name)
        known = self._index.named(name, datetime.now(UTC))
        if len(known) == 1:
            yield known[0]

    def _listed(self, path: str) -> ListedBackup:
        if path.startswith(f"{REFERENCES}/"):
            return ListedBackup.of(self._reference(path))
        found = self._quarantined(path)
        if path_of(QUARANTINE, found.reference.service, found.reference.container) != path:
            raise InvalidReferenceError(
                f"{path} in catalog {self._blobs.place} is the record of backup {found.reference.container} of service "
                f"{found.reference.service}, which belongs elsewhere. {_MOVE}"
            )
        return ListedBackup.of(found.reference, found.reason)

    def _reference(self, path: str) -> BackupReference:
        content = self._content(path)
        try:
            reference = BackupReference.from_dict(parsed(content))
        except ValueError:
            raise InvalidReferenceError(f"{path} in catalog {self._blobs.place} is not JSON. {_MOVE}") from None
        except InvalidReferenceError as error:
            raise InvalidReferenceError(f"{path} in catalog {self._blobs.place}: {error}") from None
        if path_of(REFERENCES, reference.service, reference.container) != path:
            raise InvalidReferenceError(
                f"{path} in catalog {self._blobs.place} is the reference of backup {reference.container} of service "
                f"{reference.service}, which belongs elsewhere. {_MOVE}"
            )
        return reference

    def _quarantined(self, path: str) -> QuarantinedBackup:
        try:
            values = parsed(self._content(path))
            return QuarantinedBackup(BackupReference.from_dict(values["reference"]), str(values["reason"]))
        except (KeyError, TypeError, ValueError):
            raise InvalidReferenceError(
                f"{path} in catalog {self._blobs.place} is not the record of a quarantined backup."
            ) from None
        except InvalidReferenceError as error:
            raise InvalidReferenceError(f"{path} in catalog {self._blobs.place}: {error}") from None

    def _inventory(self, path: str, service: str) -> Inventory:
        try:
            inventory = Inventory.from_bytes(self._content(path))
        except InvalidInventoryError as error:
            raise InvalidInventoryError(f"{path} in catalog {self._blobs.place}: {error}") from None
        if inventory.service.lower() != service.lower():
            raise InvalidInventoryError(
                f"{path} in catalog {self._blobs.place} is the inventory of service {inventory.service}, which belongs "
                f"elsewhere. {_MOVE}"
            )
        return inventory

    def _content(self, path: str) -> bytes:
        content = self._blobs.read(path)
        if content is None:
            folder, service, name = path.removesuffix(".json").split("/", 2)
            what, remedy = "reference to", "List the catalog to see what it has."
            if folder == _INVENTORIES:
                what, remedy = "inventory of", "What the backup holds can only be seen in the backup itself."
            raise NotInCatalogError(
                f"Catalog {self._blobs.place} has no {what} backup {name} of service {service}. {remedy}"
            )
        return content

    def _exists(self, what: str, path: str) -> AlreadyPublishedError:
        return AlreadyPublishedError(
            f"Catalog {self._blobs.place} holds another {what} as {path}; records are never overwritten. Take the "
            "backup under a new name."
        )


def _readable(found: Iterable[T | InvalidReferenceError | None], on_invalid: OnInvalid) -> Iterator[T]:
    for each in found:
        if isinstance(each, InvalidReferenceError):
            (on_invalid or log.warning)(each)
        elif each is not None:
            yield each


def _when(reference: BackupReference) -> tuple[datetime, str]:
    return reference.finished_at, reference.container


def _is_older(path: str, reference: BackupReference) -> bool:
    """Whether the moment in a record's name is before that of a backup; a name without moment shows nothing."""
    named, taken = moment_in_name(path.removesuffix(".json")), moment_in_name(reference.container)
    at = taken[0] if taken else f"{reference.finished_at.astimezone(UTC):%Y%m%d-%H%M%S}"
    return named is not None and named[0] < at


def _ambiguous(place: str, service: str, references: Iterable[BackupReference]) -> str:
    services = sorted({f"{each.scope}/{each.service} in subscription {each.subscription_id}" for each in references})
    return (
        f"Catalog {place} has backups of several services that are called {service}: {'; '.join(services)}. Name the "
        "backup, or the scope of the service."
    )


def _is_of(reference: BackupReference, service: ServiceKey) -> bool:
    try:
        return reference.key == service
    except InvalidAddressError:
        return False
