"""The triggers of steps that begin and end in the triggerer, with the gates of these steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from airflow.triggers.base import TriggerEvent
from biztalk_services.provider.triggers import BoundedTrigger, RequestTrigger, SlotTrigger

from chaos.gates import POLL_SECONDS, Gates, Side


class _GatedTrigger(BoundedTrigger):
    """The process that arrives at its gates is the one that runs all triggers."""

    service: str

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await self._pass_through(Side.BEFORE)
        async for event in super().run():
            await self._pass_through(Side.AFTER)
            yield event

    async def _pass_through(self, side: Side) -> None:
        gates, task = Gates.of_environment(), self.task_instance
        name = Gates.name(task.dag_id, self.service.rpartition("/")[2], task.task_id, side)
        if gates.arrive(name):
            while gates.is_shut(name):
                await asyncio.sleep(POLL_SECONDS)


class GatedSlotTrigger(_GatedTrigger, SlotTrigger):
    pass


class GatedRequestTrigger(_GatedTrigger, RequestTrigger):
    pass
