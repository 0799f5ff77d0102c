"""The trigger of a nightly run: follows the runs of its services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from biztalk_services.provider.service_runs import UNFINISHED, count

_SECONDS = 3.0
"""Between two looks, and before the first: a task whose trigger fires at once may be resumed before Airflow has noted
that it was deferred."""


class ServiceRunsTrigger(BaseTrigger):
    """Fires when few enough of some runs have not ended, or at a moment, whichever comes first. Only reads.

    :param run_ids: the runs
    :param most: how many of them may not have ended
    :param until: the moment, ISO 8601 with offset
    """

    def __init__(self, *, run_ids: list[str], most: int, until: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.run_ids = run_ids
        self.most = most
        self.until = until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        arguments = {"run_ids": self.run_ids, "most": self.most, "until": self.until}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        until = datetime.fromisoformat(self.until)
        while True:
            await asyncio.sleep(_SECONDS)
            left = await asyncio.to_thread(count, self.run_ids, UNFINISHED)
            if left <= self.most or datetime.now(UTC) >= until:
                yield TriggerEvent({"left": left})  # type: ignore[no-untyped-call]
                return
