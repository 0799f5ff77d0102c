"""What lists the backups of two other programs, with as many snapshots as they make in a given time."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

RUNS = 3


@dataclass(frozen=True)
class Peer:
    """A program: how its repository is made, how a snapshot is taken of a small folder, how all are listed.

    :param take: ``{number}`` is that of the snapshot.
    """

    program: str
    init: Sequence[str]
    take: Sequence[str]
    listing: Sequence[str]
    settings: Mapping[str, str]

    def run(self, words: Sequence[str], folder: Path, number: int = 0) -> None:
        command = [word.format(number=number) for word in words]
        environment = {**os.environ, **self.settings, "HOME": str(folder)}
        subprocess.run([self.program, *command], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)


PEERS = (
    Peer(
        "restic",
        ("init", "--repo", "repository"),
        ("backup", "--repo", "repository", "--tag", "{number}", "--quiet", "small"),
        ("snapshots", "--repo", "repository"),
        {"RESTIC_PASSWORD": "bench", "RESTIC_CACHE_DIR": "cache"},
    ),
    Peer(
        "borg",
        ("init", "--encryption", "none", "repository"),
        ("create", "repository::snapshot-{number}", "small"),
        ("list", "repository"),
        {},
    ),
)


def measure(peer: Peer, folder: Path, seconds: float) -> str:
    """A row of the table.

    :param folder: an empty one.
    :param seconds: for how long snapshots are taken.
    """
    listing = f"`{peer.program} {peer.listing[0]}`"
    if not shutil.which(peer.program):
        return f"| {listing} | not installed here | | | |"
    (folder / "small").mkdir()
    (folder / "small/a").write_text("a")
    peer.run(peer.init, folder)
    deadline, count = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        peer.run(peer.take, folder, count)
        count += 1
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        peer.run(peer.listing, folder)
        times.append(time.perf_counter() - start)
    shown = f"{min(times):.2f} | {median(times):.2f} | {max(times):.2f}"
    return f"| {listing}, {count} snapshots in a local folder | {shown} | {median(times) / count * 1e6:.0f} |"
