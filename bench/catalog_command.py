"""`python -m bench.catalog_command WORD ...`: one command of the library in this process, with what it takes beyond its
imports as JSON on the standard error: `seconds`, `cpu` (seconds), `growth` (MiB), `peak` (MiB, the whole process)."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import azure.storage.blob  # noqa: F401
import biztalk_services.archive.archive
import biztalk_services.cli.catalog  # noqa: F401
from biztalk_services.__main__ import main


def peak() -> int:
    """The most memory that this process has had, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


Path("/proc/self/clear_refs").write_text("5")
before, start, cpu = peak(), time.perf_counter(), time.process_time()
code = main(sys.argv[1:])
seconds = time.perf_counter() - start
cpu = time.process_time() - cpu
figures = {"code": code, "seconds": seconds, "cpu": cpu, "growth": (peak() - before) / 1024, "peak": peak() / 1024}
print(json.dumps(figures), file=sys.stderr)
