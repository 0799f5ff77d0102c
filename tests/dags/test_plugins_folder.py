"""Airflow's flat plugin loader: takes our plugin module, and nothing out of the package beside it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.dags.processes import result_of

PROGRAM = """
import json, os, sys
from airflow import plugins_manager
plugins, errors = plugins_manager._get_plugins()
folder = os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"]
modules = {name: file for name, module in sys.modules.items() if (file := getattr(module, "__file__", None) or "")
           and file.startswith(folder)}
print("RESULT", json.dumps({"errors": errors, "modules": modules, "path": sys.path}))
"""


def load(folder: Path, tmp_path: Path) -> dict:
    """What Airflow's loader makes of a plugins folder, in a process of its own."""
    environment = os.environ | {"AIRFLOW__CORE__PLUGINS_FOLDER": str(folder), "AIRFLOW_HOME": str(tmp_path)}
    return result_of(PROGRAM, env=environment)


def strangers(loaded: dict, folder: Path) -> list[str]:
    """Modules out of the package that go by another name than the package's."""
    package = str(folder / "biztalk_services") + "/"
    return [
        name
        for name, file in loaded["modules"].items()
        if file.startswith(package) and not name.startswith("biztalk_services")
    ]


def test_nothing_of_the_package_is_loaded_by_its_bare_name(tmp_path):
    loaded = load(ROOT / "plugins", tmp_path)
    assert loaded["errors"] == {}
    assert strangers(loaded, ROOT / "plugins") == []
    assert str(ROOT / "plugins") in loaded["path"]


def test_this_test_would_notice(tmp_path):
    # The loader would run the command line too, which ends the process.
    left_out = shutil.ignore_patterns("__pycache__", "__main__.py")
    shutil.copytree(ROOT / "plugins", tmp_path / "plugins", ignore=left_out)
    (tmp_path / "plugins/.airflowignore").unlink()
    loaded = load(tmp_path / "plugins", tmp_path)
    assert strangers(loaded, tmp_path / "plugins")


@pytest.mark.parametrize("file", sorted((ROOT / "plugins/biztalk_services").rglob("*.py")), ids=lambda file: file.stem)
def test_the_package_imports_itself_by_its_full_name(file):
    lines = file.read_text().splitlines()
    assert [line for line in lines if line.lstrip().startswith("from .")] == []
