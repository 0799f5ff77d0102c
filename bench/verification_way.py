"""`python -m bench.verification_way WAY FILE`: reads the backup of a reference whole, and writes as JSON what that took
beyond the first request: `seconds`, `cpu` (seconds of this process) and `growth` (MiB)."""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from azure.storage.blob import BlobServiceClient
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.archive.verification import AT_ONCE, verify_against_reference
from biztalk_services.model.backup import BackupReference

from stack.settings import STORAGE_API_VERSION


def main(way: str, recorded: BackupReference) -> None:
    client = BlobServiceClient.from_connection_string(
        os.environ["AZURE_STORAGE_CONNECTION_STRING"], api_version=STORAGE_API_VERSION
    )
    account = StorageAccount(client)
    account.check()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, start, cpu = _peak(), time.perf_counter(), time.process_time()
    if way == "verification":
        verify_against_reference(account, recorded)
    else:
        _download(client, recorded)
    figures = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
    print(json.dumps({**figures, "growth": (_peak() - before) / 1024}))


def _download(client: BlobServiceClient, recorded: BackupReference) -> None:
    """As a short script would."""
    container = client.get_container_client(recorded.container)

    def digest(name: str) -> str:
        return sha256(container.download_blob(name).readall()).hexdigest()

    names = [blob.name for blob in container.list_blobs()]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert dict(zip(names, pool.map(digest, names), strict=True)) == {
            blob.name: blob.sha256 for blob in recorded.blobs
        }


def _peak() -> int:
    """The most memory that this process has had, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main(sys.argv[1], BackupReference.from_dict(json.loads(Path(sys.argv[2]).read_text())))
