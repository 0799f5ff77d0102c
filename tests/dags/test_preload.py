"""A process that loads plugins at its start has everything in memory that the tasks need that it forks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.dags.processes import told_by

PROGRAM = """
import json, sys
import airflow
def ours():
    return sorted(name for name in sys.modules if name.split(".")[0] in ("biztalk_services", "azure"))
at_start = ours()
from airflow.dag_processing.dagbag import DagBag
from airflow.plugins_manager import _get_plugins
bag, (plugins, errors) = DagBag(), _get_plugins()
print("RESULT", json.dumps({
    "at_start": at_start,
    "after_parsing": ours(),
    "errors": {**errors, **bag.import_errors},
    "plugins": [plugin.name for plugin in plugins],
}))
"""


def started(lazily: bool, home: Path) -> dict:
    """What a process of Airflow has loaded of the library and of Azure's: at its start, and when it has the DAGs."""
    environment = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LAZY_LOAD_PLUGINS": str(lazily),
    }
    return told_by(PROGRAM, env=environment)


@pytest.mark.parametrize("lazily", [True, False])
def test_the_plugin_and_the_dags_load(lazily, tmp_path):
    loaded = started(lazily, tmp_path)
    assert loaded["errors"] == {}
    assert loaded["plugins"].count("biztalk_services") == 1


def test_tasks_find_everything_in_memory(tmp_path):
    loaded = started(False, tmp_path)
    assert loaded["after_parsing"] == loaded["at_start"]
    assert {
        "azure.storage.blob",
        "biztalk_services.catalog.verification",
        "biztalk_services.hooks.storage",
        "biztalk_services.operators.backup",
        "biztalk_services.rest.client",
        "biztalk_services.sensors.service",
    } <= set(loaded["at_start"])
    assert not [name for name in loaded["at_start"] if name.startswith("biztalk_services.cli.")]


def test_where_plugins_are_loaded_lazily_they_wait_until_they_are_needed(tmp_path):
    assert not {"azure.storage.blob", "biztalk_services.operators.backup"} & set(started(True, tmp_path)["at_start"])
