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
AIRFLOW_ID = "a1b2c3d4"

for name in [name for name in os.environ if name.startswith(("AIRFLOW", "_AIRFLOW"))]:
    del os.environ[name]
os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
    "AIRFLOW_VAR_BIZTALK_AIRFLOW_ID": AIRFLOW_ID,
}


settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


STACKS = ("system", "chaos", "system_distributed")
"""Rooms whose tests share a whole stack."""


class Parted(LoadScopeScheduling):
    """Where tests run beside each other, those of a stack stay together, and elsewhere those of a file."""

    def _split_scope(self, nodeid: str) -> str:
        room = nodeid.split("/")[1]
        return room if room in STACKS else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Parted:
    # As collected; else what has the most tests begins, which is not what takes longest.
    config.option.loadscopereorder = False
    return Parted(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Whoever is done takes what is next. The longest begins, and its nights want all cores: beside them runs what waits
    for others, beside its restores the other stacks. Files fill the rest of the time.
    """
    rooms = {item: item.path.relative_to(ROOT / "tests").parts[0] for item in items}
    first = ("system", "emulator", "wire", "cli", "archive", "biztalk_with_emulator", "chaos", "system_distributed")
    items.sort(key=lambda item: first.index(rooms[item]) if rooms[item] in first else len(first))


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(HOME, ignore_errors=True)
