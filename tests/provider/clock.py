"""A clock for waits: sleeping moves it at once, so that hours pass in a moment."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, tzinfo
from types import ModuleType, SimpleNamespace

import pytest
from biztalk_services.flows import poll_loop, shared_look, slots
from biztalk_services.provider import shared


class Clock:
    """The time for the modules under test.

    :param pause: seconds that a sleep really takes, in which the emulator goes on.
    """

    def __init__(self, pause: float = 0.01) -> None:
        self.time = datetime.now(UTC)
        self.slept: list[float] = []
        self.pause = pause

    async def sleep(self, seconds: float) -> None:
        assert len(self.slept) < 2_000, "this wait does not end"
        self.slept.append(seconds)
        self.time += timedelta(seconds=seconds)
        time.sleep(self.pause)

    def forward(self, **how_far: float) -> None:
        self.time += timedelta(**how_far)

    def rule(self, monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
        """Become the clock of these modules, and of looks that waits share: they follow each other at once, and none
        before this counts."""
        clock = self
        monkeypatch.setattr(shared_look, "monotonic", lambda: clock.time.timestamp())
        monkeypatch.setattr(shared_look, "sleep", lambda seconds: None)
        monkeypatch.setattr(poll_loop, "_NEWS_SECONDS", 3600.0)  # nobody else looks
        monkeypatch.setattr(slots.Ledger.__init__, "__defaults__", (lambda: clock.time.timestamp(),))
        for registry in (shared.SERVICES, shared.SLOTS):
            monkeypatch.setattr(registry, "_made", {})

        class Datetime(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:
                return clock.time.astimezone(tz)

        for module in modules:
            monkeypatch.setattr(module, "datetime", Datetime)
            if hasattr(module, "asyncio"):
                monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=self.sleep))
