"""Lists of a catalog of a hundred thousand references on Azurite, against reading them one by one, and two peers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import TypeVar

from azure.storage.blob import BlobServiceClient
from biztalk_services.archive.blobs import Blobs
from biztalk_services.archive.catalog_index import REFERENCES
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.model.backup import BackupReference

from bench import azurite, catalog_peers
from bench.catalog_filling import SERVICES, fill, reference
from stack.settings import STORAGE_API_VERSION

COUNT = int(os.environ.get("BENCH_CATALOG", "100000"))
PENDING = 20
RUNS = 5
SAMPLE = 1_000
PEER_SECONDS = float(os.environ.get("BENCH_PEERS", "60"))
CATALOG = "biztalk-backup-catalog"

T = TypeVar("T")


def measure() -> str:
    """Wall time and memory of each command in a process of its own, without its imports."""
    middle = reference(COUNT // 2)
    commands = {
        "list, all": ["list"],
        "list, all, as JSON": ["list", "--json"],
        "list, newest of each service": ["list", "--newest"],
        "list, one service": ["list", middle.service],
        "list, by time": ["list", "--since", f"{reference(3 * SERVICES).finished_at:%Y-%m-%d}"],
        "list, by edition, version, kind, verified": [
            *("list", "--edition", "basic", "--version", "1.1.0", "--kind", "manual", "--verified", "matched"),
        ],
        "show, a name with digest": ["show", middle.container],
    }
    with tempfile.TemporaryDirectory() as folder, azurite.running(Path(folder)) as connection_string:
        start = time.perf_counter()
        fill(connection_string, CATALOG, COUNT, PENDING)
        filled = time.perf_counter() - start
        rows = [_row(name, [_run(words, connection_string) for _ in range(RUNS)]) for name, words in commands.items()]
        rows.append(_row("rebuild-index", [_run(["rebuild-index"], connection_string)]))
        before = list(_before(connection_string))
    heading = "| operation | min (s) | median | max | µs a backup |\n|---|---|---|---|---|"
    with tempfile.TemporaryDirectory() as folder:
        peers = []
        for peer in catalog_peers.PEERS:
            place = Path(folder) / peer.program
            place.mkdir()
            peers.append(catalog_peers.measure(peer, place, PEER_SECONDS))
    return "\n".join(
        [
            "## Catalog\n",
            f"{COUNT} references of {SERVICES} services, {PENDING - 1} of them not in the index yet; written in "
            f"{filled:.0f} s.\n",
            heading.replace(" |\n", " | CPU (s) | growth (MiB) | whole process (MiB) |\n") + "---|---|---|",
            *rows,
            "",
            heading,
            *before,
            *peers,
            "",
        ]
    )


def _run(words: list[str], connection_string: str) -> dict[str, float]:
    given = {"AZURE_STORAGE_CONNECTION_STRING": connection_string, "BIZTALK_STORAGE_API_VERSION": STORAGE_API_VERSION}
    done = subprocess.run(
        [sys.executable, "-m", "bench.catalog_command", *words],
        env={**os.environ, **given},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    *said, figures = done.stderr.splitlines()
    assert not said, said
    return dict(json.loads(figures))


def _row(name: str, runs: list[dict[str, float]]) -> str:
    growth, peak = (max(run[which] for run in runs) for which in ("growth", "peak"))
    cpu = median(run["cpu"] for run in runs)
    return f"{_times(name, [run['seconds'] for run in runs])} {cpu:.2f} | {growth:.0f} | {peak:.0f} |"


def _times(name: str, seconds: list[float]) -> str:
    shown = " | ".join(f"{value:.2f}" for value in (min(seconds), median(seconds), max(seconds)))
    return f"| {name} | {shown} | {median(seconds) / COUNT * 1e6:.0f} |"


def _before(connection_string: str) -> Iterator[str]:
    """The earlier way: all names are listed, and each reference is read, one after the other."""
    made = BlobServiceClient.from_connection_string(connection_string, api_version=STORAGE_API_VERSION)
    with made as client:
        blobs = Blobs(StorageAccount(client), CATALOG)
        listing, names = _timed(lambda: blobs.list(REFERENCES))
        sample = names[:: max(1, len(names) // SAMPLE)]
        reading, _ = _timed(lambda: [BackupReference.from_dict(json.loads(blobs.read(each) or b"")) for each in sample])
    yield _times("earlier: look-up by name (all names)", [listing])
    whole = listing + reading * len(names) / len(sample)
    yield _times(f"earlier: any list (all names, {len(sample)} references read, extrapolated)", [whole])


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result
