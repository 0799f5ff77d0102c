"""The demo's connections are those of the embedded stack, with the containers' names instead of this machine's."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from airflow.sdk import Connection
from biztalk_services.provider.storage import account_of

from stack import Ports, settings
from stack.parts import ROOT


def demo():
    spec = importlib.util.spec_from_file_location("demo", ROOT / "docker/demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_demo_makes_the_connections_of_the_embedded_stack():
    module = demo()
    fleet = {
        "services": [
            {"name": "Contoso", "tracking_database": "/opt/airflow/demo/tracking/Contoso.db"},
            {"name": "bare", "tracking_database": None},
        ]
    }
    credentials = {
        "services": {
            "Contoso": {
                "access_control": {"namespace": "contosoAcs", "key": "a key"},
                "tracking_database": {"server": "tcp:sql,1433", "database": "Db", "user": "me", "password": "secret"},
            }
        }
    }
    made = module.demo_connections({"subscription_id": "an-id"}, fleet, credentials)
    assert made["biztalk_default"] == settings.management_connection(Ports(), module.HOME / "pki", "an-id") | {
        "host": "emulator"
    }
    assert made["biztalk_backup_storage"] == settings.storage_connection(Ports()) | {
        "host": f"http://azurite:10000/{settings.STORAGE_ACCOUNT}"
    }
    assert made["biztalk_tracking_contoso"] == settings.tracking_connection(
        Path("/opt/airflow/demo/tracking/Contoso.db")
    )
    known = credentials["services"]["Contoso"]
    assert made["biztalk_acs_contosoacs"] == settings.access_control_connection(
        Ports(), module.HOME / "pki", "contosoAcs", "a key"
    ) | {"host": "https://emulator"}
    assert made["biztalk_sql_db"] == settings.sql_connection(known["tracking_database"], "biztalk_tracking_contoso")
    assert made[f"biztalk_store_{settings.STORAGE_ACCOUNT}"] == made["biztalk_backup_storage"]
    assert len(made) == 6


def test_the_demo_reaches_azurite_and_names_it_to_the_services():
    module = demo()
    fields = module.demo_connections({"subscription_id": "an-id"}, {"services": []}, {"services": {}})
    made = fields["biztalk_backup_storage"]
    account = account_of(Connection(conn_id="storage", **made | {"extra": json.dumps(made["extra"])}))
    assert account.container_url("x") == f"http://azurite:10000/{module.STORAGE_ACCOUNT}/x"
    assert account.connection_string() == (
        f"BlobEndpoint=http://azurite:10000/{module.STORAGE_ACCOUNT};AccountName={module.STORAGE_ACCOUNT};"
        f"AccountKey={module.STORAGE_KEY};DefaultEndpointsProtocol=http"
    )
    compose = (ROOT / "docker-compose.yaml").read_text()
    assert "  azurite:\n" in compose
    assert "--blobHost" in compose


def test_the_demo_reads_the_emulators_folder_of_the_compose_file():
    compose = (ROOT / "docker-compose.yaml").read_text()
    assert f"--home, {demo().HOME}," in compose
    assert f"demo:{demo().HOME}\n" in compose


def test_the_demo_waits_for_its_dag_and_not_for_ever(tmp_path, monkeypatch):
    command = tmp_path / "airflow"
    command.write_text('#!/bin/sh\necho "$@"\ntest -f loaded\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.chdir(tmp_path)
    module = demo()
    monkeypatch.setattr(module, "DAG_SECONDS", 0)
    monkeypatch.setattr(module, "POLL_SECONDS", 0)
    with pytest.raises(
        SystemExit, match=r"has not loaded the DAG biztalk_backup within 0 seconds; .*\ndags details biztalk_backup"
    ):
        module.wait_for_dag("biztalk_backup")
    (tmp_path / "loaded").touch()
    module.wait_for_dag("biztalk_backup")
