"""`python -m bench [suspension] [restore] [parsing] [first-backup] [interchanges]`: all when none is named."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime

from bench import first_backup, interchanges, parsing, restore, suspension
from stack.processes import end_in_order

MEASUREMENTS = {
    "suspension": suspension.measure,
    "restore": restore.measure,
    "parsing": parsing.measure,
    "first-backup": first_backup.measure,
    "interchanges": interchanges.measure,
}


def main() -> int:
    chosen = sys.argv[1:] or list(MEASUREMENTS)
    unknown = [name for name in chosen if name not in MEASUREMENTS]
    if unknown:
        print(f"There is no measurement {', '.join(unknown)}; choose of {', '.join(MEASUREMENTS)}.", file=sys.stderr)
        return 2
    end_in_order()
    print(f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: {os.cpu_count()} cores, {platform.platform()}, "
          f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the start.\n")  # fmt: skip
    for name in chosen:
        print(MEASUREMENTS[name](), flush=True)
    return 0


sys.exit(main())
