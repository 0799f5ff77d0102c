"""What DAGs do with bad options: the watchdog works by their defaults, backup and restore refuse before anything."""

from __future__ import annotations

import runpy
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import DAG
from biztalk_services.flows import watchdog
from biztalk_services.model.checks import RefusedError
from biztalk_services.model.options import NIGHTLY, RESTORE, WATCHDOG
from biztalk_services.model.records import SuspensionRecord
from biztalk_services.model.run import Run as RecordedRun
from biztalk_services.provider.alerts import AlertNotifier
from biztalk_services.provider.connections import open_archive
from biztalk_services.provider.operators.find import FindServicesOperator
from biztalk_services.provider.operators.watchdog import CheckSuspensionOperator
from biztalk_services.provider.settings import Settings, all_options

from tests.conftest import ROOT
from tests.emulator.driver import SUBSCRIPTION
from tests.provider.connections import NAME, SERVICE
from tests.provider.fakes import Run

pytestmark = pytest.mark.usefixtures("connections")

BAD = {option.name: "a b;c" for option in all_options()} | {"timezone": "EDT", "schedule": "@once"}
BAD |= dict.fromkeys(("drain_query", "control_number_query"), "0")


def parsed(dag_id: str) -> DAG:
    return runpy.run_path(str(ROOT / f"dags/{dag_id}.py"))["dag"]


@pytest.fixture
def all_bad(monkeypatch) -> list[str]:
    """Every option is bad; returns their names."""
    for name, value in BAD.items():
        monkeypatch.setenv(f"AIRFLOW__BIZTALK_SERVICES__{name.upper()}", value)
    return [each.option for each in Settings.load().problems]


@pytest.fixture
def alerts(monkeypatch) -> list[str]:
    subjects: list[str] = []
    monkeypatch.setattr(AlertNotifier, "notify", lambda self, context: subjects.append(self.subject))
    return subjects


@pytest.fixture
def left(connections, emulator):
    """A service that a dead run has left suspended, with its record where the defaults have it."""
    emulator.force(NAME, "Suspended")
    opened_at = datetime.now(UTC) - timedelta(hours=1)
    record = SuspensionRecord(
        run=RecordedRun("nightly", "dead"),
        opened_at=opened_at,
        resume_by=opened_at + timedelta(minutes=30),
        service=SERVICE,
        subscription_id=SUBSCRIPTION,
        reason="backup",
    )
    records = open_archive(Settings().archive).suspensions
    records.open(record)
    yield record
    records.close(record, by="the test", reason="the end")


@pytest.mark.usefixtures("left")
def test_the_watchdog_resumes_though_every_option_is_bad(all_bad, alerts, clock, monkeypatch, operations):
    assert set(BAD) <= set(all_bad)
    clock.rule(monkeypatch, watchdog)
    dag, run = parsed(WATCHDOG), Run()
    found = run.execute(dag.task_dict["find_suspensions"])
    arguments = dag.task_dict["check_suspension"].partial_kwargs
    at = {name: arguments[name] for name in ("archive", "grace_minutes")}
    checks = [
        CheckSuspensionOperator(task_id="check_suspension", conn_id=arguments["conn_id"], found=each, **at)
        for each in found
    ]
    decisions = [run.execute(check, index) for index, check in enumerate(checks)]
    assert [each["action"] for each in decisions if each["service"] == SERVICE] == ["resume"]
    assert len(operations("resume")) == 1
    with pytest.raises(RefusedError) as caught:
        run.execute(dag.task_dict["refuse_bad_options"])
    assert str(caught.value).count("[options]") == len(Settings.load().problems_of(WATCHDOG)) > 5


def test_a_night_with_bad_options_is_refused_with_all_of_them(all_bad, requests):
    run = Run(dag_id=NIGHTLY)
    with pytest.raises(RefusedError) as caught:
        run.execute(parsed(NIGHTLY).task_dict["find_services"], map_index=-1)
    told = str(caught.value)
    assert all(f"Option {name} is " in told for name in ("schedule", "timezone", "include", "max_concurrent_backups"))
    assert "approval_hours" not in told
    assert run.xcom("find_services", "failure", map_index=-1) == told
    assert requests("ListCloudServices") == []


def test_a_restore_with_bad_options_is_refused_with_all_of_them(all_bad):
    run = Run(dag_id=RESTORE, params={"service": NAME})
    with pytest.raises(RefusedError, match="Option approval_hours is ") as caught:
        run.execute(parsed(RESTORE).task_dict["plan"], map_index=-1)
    assert "Option schedule" not in str(caught.value)


def test_the_schedule_is_logged_with_its_next_five_times(capsys):
    Run(dag_id=NIGHTLY).execute(FindServicesOperator(task_id="find"), map_index=-1)
    (line,) = [each for each in capsys.readouterr().out.splitlines() if "Schedule: " in each]
    assert "Schedule: At 02:00 (`0 2 * * *`, Europe/Berlin). Its next times: " in line
    assert line.count(", 02:00 CE") == 5
