"""The catalog: all backup references, kept in blob storage beside the backups, so that it outlives Airflow.

A reference is written last, once its backup was verified, and never overwritten: what the catalog lists is whole.
Beside it may lie the inventory of the service at the backup, written once too.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from azure.storage.blob import BlobServiceClient

from biztalk_services.archive.storage import StorageNotFoundError, json_bytes, storage_errors, write_once
from biztalk_services.model.backup import BackupReference, InvalidReferenceError, is_backup_name
from biztalk_services.model.differences import differences
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.inventory import InvalidInventoryError, Inventory

log = logging.getLogger(__name__)

DEFAULT_CONTAINER = "biztalk-backup-catalog"
_FOLDER = "references"
_SET_ASIDE = "set-aside"
_INVENTORIES = "inventories"

T = TypeVar("T")


class NotInCatalogError(BackupServiceError):
    """The catalog has no such reference or inventory."""


class AlreadyPublishedError(BackupServiceError):
    """The catalog has another reference or inventory under this name; nothing in it is overwritten."""


@dataclass(frozen=True)
class QuarantinedBackup:
    """A backup that does not count.

    :param reference: what is known of it.
    :param reason: why it does not count, in sentences.
    """

    reference: BackupReference
    reason: str


class Catalog:
    """The references in one container of one storage account.

    :param client: of the storage account.
    :param container: container of the catalog; created by the first publication.
    """

    def __init__(self, client: BlobServiceClient, container: str = DEFAULT_CONTAINER) -> None:
        self._client = client
        self._container = client.get_container_client(container)
        self._place = f"{client.account_name}/{container}"

    def __repr__(self) -> str:
        return f"<Catalog {self._place}>"

    def publish(self, reference: BackupReference) -> tuple[BackupReference, str]:
        """Write a reference, once. When the same run has published the same blobs before, that reference stays.

        :returns: the published reference, and the URL of its blob.
        :raises AlreadyPublishedError: the reference of another backup has this name.
        :raises StorageError: the account was not reached or refused.
        """
        path = _path(reference.service, reference.container)
        if not self._write_once(path, to_bytes(reference)):
            published = self._read(path)
            if (published.run, published.blobs) != (reference.run, reference.blobs):
                raise AlreadyPublishedError(
                    f"Catalog {self._place} holds another reference as {path}; a reference is never overwritten. "
                    "Take the backup under a new name."
                )
            reference = published
        return reference, self._url(path)

    def quarantine(self, reference: BackupReference, reason: str) -> str:
        """Note a backup that does not count, where nobody takes it for a valid one.

        :param reason: why, in sentences.
        :returns: URL of the note.
        :raises StorageError: the account was not reached or refused.
        """
        path = _path(reference.service, reference.container, _SET_ASIDE)
        self._write_once(path, json_bytes({"reason": reason, "reference": reference.to_dict()}))
        return self._url(path)

    def read(self, service: str, name: str) -> BackupReference:
        """One reference.

        :param service: name of the service, any case.
        :param name: name of the backup.
        :raises NotInCatalogError: there is none.
        :raises InvalidReferenceError: what is there cannot be read.
        :raises StorageError: the account was not reached or refused.
        """
        try:
            return self._read(_path(service, name))
        except StorageNotFoundError:
            raise NotInCatalogError(
                f"Catalog {self._place} has no reference to backup {name} of service {service}. "
                "List the catalog to see what there is."
            ) from None

    def list(
        self, service: str | None = None, *, on_unusable: Callable[[InvalidReferenceError], Any] | None = None
    ) -> list[BackupReference]:
        """All references, the newest backup first.

        :param service: only of this service, any case; None: of all.
        :param on_unusable: called for each record that cannot be read; None: a warning in the log. The others are
            listed all the same.
        :raises StorageError: the account was not reached or refused.
        """
        found = self._all(_FOLDER, service, self._read, on_unusable)
        return sorted(found, key=_when, reverse=True)

    def list_quarantined(
        self, service: str | None = None, *, on_unusable: Callable[[InvalidReferenceError], Any] | None = None
    ) -> list[QuarantinedBackup]:
        """All backups that do not count, the newest first; parameters and errors as :meth:`list`."""
        found = self._all(_SET_ASIDE, service, self._read_set_aside, on_unusable)
        return sorted(found, key=lambda note: _when(note.reference), reverse=True)

    def find(self, name: str) -> BackupReference:
        """The reference of a backup, whatever its service is.

        :param name: name of the backup.
        :raises NotInCatalogError: there is none, or there are two.
        :raises InvalidReferenceError: what is there cannot be read.
        :raises StorageError: the account was not reached or refused.
        """
        found, aside = (
            [path for path in self._paths(folder, None) if path.endswith(f"/{name}.json")]
            for folder in (_FOLDER, _SET_ASIDE)
        )
        if len(found) == 1:
            return self._read(found[0])
        references = f"{len(found)} references" if found else "no reference"
        not_valid = "; it was set aside, so it does not count" if aside and not found else ""
        raise NotInCatalogError(
            f"Catalog {self._place} has {references} to backup {name}{not_valid}. "
            "List the catalog to see what there is."
        )

    def latest(self, service: str, *, besides_dag: str | None = None) -> BackupReference:
        """The newest backup of a service.

        :param besides_dag: pass over the backups that runs of this DAG took, such as the safety backups of restores.
        :raises NotInCatalogError: there is none.
        :raises InvalidReferenceError: a record of this service cannot be read, so that the newest is not known.
        :raises StorageError: the account was not reached or refused.
        """
        found = [
            reference
            for reference in self.list(service, on_unusable=_raise)
            if besides_dag is None or reference.run is None or reference.run.dag_id != besides_dag
        ]
        if not found:
            raise NotInCatalogError(f"Catalog {self._place} has no backup of service {service}. Take one first.")
        return found[0]

    def record_inventory(self, backup_name: str, inventory: Inventory) -> tuple[Inventory, str]:
        """Write what the service held at a backup, once. Where one lies that does not contradict it, that one stays:
        it was taken closer to the backup.

        :param backup_name: name of the backup.
        :returns: the recorded inventory, and the URL of its blob.
        :raises AlreadyPublishedError: another inventory has this name.
        :raises InvalidInventoryError: this is not the name of a backup, or what is there cannot be read.
        :raises StorageError: the account was not reached or refused.
        """
        if not is_backup_name(backup_name):
            raise InvalidInventoryError(f"{backup_name!r} is not the name of a backup, so its inventory has no place.")
        path = _path(inventory.service, backup_name, _INVENTORIES)
        if not self._write_once(path, inventory.to_bytes()):
            recorded = self._read_inventory(path, inventory.service)
            if any(found.change != "not comparable" for found in differences(recorded, inventory)):
                raise AlreadyPublishedError(
                    f"Catalog {self._place} holds another inventory as {path}; an inventory is never overwritten. "
                    "Take the backup under a new name."
                )
            inventory = recorded
        return inventory, self._url(path)

    def inventory(self, service: str, backup_name: str) -> Inventory:
        """What a service held at a backup.

        :param service: name of the service, any case.
        :param backup_name: name of the backup.
        :raises NotInCatalogError: nobody recorded it.
        :raises InvalidInventoryError: what is there cannot be read.
        :raises StorageError: the account was not reached or refused.
        """
        try:
            return self._read_inventory(_path(service, backup_name, _INVENTORIES), service)
        except StorageNotFoundError:
            raise NotInCatalogError(
                f"Catalog {self._place} has no inventory of service {service} at backup {backup_name}. "
                "What the backup holds can only be seen in the backup itself."
            ) from None

    def _paths(self, folder: str, service: str | None) -> list[str]:
        """The blobs of a folder, empty where there is no catalog."""
        prefix = f"{folder}/{service.lower()}/" if service else f"{folder}/"
        try:
            with storage_errors(f"list catalog {self._place}"):
                return [blob.name for blob in self._container.list_blobs(name_starts_with=prefix)]
        except StorageNotFoundError:
            return []

    def _all(
        self,
        folder: str,
        service: str | None,
        read: Callable[[str], T],
        on_unusable: Callable[[InvalidReferenceError], Any] | None,
    ) -> list[T]:
        found: list[T] = []
        for path in self._paths(folder, service):
            try:
                found.append(read(path))
            except InvalidReferenceError as error:
                (on_unusable or log.warning)(error)
        return found

    def _read_set_aside(self, path: str) -> QuarantinedBackup:
        try:
            values = json.loads(self._content(path))
            return QuarantinedBackup(BackupReference.from_dict(values["reference"]), str(values["reason"]))
        except (KeyError, TypeError, ValueError, RecursionError):
            raise InvalidReferenceError(f"{path} in catalog {self._place} is not a note on a backup.") from None
        except InvalidReferenceError as error:
            raise InvalidReferenceError(f"{path} in catalog {self._place}: {error}") from None

    def _read_inventory(self, path: str, service: str) -> Inventory:
        content = self._content(path)
        try:
            inventory = Inventory.from_bytes(content)
        except InvalidInventoryError as error:
            raise InvalidInventoryError(f"{path} in catalog {self._place}: {error}") from None
        if inventory.service.lower() != service.lower():
            raise InvalidInventoryError(
                f"{path} in catalog {self._place} is the inventory of service {inventory.service}, which belongs "
                "elsewhere. Restore the blob, or move it away."
            )
        return inventory

    def _content(self, path: str) -> bytes:
        with storage_errors(f"read {path} from catalog {self._place}"):
            return self._container.download_blob(path).readall()

    def _write_once(self, path: str, content: bytes) -> bool:
        """Write a blob; False when there is one of this name already, which then stays."""
        with storage_errors(f"write {path} into catalog {self._place}"):
            return write_once(self._container, path, content)

    def _url(self, path: str) -> str:
        return self._container.get_blob_client(path).url.partition("?")[0]

    def _read(self, path: str) -> BackupReference:
        content = self._content(path)
        try:
            reference = BackupReference.from_dict(json.loads(content))
        except (ValueError, RecursionError):
            raise InvalidReferenceError(
                f"{path} in catalog {self._place} is not JSON. Restore the blob, or move it away."
            ) from None
        except InvalidReferenceError as error:
            raise InvalidReferenceError(f"{path} in catalog {self._place}: {error}") from None
        if _path(reference.service, reference.container) != path:
            raise InvalidReferenceError(
                f"{path} in catalog {self._place} is the reference of backup {reference.container} of service "
                f"{reference.service}, which belongs elsewhere. Restore the blob, or move it away."
            )
        return reference


def to_bytes(reference: BackupReference) -> bytes:
    """A reference as JSON; equal references give equal bytes."""
    return json_bytes(reference.to_dict())


def _path(service: str, backup_name: str, folder: str = _FOLDER) -> str:
    return f"{folder}/{service.lower()}/{backup_name}.json"


def _when(reference: BackupReference) -> tuple[datetime, str]:
    return reference.finished_at, reference.container


def _raise(error: InvalidReferenceError) -> None:
    raise error
