"""The plugin is there exactly once, however the library was installed, and the DAGs load with it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.dags.processes import result_of

PROGRAM = """
import json
from airflow import plugins_manager
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
plugins, errors = plugins_manager._get_plugins()
bag = DagBag()
import biztalk_services
dags = [DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag)))) for dag in bag.dags.values()]
print("RESULT", json.dumps({
    "library": biztalk_services.__file__,
    "sources": [str(plugin.source) for plugin in plugins if plugin.name == "biztalk_services"],
    "errors": errors | bag.import_errors,
    "dags": sorted(dag.dag_id for dag in dags),
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The content of the wheel, as an installer lays it out."""
    folder, built = tmp_path_factory.mktemp("installed"), tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(built)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (file,) = built.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def others(tmp_path_factory) -> Path:
    """All installed packages but ours."""
    folder = tmp_path_factory.mktemp("others")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "biztalk_services_airflow" not in entry.name:
            (folder / entry.name).symlink_to(entry)
    return folder


def load(tmp_path: Path, *, path: list[Path], plugins: Path) -> dict:
    """What Airflow finds, in a process of its own that sees these folders only."""
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "PYTHONPATH": os.pathsep.join(map(str, path)),
    }
    return result_of(PROGRAM, options=["-S"], env=environment, cwd=tmp_path)


ENTRY_POINT = "biztalk-services-airflow=="


def check(loaded: dict, source: str) -> None:
    assert loaded["errors"] == {}
    assert [found.startswith(source) for found in loaded["sources"]] == [True]
    assert "biztalk_nightly_backup" in loaded["dags"]


def test_the_wheel_alone(wheel, others, tmp_path):
    (tmp_path / "plugins").mkdir()
    loaded = load(tmp_path, path=[wheel, others], plugins=tmp_path / "plugins")
    check(loaded, ENTRY_POINT)
    assert loaded["library"].startswith(str(wheel))


def test_the_plugins_folder_alone(others, tmp_path):
    check(load(tmp_path, path=[others], plugins=ROOT / "plugins"), "$PLUGINS_FOLDER/biztalk_plugin.py")


def test_both(wheel, others, tmp_path):
    check(load(tmp_path, path=[wheel, others], plugins=ROOT / "plugins"), ENTRY_POINT)
