"""An Airflow of the tests' own: home, database and settings in a temporary folder, set before anything imports it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[1]
HOME = Path(tempfile.mkdtemp(prefix="airflow-of-tests-"))

for name in [name for name in os.environ if name.startswith(("AIRFLOW", "_AIRFLOW"))]:
    del os.environ[name]
os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
}


settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


class ByRoom(LoadScopeScheduling):
    """Where tests run beside each other, those of a room stay together, for they share what it has started."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.split("/")[1]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByRoom:
    # As collected; else the room with the most tests begins, which is not the one that takes longest.
    config.option.loadscopereorder = False
    return ByRoom(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    The longest room begins, the next longest beside it, and a short one stands behind the longest, for they are dealt
    out in turn. The distributed stack comes last, when the other one has ended.
    """
    places = {"system": -3, "airflow_layer": -2, "bench": -1, "system_distributed": 1}
    items.sort(key=lambda item: places.get(item.path.relative_to(ROOT / "tests").parts[0], 0))


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(HOME, ignore_errors=True)
