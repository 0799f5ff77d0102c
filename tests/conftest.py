"""An Airflow of the tests' own: home, database and settings in a temporary folder, set before anything imports it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests run beside each other, a room stays together, for it shares what it started; the longest begins."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(item.path.relative_to(ROOT / "tests").parts[0]))
    items.sort(key=lambda item: not item.path.is_relative_to(ROOT / "tests/system"))


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(HOME, ignore_errors=True)
