"""`python -m chaos [--seed N] [--cells N] [--stack NAME] [--record FILE]`: runs the kill matrix on its own stack."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from chaos.cells import all_cells, sample
from chaos.matrix import run_cells
from chaos.records import record_line
from chaos.targets import TARGETS
from stack.layouts import LAYOUTS, LOCAL
from stack.processes import end_in_order

_COLOURS = {True: "green", False: "red", None: "-"}


def main() -> int:
    """Run the cells and print the outcome of each; 0 when all of them passed."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="chooses the moments and the order (default: %(default)s)")
    parser.add_argument("--cells", type=int, help="run a sample of this many cells (default: all)")
    parser.add_argument("--stack", choices=LAYOUTS, default=LOCAL.name, help="layout of Airflow (default: %(default)s)")
    parser.add_argument("--record", type=Path, help="append the outcomes to this file, one JSON object a line")
    options = parser.parse_args()
    end_in_order()
    cells = sample(all_cells(TARGETS, options.seed), options.cells, options.seed)
    started, passed, done = time.monotonic(), 0, 0
    for outcomes in run_cells(cells, options.seed, LAYOUTS[options.stack]):
        for outcome in outcomes:
            done, passed = done + 1, passed + (outcome.verdict == "passed")
            print(f"{done:4} {outcome.verdict:8} {_COLOURS[outcome.green]:5}  {outcome.cell}")
            told = filter(None, [*outcome.violations, outcome.reason])
            print(*(f"     {sentence}\n" for sentence in told), sep="", end="", flush=True)
            if options.record:
                with options.record.open("a") as file:
                    print(record_line(outcome, options.stack, options.seed), file=file)
    print(f"{passed} of {len(cells)} cells passed, {(time.monotonic() - started) / 60:.0f} minutes")
    return 0 if passed == len(cells) else 1


sys.exit(main())
