"""``check-queries`` on the emulator's tracking databases, by the connections of an Airflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from airflow.models.connection import Connection
from airflow.secrets.metastore import MetastoreBackend
from biztalk_services.__main__ import main
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from tests.cli.shell import NAME, SERVICE, Shell
from tests.emulator.driver import EmulatorProcess
from tests.provider.connections import TRACKING, management

SUBJECT = f"service biztalk_default/{SERVICE}"
AGREEMENT = "Northwind X12 send"
NUMBERS = "SELECT agreement, kind, highest, latest, used, last_used FROM numbers WHERE given_out >= :since"


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets a connection of Airflow by its id."""

    def connect(conn_id: str, connection: dict[str, Any]) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))

    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")  # as the command sets it, and put back after the test
    return connect


def tracking(emulator: EmulatorProcess, name: str = NAME) -> dict[str, Any]:
    database = emulator.admin("GET", f"/services/{name}")["tracking_database"]
    return {"conn_type": "sqlite", "host": database, "extra": {"mode": "ro"}}


@pytest.fixture
def shell(bare_shell: Shell, emulator: EmulatorProcess, connect) -> Shell:
    """A shell in which Airflow has the connections to the subscription and to one tracking database."""
    connect("biztalk_default", management(emulator))
    connect(TRACKING, tracking(emulator))
    emulator.admin("POST", f"/services/{NAME}/messages", {"agreement": AGREEMENT, "messages": 2})
    return bare_shell


def found(result: Any) -> dict[str, dict[str, Any]]:
    return {each["subject"]: each for each in result.json}


def test_a_good_service(shell: Shell):
    result = shell("check-queries", NAME)
    assert result.code == 0, result.out
    assert f"{SUBJECT}: good" in result.lines
    assert f"  connection {TRACKING} (sqlite): driver sqlite3 " in result.out
    assert "session time zone" in result.out
    assert "  control_number_query (query " in result.out
    assert "highest (int)" in result.out
    (row,) = [line.split() for line in result.lines if line.startswith(f"    {AGREEMENT}") and " interchange " in line]
    assert row[4] == row[5] == row[9] == row[10]
    assert result.lines[-1].startswith("2 good, none wrong, ")


def test_the_same_as_json(shell: Shell):
    result = shell("check-queries", SERVICE, "--json")
    assert result.code == 0
    queries = found(result)[SUBJECT]["queries"]
    assert [look["option"] for look in queries["looks"]] == ["drain_query", *["control_number_query"] * 2]
    assert queries["batches"]["answer"] in ("empty", "active")
    assert queries["numbers"]["ever"]
    assert queries["problems"] == []


def test_one_without_its_connection_hides_no_other(shell: Shell):
    result = shell("check-queries", "--json")
    assert result.code == 1
    findings = found(result)
    assert findings[SUBJECT]["verdict"] == "good"
    lacking = findings["service biztalk_default/contoso-west-us/ContosoRetail"]
    assert lacking["verdict"] == "wrong"
    assert "There is no connection biztalk_tracking_contosoretail" in lacking["queries"]["problems"][0]
    assert findings["service biztalk_default/contoso-west-us/contosodev"]["verdict"] == "not checked"


@pytest.mark.parametrize(
    ("option", "query", "words"),
    [
        ("control_number_query", NUMBERS.replace("given_out >= :since", "1 = 1"), "since"),
        ("control_number_query", f"SET x = 1; {NUMBERS}", "statement"),
        ("control_number_query", NUMBERS.replace(":since", "%(since)s"), ":since"),
        ("drain_query", "SELECT agreement, batch FROM batch_events", "messages, oldest is missing"),
        ("drain_query", "SELECT a FROM no_such_table", "no such table"),
        ("drain_query", "DELETE FROM batch_events WHERE 1 = 1", "SELECT"),
    ],
    ids=["without-since", "two-statements", "foreign-parameter", "missing-columns", "missing-table", "no-select"],
)
def test_a_wrong_query_is_named(option, query, words, shell: Shell, monkeypatch):
    monkeypatch.setenv(f"AIRFLOW__BIZTALK_SERVICES__{option.upper()}", query)
    result = shell("check-queries", NAME)
    assert result.code == 1, result.out
    wrong = [line for line in result.lines if "WRONG: " in line]
    assert wrong
    assert words in " ".join(wrong)


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        ({"conn_type": "sqlite", "host": "/nowhere/tracking.db"}, "unable to open database file"),
        ({"conn_type": "mssql", "host": "127.0.0.1", "login": "reader", "password": "hunter2"}, "no port"),
        ({"conn_type": "oracle", "host": "127.0.0.1"}, "Install the package apache-airflow-providers-oracle"),
    ],
    ids=["missing-file", "no-port", "missing-package"],
)
def test_a_wrong_connection_is_named(connection, words, shell: Shell, connect):
    connect(TRACKING, connection)
    result = shell("check-queries", NAME)
    assert result.code == 2, result.out
    assert words in result.out
    assert "hunter2" not in result.out + result.err


def test_without_a_subscription_nothing_can_be_checked(bare_shell: Shell, connect):
    result = bare_shell("check-queries")
    assert result.code == 2
    assert "There is no connection biztalk_default." in result.out


def test_without_airflow_it_says_what_it_needs(bare_shell: Shell, monkeypatch):
    monkeypatch.delitem(sys.modules, "biztalk_services.provider.configured", raising=False)
    monkeypatch.setitem(sys.modules, "biztalk_services.provider.connections", None)
    result = bare_shell("check-queries")
    assert (result.code, result.out) == (2, "")
    assert "reads Airflow's connections and options, and Airflow cannot be imported here" in result.err


def test_a_database_of_airflow_that_cannot_be_read_is_told(shell: Shell, monkeypatch):
    def refuse(self: Any, conn_id: str) -> None:
        raise ConnectionError("password=hunter2")

    monkeypatch.setattr(MetastoreBackend, "get_connection", refuse)
    result = shell("check-queries", NAME)
    assert result.code == 0
    assert result.lines[0] == "Airflow: not checked"
    assert "Airflow's database cannot be read (ConnectionError): only those connections are seen" in result.lines[1]
    assert "hunter2" not in result.out


def test_connections_of_airflows_database_are_found_by_a_plain_process(emulator: EmulatorProcess, tmp_path):
    url = f"sqlite:///{tmp_path}/airflow.db"
    engine = create_engine(url)
    teams = [key.column.table for key in Connection.__table__.foreign_keys]
    Connection.metadata.create_all(engine, [Connection.__table__, *teams])
    with Session(engine) as session:
        for conn_id, values in (("biztalk_default", management(emulator)), (TRACKING, tracking(emulator))):
            session.add(Connection(conn_id=conn_id, **values | {"extra": json.dumps(values["extra"])}))
        session.commit()
    done = subprocess.run(
        [sys.executable, "-m", "biztalk_services", "check-queries", NAME, "--json"],
        env=os.environ | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    findings = {each["subject"]: each["verdict"] for each in json.loads(done.stdout)}
    assert findings == {"connection biztalk_default": "good", SUBJECT: "good"}


def test_the_help_explains_the_codes(capsys):
    with pytest.raises(SystemExit):
        main(["check-queries", "--help"])
    assert "Ends with 0 when all is good; 1 when something is wrong; 2 when no query" in " ".join(
        capsys.readouterr().out.split()
    )
