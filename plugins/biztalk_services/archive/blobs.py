"""A container of the archive: blobs that are written once, listed by folder, read whole. All records are JSON."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobProperties, ContainerClient, ContentSettings

from biztalk_services.archive.errors import BlobExistsError, StorageImmutableError
from biztalk_services.archive.parallel import one_ahead
from biztalk_services.archive.storage import (
    BLOB_NOT_FOUND,
    CONTAINER_EXISTS,
    CONTAINER_NOT_FOUND,
    StorageAccount,
    code_of,
    storage_errors,
)

log = logging.getLogger(__name__)

JSON = ContentSettings(content_type="application/json; charset=utf-8")
BYTES = ContentSettings(content_type="application/octet-stream")
_SUFFIX = ".json"


class Blobs:
    """The blobs of one container, which the first write creates. Every request raises StorageError when the account was
    not reached or refused. An absence is believed only under the code that says so, and a blob counts as written only
    where the account has taken it."""

    def __init__(self, account: StorageAccount, container: str) -> None:
        self.place = f"{account.name}/{container}"
        self._container: ContainerClient = account.client.get_container_client(container)

    def client(self, path: str) -> BlobClient:
        return self._container.get_blob_client(path)

    def url(self, path: str) -> str:
        return self.client(path).url.partition("?")[0]

    def list(self, folder: str) -> list[str]:
        """The paths of all records in a folder, in order; empty where the container does not exist.

        Markers of folders, as accounts with a hierarchical namespace list them, are left out. Files of other programs
        are, too, and are named in the log.
        """
        return sorted(blob.name for blob in self.records(folder))

    def records(self, folder: str, *, with_metadata: bool = False, page: int | None = None) -> Iterator[BlobProperties]:
        """All records in a folder as :meth:`list` has them, but one page after the other is requested.

        :param page: how many names a request is to have, of which each is sent when its names are needed; None: as
            many as the account gives, and the next request is sent while the names of one are used.
        """
        for blob in self.in_folder(folder, with_metadata=with_metadata, page=page):
            if blob.name.endswith(_SUFFIX):
                yield blob
            elif blob.size:
                log.warning(
                    "%s in %s is no record of this project (its name does not end with %s), and is left alone.",
                    blob.name,
                    self.place,
                    _SUFFIX,
                )

    def in_folder(
        self, folder: str, *, with_metadata: bool = False, page: int | None = None
    ) -> Iterator[BlobProperties]:
        """All blobs in a folder; none where the container does not exist. Parameters as :meth:`records`."""
        how: dict[str, Any] = {"include": ["metadata"] if with_metadata else [], "results_per_page": page}
        with storage_errors(f"list {folder} in {self.place}"):
            pages = self._container.list_blobs(name_starts_with=f"{folder}/", **how).by_page()
            try:
                yield from chain.from_iterable(one_ahead(pages) if page is None else pages)
            except ResourceNotFoundError as error:
                if code_of(error) != CONTAINER_NOT_FOUND:
                    raise

    def read(self, path: str) -> bytes | None:
        """The content of a blob as it is stored, None when there is none."""
        return self.read_with_etag(path)[0]

    def read_with_etag(self, path: str) -> tuple[bytes | None, str | None]:
        """The content of a blob as it is stored, and its ETag; None when there is none."""
        with storage_errors(f"read {path} from {self.place}"):
            try:
                # Without decompress=False a blob that is labelled as compressed would be decompressed.
                download = self.client(path).download_blob(decompress=False)
                return bytes(download.readall()), str(download.properties.etag)
            except ResourceNotFoundError as error:
                if code_of(error) not in (BLOB_NOT_FOUND, CONTAINER_NOT_FOUND):
                    raise
                return None, None

    def write_once(self, path: str, values: dict[str, Any] | bytes, metadata: Mapping[str, str] | None = None) -> bool:
        """Write plain JSON values, or bytes as they are; False when there is a blob of this name already, which then
        stays."""
        content, settings = (values, BYTES) if isinstance(values, bytes) else (json_bytes(values), JSON)
        how = {"content_settings": settings, "metadata": dict(metadata or {})}
        try:
            with storage_errors(f"write {path} into {self.place}"):
                try:
                    self._create(path, content, how)
                except ResourceNotFoundError as error:
                    if code_of(error) != CONTAINER_NOT_FOUND:
                        raise
                    self.create_container()
                    self._create(path, content, how)
        except BlobExistsError:
            return False
        except StorageImmutableError:
            # Under a policy the account may name the policy, where there is a blob of this name.
            if self.read(path) is None:
                raise
            return False
        return True

    def replace(self, path: str, values: dict[str, Any], etag: str) -> None:
        """Overwrite a blob unless it was changed since its ETag was read.

        :raises StorageChangedError: it was.
        :raises StorageNotFoundError: it was deleted.
        """
        with storage_errors(f"overwrite {path} in {self.place}"):
            self.client(path).upload_blob(
                json_bytes(values),
                overwrite=True,
                content_settings=JSON,
                etag=etag,
                match_condition=MatchConditions.IfNotModified,
            )

    def delete(self, path: str, etag: str | None = None) -> None:
        """Delete a blob with its snapshots, if there is one.

        :param etag: delete it only if it was not changed since this ETag was read.
        :raises StorageChangedError: it was.
        """
        condition: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified} if etag else {}
        with storage_errors(f"delete {path} from {self.place}"):
            try:
                self.client(path).delete_blob(delete_snapshots="include", **condition)
            except ResourceNotFoundError as error:
                if code_of(error) not in (BLOB_NOT_FOUND, CONTAINER_NOT_FOUND):
                    raise

    def create_container(self) -> None:
        """Create the container unless it exists. Raises as Azure's library does."""
        try:
            self._container.create_container()
        except ResourceExistsError as error:
            if code_of(error) != CONTAINER_EXISTS:
                raise

    def _create(self, path: str, content: bytes, how: dict[str, Any]) -> None:
        self.client(path).upload_blob(content, overwrite=False, **how)


def json_bytes(values: dict[str, Any]) -> bytes:
    """Plain JSON values as the content of a blob, readable for people; equal values give equal bytes."""
    return (json.dumps(values, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()
