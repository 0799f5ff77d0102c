"""Verification of a large backup on Azurite, against a plain parallel download with hashing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from statistics import median

from azure.storage.blob import BlobServiceClient, ContainerClient
from biztalk_services.archive.verification import AT_ONCE
from biztalk_services.model.backup import BackupReference, StoredBlob

from bench import azurite
from bench.catalog_filling import reference
from stack.settings import STORAGE_API_VERSION

BLOBS = int(os.environ.get("BENCH_BLOBS", "1000"))
SIZE = 10 * 2**30 // 1000
RUNS = 3
WAYS = ("plain download", "verification")


def measure() -> str:
    """Throughput and memory of each way in a process of its own, in turn for both."""
    with tempfile.TemporaryDirectory(prefix="biztalk-bench-") as folder:
        needed, free = BLOBS * SIZE, shutil.disk_usage(folder).free
        if free < 1.2 * needed:
            return f"## Verification of a large backup\n\nNot measured: {needed} bytes do not fit on the disk.\n"
        file = Path(folder) / "reference.json"
        with azurite.running(Path(folder)) as connection_string:
            file.write_text(json.dumps(_write(connection_string).to_dict()))
            runs = [(way, _run(way, file, connection_string)) for _ in range(RUNS) for way in WAYS]
    rates = {way: [BLOBS * SIZE / 2**20 / run["seconds"] for name, run in runs if name == way] for way in WAYS}
    cpu = {way: median(run["cpu"] for name, run in runs if name == way) for way in WAYS}
    growth = {way: max(run["growth"] for name, run in runs if name == way) for way in WAYS}
    pairs = [ours / plain for plain, ours in zip(*(rates[way] for way in WAYS), strict=True)]
    ratios = ", ".join(f"{pair:.2f}" for pair in pairs)
    return "\n".join(
        [
            "## Verification of a large backup\n",
            f"{BLOBS} blobs, {BLOBS * SIZE / 2**30:.1f} GiB; {AT_ONCE} at once in both. Throughput of verification "
            f"to plain, pair by pair: {ratios}; median {median(pairs):.2f}.\n",
            "| variant | runs | min (MiB/s) | median | max | CPU (s, median) | growth (MiB) |",
            "|---|---|---|---|---|---|---|",
            *(
                f"| {way} | {RUNS} | {min(rates[way]):.0f} | {median(rates[way]):.0f} | {max(rates[way]):.0f} "
                f"| {cpu[way]:.1f} | {growth[way]:.0f} |"
                for way in WAYS
            ),
            "",
        ]
    )


def _write(connection_string: str) -> BackupReference:
    """Writes a backup.

    :returns: its reference.
    """
    rest = os.urandom(SIZE - 8)
    with _container(connection_string, reference(0).container) as container:
        container.create_container()

        def write(number: int) -> StoredBlob:
            content = number.to_bytes(8, "big") + rest
            container.upload_blob(f"{number:05}.bin", content)
            return StoredBlob(f"{number:05}.bin", SIZE, sha256(content).hexdigest())

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return replace(reference(0), blobs=tuple(pool.map(write, range(BLOBS))))


def _container(connection_string: str, name: str) -> ContainerClient:
    made = BlobServiceClient.from_connection_string(connection_string, api_version=STORAGE_API_VERSION)
    return made.get_container_client(name)


def _run(way: str, file: Path, connection_string: str) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.verification_way", way, str(file)]
    environment = {**os.environ, "AZURE_STORAGE_CONNECTION_STRING": connection_string}
    return dict(json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout))
