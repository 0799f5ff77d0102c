"""The trigger of a step that begins and ends in the triggerer, with the gates of that step."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from airflow.triggers.base import TriggerEvent
from biztalk_services.provider.triggers import SlotTrigger

from chaos.cells import BACKUP
from chaos.gates import POLL_SECONDS, Gates, Side


class GatedSlotTrigger(SlotTrigger):
    """The trigger of ``wait_for_slot``. The process that arrives at its gates is the one that runs all triggers."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await self._pass_through(Side.BEFORE)
        async for event in super().run():
            await self._pass_through(Side.AFTER)
            yield event

    async def _pass_through(self, side: Side) -> None:
        gates = Gates.of_environment()
        name = Gates.name(BACKUP, self.service.rpartition("/")[2], "wait_for_slot", side)
        if gates.arrive(name):
            while gates.is_shut(name):
                await asyncio.sleep(POLL_SECONDS)
