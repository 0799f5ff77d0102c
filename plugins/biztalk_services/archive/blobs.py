"""The container of the archive: JSON blobs that are written once, listed by folder, read whole."""

from __future__ import annotations

import json
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobClient, ContainerClient, ContentSettings

from biztalk_services.archive.storage import StorageAccount, storage_errors

JSON = ContentSettings(content_type="application/json; charset=utf-8")


class Blobs:
    """The blobs of one container, which the first write creates. Every request raises StorageError when the account was
    not reached or refused."""

    def __init__(self, account: StorageAccount, container: str) -> None:
        self.place = f"{account.name}/{container}"
        self._container: ContainerClient = account.client.get_container_client(container)

    def client(self, path: str) -> BlobClient:
        return self._container.get_blob_client(path)

    def url(self, path: str) -> str:
        return self.client(path).url.partition("?")[0]

    def list(self, folder: str) -> list[str]:
        """The paths of all blobs in a folder, in order; empty where the container does not exist."""
        with storage_errors(f"list {folder} in {self.place}"):
            try:
                return sorted(self._container.list_blob_names(name_starts_with=f"{folder}/"))
            except ResourceNotFoundError:
                return []

    def read(self, path: str) -> bytes | None:
        """The content of a blob, None when there is none."""
        with storage_errors(f"read {path} from {self.place}"):
            try:
                return bytes(self.client(path).download_blob().readall())
            except ResourceNotFoundError:
                return None

    def write_once(self, path: str, values: dict[str, Any]) -> bool:
        """Write plain JSON values; False when there is a blob of this name already, which then stays."""
        with storage_errors(f"write {path} into {self.place}"):
            self.create_container()
            try:
                self.client(path).upload_blob(json_bytes(values), overwrite=False, content_settings=JSON)
            except ResourceExistsError:
                return False
            return True

    def delete(self, path: str) -> None:
        """Delete a blob, if there is one."""
        with storage_errors(f"delete {path} from {self.place}"):
            try:
                self.client(path).delete_blob()
            except ResourceNotFoundError:
                return

    def create_container(self) -> None:
        """Create the container unless it exists. One that is still being deleted raises, as Azure's library does."""
        try:
            self._container.create_container()
        except ResourceExistsError as error:
            if getattr(error, "error_code", None) == "ContainerBeingDeleted":
                raise


def json_bytes(values: dict[str, Any]) -> bytes:
    """Plain JSON values as the content of a blob, readable for people; equal values give equal bytes."""
    return (json.dumps(values, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()
