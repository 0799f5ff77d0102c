"""Records of restores: what was restored as what, who approved it, how it went, how long it took."""

from __future__ import annotations

import json
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient

from biztalk_services.archive.storage import json_bytes, storage_errors, write_once

_FOLDER = "restores"
_MOST_READ = 20


class Restores:
    """The records in the container of a catalog: ``restores/<service in lower case>/<when>.json``.

    :param client: of the storage account.
    :param container: container of the catalog.
    """

    def __init__(self, client: BlobServiceClient, container: str) -> None:
        self._container = client.get_container_client(container)
        self._place = f"{client.account_name}/{container}"

    def record(self, service: str, when: str, values: dict[str, Any]) -> str:
        """Write a record, once; answers its URL.

        :param service: name of the restored service.
        :param when: moment of the run, fit for a blob's name (``20261125-081700``).
        :param values: plain JSON values without secrets.
        :raises StorageError: the account was not reached or refused.
        """
        path = f"{_FOLDER}/{service.lower()}/{when}.json"
        with storage_errors(f"record a restore in {self._place}"):
            write_once(self._container, path, json_bytes(values))
        return self._container.get_blob_client(path).url.partition("?")[0]

    def durations(self, service: str) -> list[float]:
        """Seconds that the last restores of a service took that went well, the newest first; empty when none did.
        Records that cannot be read are passed over.

        :raises StorageError: the account was not reached or refused.
        """
        with storage_errors(f"read the restores of service {service} in {self._place}"):
            try:
                blobs = self._container.list_blobs(name_starts_with=f"{_FOLDER}/{service.lower()}/")
                names = sorted((blob.name for blob in blobs), reverse=True)[:_MOST_READ]
                seconds = [_seconds(self._container.download_blob(name).readall()) for name in names]
            except ResourceNotFoundError:
                return []
        return [each for each in seconds if each]


def _seconds(content: bytes) -> float | None:
    """How long a restore took that went well; None for every other record."""
    try:
        record = json.loads(content)
    except ValueError:
        return None
    if not isinstance(record, dict) or record.get("outcome") != "restored":
        return None
    seconds = record.get("seconds")
    return seconds if type(seconds) in (int, float) and seconds > 0 else None
