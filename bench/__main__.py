"""
`python -m bench [NAME ...] [OPTION ...]`: measurements by name, all of the first kind when none is named.

Options are those of the nights of a fleet (`python -m bench fleet --help`).
"""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from itertools import takewhile

from bench import catalog, first_backup, fleet, interchanges, parsing, restore, suspension, verification
from stack.processes import end_in_order

MEASUREMENTS = {
    "suspension": suspension.measure,
    "restore": restore.measure,
    "parsing": parsing.measure,
    "first-backup": first_backup.measure,
    "interchanges": interchanges.measure,
    "catalog": catalog.measure,
    "verification": verification.measure,
}
NIGHTS = {"fleet": fleet.measure, "fleet-500": fleet.measure_long, "fleet-2500": fleet.measure_huge}
"""They take options. All but the first take half an hour and more, and have to be named."""


def main() -> int:
    chosen = list(takewhile(lambda argument: not argument.startswith("-"), sys.argv[1:]))
    options = sys.argv[1 + len(chosen) :]
    chosen = chosen or [*MEASUREMENTS, "fleet"]
    known = [*MEASUREMENTS, *NIGHTS]
    unknown = [name for name in chosen if name not in known]
    if unknown:
        print(f"There is no measurement {', '.join(unknown)}; choose of {', '.join(known)}.", file=sys.stderr)
        return 2
    if options and not set(chosen) <= set(NIGHTS):
        print(f"Only {', '.join(NIGHTS)} take options, such as {options[0]}; name them alone.", file=sys.stderr)
        return 2
    end_in_order()
    print(f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: {os.cpu_count()} cores, {platform.platform()}, "
          f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the start.\n")  # fmt: skip
    for name in chosen:
        print(NIGHTS[name](options) if name in NIGHTS else MEASUREMENTS[name](), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
