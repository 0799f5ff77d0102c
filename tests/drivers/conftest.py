"""Azurite, Airflow connections to it and to invented platforms, and a clock for waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from biztalk_services.drivers.registry import CONNECT

from tests.archive.azurite import Azurite
from tests.drivers.exported import driver as exported
from tests.drivers.self_writing import driver as self_writing
from tests.provider.conftest import clock, connect, fast_clock
from tests.provider.connections import storage

__all__ = ["clock", "connect", "fast_clock"]

SUBSCRIPTION = "sub-1"


@pytest.fixture(scope="package")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    running = Azurite.start(tmp_path_factory.mktemp("azurite"))
    yield running
    running.stop()


@pytest.fixture
def platform(request: pytest.FixtureRequest, azurite: Azurite, connect: Callable[..., None], monkeypatch) -> Any:
    """A platform of the kind that the test names, with Airflow's connections to it and to Azurite."""
    module = {"self_writing": self_writing, "exported": exported}[request.param]
    world = self_writing.Rack() if module is self_writing else exported.Shop()
    worlds = self_writing.RACKS if module is self_writing else exported.SHOPS
    host = f"host-{request.node.name}"
    monkeypatch.setitem(worlds, host, world)
    monkeypatch.setitem(CONNECT, request.param, module.connect)
    connect("biztalk_default", {"conn_type": request.param, "host": host, "login": SUBSCRIPTION})
    connect("biztalk_backup_storage", storage(azurite))
    return world
