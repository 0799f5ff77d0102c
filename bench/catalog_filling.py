"""Fills a catalog with references: a few as the library writes them, all others as copies of the first one's requests,
many at once and without a client library."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException

from azure.storage.blob import AccountSasPermissions, BlobServiceClient, ResourceTypes, generate_account_sas
from biztalk_services.archive.archive import Archive
from biztalk_services.archive.blobs import json_bytes
from biztalk_services.archive.catalog_index import REFERENCES, path_of
from biztalk_services.archive.labels import label
from biztalk_services.model.backup import BackupReference, Drain, NotIncluded, StoredBlob, Verification, backup_name
from biztalk_services.model.drain import DrainStatus
from biztalk_services.model.listing import ListedBackup
from biztalk_services.model.run import Run
from biztalk_services.model.service import ServiceKey, ServiceRef

from stack.settings import STORAGE_ACCOUNT, STORAGE_API_VERSION, STORAGE_KEY

SERVICES = 500
SUBSCRIPTION = "5f3c1a52-9e0b-4d6e-8f52-2b1c7d9a4e10"
NOW = datetime.now(UTC).replace(microsecond=0)
_THREADS = 8


def reference(number: int) -> BackupReference:
    """One of the references: the newest first, a day after the other, of each service in turn."""
    night, service = divmod(number, SERVICES)
    key = ServiceKey(SUBSCRIPTION, ServiceRef(f"contoso-{service % 10}", f"orders{service:03}"))
    at = NOW - timedelta(days=night, seconds=service)
    drained = DrainStatus(answer="empty", source="tracking database", checked_at=at)
    name = backup_name(key, at)
    return BackupReference(
        account=STORAGE_ACCOUNT,
        container=name,
        blobs=tuple(StoredBlob(f"{part}.json", 40_000, f"{number:064x}") for part in ("agreements", "partners")),
        service_kind="biztalk",
        service=key.ref.name,
        scope=key.ref.scope,
        subscription_id=SUBSCRIPTION,
        edition=("premium", "standard", "basic")[service % 3],
        product_version="1.1.0",
        region="West US",
        etag=f"{number:032x}",
        created_at=at,
        started_at=at - timedelta(minutes=6),
        finished_at=at,
        kind="manual" if number % 50 == 0 else "nightly",
        run=Run("biztalk_nightly_backup", f"scheduled__{at.isoformat()}", "a1b2c3d4"),
        operation_id=f"{number:032x}",
        label=None,
        drain=Drain(before=drained, after=drained, drained=True),
        items={"agreements": 12, "bridges": 3, "partners": 40},
        verification=Verification("matched", at, "All blobs were read and match."),
        not_included=(NotIncluded("tracking data", "What was tracked is in the tracking database only."),),
    )


def fill(connection_string: str, container: str, count: int, published: int) -> None:
    """Write the references.

    :param published: how many of them the library publishes, one after the other; they are the newest.
    """
    from biztalk_services.archive.storage import StorageAccount

    made = BlobServiceClient.from_connection_string(connection_string, api_version=STORAGE_API_VERSION)
    with made as client:
        catalog = Archive(StorageAccount(client), container).catalog
        catalog.publish(reference(0))
        url = client.url
        with ThreadPoolExecutor(_THREADS) as pool:
            parts = [range(published + first, count, _THREADS) for first in range(_THREADS)]
            for each in [pool.submit(_copy, url, container, part) for part in parts]:
                each.result()
        written = catalog.rebuild_index().references
        assert written == count - published + 1, written
        for number in range(1, published):
            catalog.publish(reference(number))


def _copy(url: str, container: str, numbers: range) -> None:
    host, _, account = url.removeprefix("http://").strip("/").partition("/")
    allowed = AccountSasPermissions(read=True, write=True, create=True)
    until = datetime.now(UTC) + timedelta(days=1)
    signature = generate_account_sas(STORAGE_ACCOUNT, STORAGE_KEY, ResourceTypes(object=True), allowed, until)
    connection = HTTPConnection(host)
    for number in numbers:
        each = reference(number)
        content = json_bytes(each.to_dict())
        path = path_of(REFERENCES, each.service, each.container)
        headers = {"x-ms-version": STORAGE_API_VERSION, "x-ms-blob-type": "BlockBlob", "If-None-Match": "*"}
        headers |= {f"x-ms-meta-{name}": text for name, text in label(ListedBackup.of(each), content).items()}
        try:
            status = _put(connection, f"/{account}/{container}/{path}?{signature}", content, headers)
        except (ConnectionError, HTTPException):  # Azurite closes what was idle while it wrote its database
            connection.close()
            status = _put(connection, f"/{account}/{container}/{path}?{signature}", content, headers)
        assert status in (201, 409), (status, path)


def _put(connection: HTTPConnection, address: str, content: bytes, headers: dict[str, str]) -> int:
    connection.request("PUT", address, content, headers)
    response = connection.getresponse()
    response.read()
    return response.status
