"""`python -m chaos.table FILE...`: prints the files of `python -m chaos --record` as tables for docs/reliability.md."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from chaos.cells import STEPS
from chaos.targets import TARGETS

Record = dict[str, Any]


def main(files: Sequence[str]) -> None:
    records = [json.loads(line) for file in files for line in Path(file).read_text().splitlines()]
    print(counts(records), *(matrix(job, records) for job in STEPS), sep="\n\n")


def counts(records: Sequence[Record]) -> str:
    """Return a table of the numbers of cells by verdict and colour, one row for each stack and seed."""
    rows = []
    for stack, seed in dict.fromkeys((each["stack"], each["seed"]) for each in records):
        matching = [each for each in records if (each["stack"], each["seed"]) == (stack, seed)]
        verdicts = [each["verdict"] for each in matching]
        green = sum(bool(each["green"]) for each in matching)
        numbers = (len(matching), *(verdicts.count(verdict) for verdict in ("passed", "FAILED", "too late")))
        rows.append((stack, seed, *numbers, green, len(matching) - green))
    return _table(("stack", "seed", "cells", "passed", "failed", "too late", "of green runs", "of red runs"), rows)


def matrix(job: str, records: Iterable[Record]) -> str:
    """Return a table of moments and colours, one row for each step and one column for each target."""
    rows = []
    for step in STEPS[job]:
        of_step = [each for each in records if (each["cell"]["job"], each["cell"]["step"]) == (job, step)]
        rows.append((step, *(_field([each for each in of_step if each["cell"]["victim"] == name]) for name in TARGETS)))
    return _table((f"`{job}`", *TARGETS), rows)


def _field(records: Iterable[Record]) -> str:
    """Return each moment's initial with a letter for each record: the run's colour, or ! if the cell did not pass."""
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
