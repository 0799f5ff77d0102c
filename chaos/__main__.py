"""`python -m chaos [--seed N] [--cells N] [--stack NAME] [--record FILE]`: the kill matrix, on a stack of its own."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from chaos.cells import all_cells, sample
from chaos.matrix import carry_out
from chaos.victims import VICTIMS
from stack.layouts import LAYOUTS, LOCAL
from stack.processes import end_in_order

_COLOURS = {True: "green", False: "red", None: "-"}


def main() -> int:
    """Carry the cells out and tell how each ended; 0 when all of them passed."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="which moments and which order (default: %(default)s)")
    parser.add_argument("--cells", type=int, help="take a sample of so many cells (default: all)")
    parser.add_argument("--stack", choices=LAYOUTS, default=LOCAL.name, help="how Airflow is laid out (%(default)s)")
    parser.add_argument("--record", type=Path, help="append the outcomes to this file, one JSON object a line")
    chosen = parser.parse_args()
    end_in_order()
    cells = sample(all_cells(VICTIMS, chosen.seed), chosen.cells, chosen.seed)
    began, passed, done = time.monotonic(), 0, 0
    for outcomes in carry_out(cells, chosen.seed, LAYOUTS[chosen.stack]):
        for outcome in outcomes:
            done, passed = done + 1, passed + (outcome.verdict == "passed")
            print(f"{done:4} {outcome.verdict:8} {_COLOURS[outcome.green]:5}  {outcome.cell}")
            print(*(f"     {sentence}\n" for sentence in outcome.wrong), sep="", end="", flush=True)
            if chosen.record:
                with chosen.record.open("a") as record:
                    told = {"stack": chosen.stack, "seed": chosen.seed, "verdict": outcome.verdict, **asdict(outcome)}
                    print(json.dumps(told), file=record)
    print(f"{passed} of {len(cells)} cells passed, {(time.monotonic() - began) / 60:.0f} minutes")
    return 0 if passed == len(cells) else 1


sys.exit(main())
