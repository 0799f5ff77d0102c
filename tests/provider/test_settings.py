"""The options of [biztalk_services]."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers_manager import ProvidersManager
from airflow.sdk.configuration import conf
from biztalk_services.drivers.biztalk.options import BizTalkOptions
from biztalk_services.provider.settings import SECTION, Settings, all_options, driver_options

from tests.conftest import ROOT
from tests.dags.processes import result_of

NUMBERS = [option.name for option in all_options() if isinstance(option.default, int)]


def variable(name: str) -> str:
    return f"AIRFLOW__BIZTALK_SERVICES__{name.upper()}"


def loaded() -> dict[str, Any]:
    """Every option as the configuration sets it, those of the drivers included."""
    return asdict(Settings.load()) | driver_options()


def test_unset_options_have_their_defaults():
    assert Settings.load() == Settings()
    assert driver_options() == asdict(BizTalkOptions())
    assert loaded() == {option.name: option.default for option in all_options()}


def test_no_two_options_have_one_name():
    names = [option.name for option in all_options()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("option", list(all_options()), ids=lambda option: option.name)
def test_every_option_is_read_and_explained(option, monkeypatch):
    text = "7" if option.name in NUMBERS else "a value of the test"
    before = loaded()
    monkeypatch.setenv(variable(option.name), text)
    expected = 7 if option.name in NUMBERS else text
    assert loaded() == before | {option.name: expected}
    assert loaded() != before
    assert option.metadata["description"].endswith(".")


@pytest.mark.parametrize("name", NUMBERS)
def test_an_invalid_number_is_refused_by_name(name, monkeypatch):
    monkeypatch.setenv(variable(name), "soon")
    with pytest.raises(Exception, match=f'"{name}" key in "{SECTION}"'):
        Settings.load()


def test_airflow_knows_the_section_and_its_defaults():
    described = dict(ProvidersManager().provider_configs)["biztalk-services-airflow"][SECTION]["options"]
    assert set(described) == {option.name for option in all_options()}
    assert conf.getint(SECTION, "max_concurrent_backups") == Settings().max_concurrent_backups
    for option in all_options():
        assert described[option.name]["default"] == str(option.default)


def test_what_follows_from_the_options():
    assert Settings(completion_window_minutes=90).completion_window == timedelta(minutes=90)
    assert Settings(storage_conn_id="a", catalog_container="b").archive == "a/b"
    options = BizTalkOptions(tracking_conn_id="tracking_of_{service}_db")
    assert options.tracking_conn_id_of("ContosoRetail") == "tracking_of_contosoretail_db"
    assert Settings(include="*").includes("anything")
    assert not Settings(include="").includes("anything")


def test_the_documentation_explains_every_option():
    rows = [
        f"| `{option.name}` | {f'`{option.default}`' if option.default != '' else ''} | "
        f"{option.metadata['description']} |"
        for option in all_options()
    ]
    table = "\n".join(["| option | default | what |", "|---|---|---|", *rows, ""])
    assert table in (ROOT / "docs/configuration.md").read_text()


PROGRAM = """
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag()
from biztalk_services.provider.settings import driver_options
print("RESULT", json.dumps({"errors": bag.import_errors, "query": driver_options()["drain_query"]}))
"""


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("WHERE service = %%(service)s AND name LIKE 'a%%'", "WHERE service = %(service)s AND name LIKE 'a%'"),
        ("WHERE service = %(service)s AND name LIKE 'a%'", "WHERE service = %(service)s AND name LIKE 'a%'"),
        ("WHERE name LIKE 'a%'", "WHERE name LIKE 'a%'"),
        ("WHERE service = :service", "WHERE service = :service"),
    ],
)
def test_a_drain_query_in_airflow_cfg_may_hold_percent_signs(written, meant, tmp_path):
    (tmp_path / "airflow.cfg").write_text(
        f"[core]\ndags_folder = {ROOT / 'dags'}\nplugins_folder = {ROOT / 'plugins'}\nload_examples = False\n"
        f"[biztalk_services]\ndrain_query = {written}\n"
    )
    outside = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    assert result_of(PROGRAM, env=outside | {"AIRFLOW_HOME": str(tmp_path)}) == {"errors": {}, "query": meant}
