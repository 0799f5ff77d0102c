"""A process that loads plugins at its start has everything in memory that the tasks need that it forks."""

from __future__ import annotations

import os

import pytest

from tests.conftest import ROOT
from tests.dags.processes import result_of

PROGRAM = """
import json, sys, threading
from pathlib import Path
import airflow
def ours():
    return sorted(name for name in sys.modules if name.split(".")[0] in ("biztalk_services", "azure", "jinja2"))
at_start = ours()
threads = [thread.name for thread in threading.enumerate()]
open_files = [str(file.readlink()) for file in Path("/proc/self/fd").iterdir() if file.exists()]
from airflow.dag_processing.dagbag import DagBag
from airflow.plugins_manager import _get_plugins
from airflow.sdk.listener import get_listener_manager
listeners = get_listener_manager.cache_info().currsize
bag, (plugins, errors) = DagBag(), _get_plugins()
for dag in bag.dags.values():
    dag.get_template_env()
print("RESULT", json.dumps({
    "at_start": at_start,
    "threads": threads,
    "sockets": [file for file in open_files if file.startswith("socket:")],
    "listeners": listeners,
    "after_parsing": ours(),
    "errors": {**errors, **bag.import_errors},
    "plugins": [plugin.name for plugin in plugins],
}))
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory) -> dict[bool, dict]:
    """
    What a process of Airflow has loaded of the library and of Azure's, at its start, and when it has the DAGs; by
    whether it loads plugins lazily.
    """
    places = {
        "AIRFLOW_HOME": str(tmp_path_factory.mktemp("home")),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
    }
    return {
        lazily: result_of(PROGRAM, env=os.environ | places | {"AIRFLOW__CORE__LAZY_LOAD_PLUGINS": str(lazily)})
        for lazily in (True, False)
    }


@pytest.mark.parametrize("lazily", [True, False])
def test_the_plugin_and_the_dags_load(lazily, started):
    assert started[lazily]["errors"] == {}
    assert started[lazily]["plugins"].count("biztalk_services") == 1


def test_tasks_find_everything_in_memory(started):
    loaded = started[False]
    assert loaded["after_parsing"] == loaded["at_start"]
    assert {
        "azure.storage.blob",
        "biztalk_services.archive.verification",
        "biztalk_services.archive.storage",
        "biztalk_services.provider.operators.backup",
        "biztalk_services.drivers.biztalk.wire.client",
        "biztalk_services.provider.sensors",
    } <= set(loaded["at_start"])
    assert not [name for name in loaded["at_start"] if name.startswith("biztalk_services.cli.")]


def test_tasks_do_not_look_for_plugins(started):
    assert (started[False]["listeners"], started[True]["listeners"]) == (1, 0)


def test_nothing_is_open_that_a_fork_would_break(started):
    assert (started[False]["threads"], started[False]["sockets"]) == (started[True]["threads"], [])


def test_with_lazy_plugins_nothing_is_loaded_at_the_start(started):
    assert not {"azure.storage.blob", "biztalk_services.provider.operators.backup"} & set(started[True]["at_start"])
