"""`make status`: which parts run, and how far the night is."""

from __future__ import annotations

import os
from datetime import datetime

from rich.console import Console
from rich.table import Table

from stack.estimate import night_sentences
from stack.ports import HOST
from stack.stack import Stack


def show_status(stack: Stack) -> int:
    """Print a line for each part; returns 1 when only some run, else 0."""
    running = stack.running()
    table = Table(box=None, pad_edge=False)
    for heading in ("part", "state", "pid", "since", "address", "log"):
        table.add_column(heading, overflow="fold")
    for name, process in running.items():
        log = os.path.relpath(stack.log(name))
        if process:
            since = datetime.fromtimestamp(process.at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
            addresses = ", ".join(f"{HOST}:{port}" for port in process.ports)
            table.add_row(name, "running", str(process.pid), since, addresses, log)
        else:
            table.add_row(name, "not running", "", "", "", log)
    console = Console(width=max(Console().width, 150), highlight=False, markup=False, emoji=False)
    console.print(table)
    if any(running.values()):
        for sentence in night_sentences(stack):
            console.print(sentence, soft_wrap=True)
    alive = sum(process is not None for process in running.values())
    return 0 if alive in (0, len(running)) else 1
