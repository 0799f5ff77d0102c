"""The check of the connections: on the emulator, Azurite, and a tracking database of the emulator."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from biztalk_services.drivers.registry import ConnectionNotFoundError
from biztalk_services.flows.check_queries import ConnectionsWrongError
from biztalk_services.model.finding import Finding
from biztalk_services.provider.configured import configured
from biztalk_services.provider.operators.check_connections import CheckConnectionsOperator

from tests.provider.connections import NAME, SERVICE, TRACKING
from tests.provider.fakes import Run

TASK = "check_connections"
SUBJECT = f"service biztalk_default/{SERVICE}"
CONTENTS = f"contents of {SUBJECT}"


@pytest.fixture
def around(around, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__CATALOG_CONTAINER", f"checked-{uuid4().hex[:12]}")
    return around


def checked(run: Run, **how: Any) -> tuple[dict[str, Finding], str | None]:
    """One run: its findings by their subjects, and what it failed with."""
    failure = None
    try:
        run.execute(CheckConnectionsOperator(task_id=TASK, **{"services": NAME} | how), map_index=-1)
    except ConnectionsWrongError as error:
        failure = str(error)
    assert run.xcom(TASK, "failure", -1) == failure
    findings = [Finding.from_dict(each) for each in run.xcom(TASK, map_index=-1)]
    return {each.subject: each for each in findings}, failure


def test_a_good_service_is_green(around, run):
    around.traffic()
    findings, failure = checked(run)
    assert failure is None
    assert {subject: each.verdict for subject, each in findings.items()} == dict.fromkeys(
        ("storage", "alerts", "connection biztalk_default", SUBJECT, CONTENTS), "good"
    )
    queries = findings[SUBJECT].queries
    assert queries.database.conn_type == "sqlite"
    assert queries.numbers.uses
    assert findings["alerts"].sentences == ("Alerts are only logged: option alert_conn_id is empty.",)
    report = run.xcom(TASK, "report", -1)
    assert f"{SUBJECT}: good\n  connection {TRACKING} (sqlite): driver sqlite3 " in report
    assert report.endswith("5 good, none wrong, 0 not checked.")
    assert not any(secret in report for secret in around.secrets)


def test_everything_is_checked_whatever_is_wrong(around, run, connect, monkeypatch):
    connect("biztalk_backup_storage", None)
    connect(TRACKING, {"conn_type": "mssql", "host": "127.0.0.1", "login": "reader", "password": "hunter2"})
    connect(f"biztalk_acs_{NAME}acs", None)
    monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__ALERT_CONN_ID", "hooks")
    findings, failure = checked(run, problems=["Option schedule is bad."])
    assert {subject for subject, each in findings.items() if each.is_wrong} == {
        "storage",
        "alerts",
        "options",
        SUBJECT,
        CONTENTS,
    }
    assert findings["connection biztalk_default"].verdict == "good"
    assert failure == f"1 good, 5 wrong (storage, alerts, options, {SUBJECT}, {CONTENTS}), 0 not checked."
    report = run.xcom(TASK, "report", -1)
    for words in (
        "There is no connection biztalk_backup_storage.",
        "There is no connection hooks, which option alert_conn_id names",
        "Option schedule is bad.",
        "no port",
        "there is no connection biztalk_acs_contosoordersacs",
    ):
        assert words in report
    assert "hunter2" not in report


def test_a_webhook_is_looked_at_and_gets_nothing(connect, monkeypatch):
    monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__ALERT_CONN_ID", "hooks")
    with pytest.raises(ConnectionNotFoundError, match="no alert is delivered"):
        configured().alerts()
    connect("hooks", {"conn_type": "http", "host": "127.0.0.1", "port": 1, "password": "/secret/path"})
    assert configured().alerts() == "Alerts go to the webhook of connection hooks; nothing was sent to it."


def test_a_service_that_is_not_there(around, run):
    findings, failure = checked(run, services="contosoordres")
    assert "has no service contosoordres" in findings["services"].sentences[0]
    assert "services" in failure
