"""`python -m chaos.table FILE...`: what `python -m chaos --record` has recorded, as tables for docs/reliability.md."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from chaos.cells import STEPS
from chaos.victims import VICTIMS

Record = dict[str, Any]


def main(files: Sequence[str]) -> None:
    records = [json.loads(line) for file in files for line in Path(file).read_text().splitlines()]
    print(counts(records), *(matrix(job, records) for job in STEPS), sep="\n\n")


def counts(records: Sequence[Record]) -> str:
    """One row a stack and seed: how many cells there were, and how they ended."""
    rows = []
    for stack, seed in dict.fromkeys((each["stack"], each["seed"]) for each in records):
        mine = [each for each in records if (each["stack"], each["seed"]) == (stack, seed)]
        verdicts = [each["verdict"] for each in mine]
        green = sum(bool(each["green"]) for each in mine)
        counted = (len(mine), *(verdicts.count(verdict) for verdict in ("passed", "FAILED", "too late")))
        rows.append((stack, seed, *counted, green, len(mine) - green))
    return _table(("stack", "seed", "cells", "passed", "failed", "too late", "of green runs", "of red runs"), rows)


def matrix(job: str, records: Iterable[Record]) -> str:
    """One row a step, one column a victim: moment and colours."""
    rows = []
    for step in STEPS[job]:
        found = [each for each in records if (each["cell"]["job"], each["cell"]["step"]) == (job, step)]
        rows.append((step, *(_field([each for each in found if each["cell"]["victim"] == name]) for name in VICTIMS)))
    return _table((f"`{job}`", *VICTIMS), rows)


def _field(records: Iterable[Record]) -> str:
    """The first letters of the moments, each with those of the colours that the run had on the stacks."""
    colours: dict[str, str] = {}
    for each in records:
        letter = "!" if each["verdict"] != "passed" else "g" if each["green"] else "r"
        moment = each["cell"]["moment"][0]
        colours[moment] = colours.get(moment, "") + letter
    return " ".join(f"{moment} {letters}" for moment, letters in colours.items())


def _table(head: Iterable[Any], rows: Iterable[Iterable[Any]]) -> str:
    lines = [list(map(str, head))]
    lines += [["---"] * len(lines[0]), *(list(map(str, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main(sys.argv[1:])
