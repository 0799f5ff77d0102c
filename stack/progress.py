"""Shows a run while it goes on: a table that renews itself on a terminal, else a line for every change."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from stack.steps import WHOLE_RUN, Step

SENTENCE_SECONDS = 15
"""Without a terminal there is a line on the whole this often at the most."""


class Progress:
    """A context manager; `show` takes the steps as they are now."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, transient=True) if console.is_terminal else None
        self._shown: dict[str, Step] = {}
        self._sentence, self._said_at = "", -SENTENCE_SECONDS

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    @property
    def renews(self) -> bool:
        """Whether what is shown takes the place of what was."""
        return self._live is not None

    def show(self, steps: Sequence[Step], sentence: str = "") -> None:
        """
        :param sentence: how far the whole is.
        """
        if self._live:
            self._live.update(Group(steps_table(steps, datetime.now(UTC)), Text(sentence)), refresh=True)
            return
        for step in steps:
            self._line(step)
        if sentence != self._sentence and time.monotonic() - self._said_at >= SENTENCE_SECONDS:
            self._sentence, self._said_at = sentence, time.monotonic()
            self._console.print(Text(f"{datetime.now():%H:%M:%S}  {sentence}"), soft_wrap=True)

    def _line(self, step: Step) -> None:
        before = self._shown.get(step.service)
        if before and (before.task, before.state) == (step.task, step.state):
            return
        self._shown[step.service] = step
        line = f"{datetime.now():%H:%M:%S}  {step.service}  {step.task}: {step.state}"
        self._console.print(Text(line), soft_wrap=True)


def steps_table(steps: Sequence[Step], now: datetime) -> Table:
    """Which service is at which step, in which state, since when."""
    table = Table(box=None, pad_edge=False)
    for heading in ("service", "step", "state", "since"):
        table.add_column(heading)
    for step in steps:
        since = f"{step.since.astimezone():%H:%M:%S} ({(now - step.since).total_seconds():.0f} s)" if step.since else ""
        service = Text(step.service, style="dim" if step.service == WHOLE_RUN else "")
        table.add_row(service, Text(step.task), Text(step.state), since)
    return table
