"""The watchdog over missing backups: on the emulator, Azurite, and backups of every age."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from airflow.sdk._shared.observability.metrics.base_stats_logger import NoStatsLogger
from airflow.sdk._shared.observability.metrics.statsd_logger import SafeStatsdLogger
from airflow.sdk.exceptions import AirflowTaskTimeout
from airflow.sdk.observability import stats
from biztalk_services.archive.archive import Archive
from biztalk_services.archive.catalog import Catalog
from biztalk_services.flows.backup_ages import ALL_RECENT, BackupsOverdueError
from biztalk_services.model.backup import BackupReference, backup_name
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.service import ServiceKey, ServiceRef
from biztalk_services.provider.alerts import AlertNotifier, FirstFailureNotifier
from biztalk_services.provider.connections import open_archive
from biztalk_services.provider.operators import backup_ages
from biztalk_services.provider.operators.backup_ages import CheckBackupAgesOperator

from tests.archive.samples import reference
from tests.conftest import ROOT
from tests.dags.processes import result_of
from tests.emulator.driver import SUBSCRIPTION
from tests.provider.connections import NAME, SERVICE, management
from tests.provider.fakes import Run
from tests.provider.test_watchdog import UNREACHABLE
from tests.provider.walk import DagWalk

pytestmark = pytest.mark.usefixtures("connections")

WITH_BACKUPS = {
    "contoso-north-europe/contosoeurope",
    "contoso-north-europe/contosonordic",
    "contoso-west-us/ContosoRetail",
    SERVICE,
}
ANOTHER = "0d7c1c2e-0000-4000-8000-000000000002"
_numbers = count()


@pytest.fixture
def places() -> dict[str, str]:
    return {"archive": f"biztalk_backup_storage/aged-{uuid4().hex[:12]}"}


@pytest.fixture
def archive(places, connections) -> Archive:
    return open_archive(places["archive"])


@pytest.fixture
def taken(archive, clock) -> Callable[..., BackupReference]:
    """Publishes a backup of a service that was finished some hours ago; returns its reference."""

    def publish(service: str = SERVICE, hours: float = 1, **changes: Any) -> BackupReference:
        at = clock.time - timedelta(hours=hours)
        ref, subscription_id = ServiceRef.parse(service), changes.pop("subscription_id", SUBSCRIPTION)
        record = reference(
            backup_name(ServiceKey(subscription_id, ref), at),
            service=ref.name,
            scope=ref.scope,
            subscription_id=subscription_id,
            finished_at=at,
        )
        return archive.catalog.publish(replace(record, **changes))[0]

    return publish


@pytest.fixture
def alerts(monkeypatch) -> list[str]:
    """Subjects of the alerts."""
    subjects: list[str] = []
    monkeypatch.setattr(AlertNotifier, "alert", lambda self, context: subjects.append(self.subject) is None)
    return subjects


@pytest.fixture
def check(places, clock, alerts, monkeypatch) -> Callable[..., Any]:
    """One run of the watchdog; returns what it failed with, None when it did not, and keeps its XCom in ``ages``."""
    clock.rule(monkeypatch, backup_ages)

    def once(**how: Any) -> str | None:
        run = Run()
        try:
            run.execute(CheckBackupAgesOperator(task_id="check_backup_ages", **places | how), map_index=-1)
        except BackupsOverdueError as error:
            text = str(error)
        else:
            text = None
        once.ages = run.xcom("check_backup_ages", map_index=-1)
        assert run.xcom("check_backup_ages", "failure", -1) == text
        return text

    return once


def by_service(ages: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    assert len({(each["subscription_id"], each["service"]) for each in ages}) == len(ages)
    return {each["service"]: each for each in ages}


def test_the_first_check_of_a_deployment_is_quiet(check, alerts):
    assert check() is None
    assert alerts == []
    ages = by_service(check.ages)
    assert set(ages) == WITH_BACKUPS
    assert all(each["backup"] is None and each["first_seen_at"] for each in ages.values())


def test_a_service_that_is_never_backed_up_is_missed(check, alerts, clock):
    check()
    clock.forward(hours=29)
    assert check() is None
    clock.forward(hours=2)
    text = check()
    assert text.startswith("4 services have no verified backup that is recent enough: ")
    assert f"{SERVICE}: no backup since it was first seen at" in text
    assert alerts == [text]


def test_a_night_that_does_not_come_is_alerted_once_a_day(check, alerts, clock, taken):
    for service in WITH_BACKUPS:
        taken(service)
    for _ in range(3 * 6):
        check()
        clock.forward(hours=4)
    assert len(alerts) == 2
    assert "4 services have no verified backup that is recent enough" in alerts[0]
    for service in WITH_BACKUPS:
        taken(service)
    assert check() is None
    assert check() is None
    assert alerts[2:] == [ALL_RECENT]


def test_an_index_that_takes_too_long_delays_no_alert(check, alerts, clock, monkeypatch):
    def takes_too_long(self: Catalog) -> None:
        raise AirflowTaskTimeout("Timeout")

    check()
    clock.forward(hours=31)
    monkeypatch.setattr(Catalog, "tidy", takes_too_long)
    with pytest.raises(AirflowTaskTimeout):
        check()
    (subject,) = alerts
    assert subject.startswith("4 services have no verified backup that is recent enough")


def test_only_what_is_overdue_is_named(check, alerts, taken):
    for service in WITH_BACKUPS - {SERVICE}:
        taken(service)
    late = taken(hours=31)
    text = check()
    assert text.startswith(f"1 service has no verified backup that is recent enough: {SERVICE}: last backup ")
    assert alerts == [text]
    ages = by_service(check.ages)
    assert ages[SERVICE]["overdue"] is True
    assert ages[SERVICE]["backup"] == late.place
    assert (ages[SERVICE]["age_seconds"] // 60, ages[SERVICE]["allowed_seconds"]) == (31 * 60, 30 * 3600)
    assert sum(each["overdue"] for each in ages.values()) == 1
    assert check(expected_hours="30 contosoorders=48") is None
    assert check(expected_hours="30 contosoorders=never") is None
    assert SERVICE not in by_service(check.ages)


def test_backups_in_quarantine_and_of_drills_do_not_count(check, archive, taken):
    taken(hours=40)
    taken(hours=2, kind="drill")
    archive.catalog.quarantine(reference("contosoorders-20260101-020000", service=NAME), "It was changed.")
    assert SERVICE in check()


def test_a_backup_of_another_service_of_this_name(check, taken):
    taken(hours=40)
    taken("another-scope/contosoorders")
    taken(subscription_id=ANOTHER)
    assert f"{SERVICE}: last backup" in check()


def test_include_and_exclude_count(check, monkeypatch, taken):
    taken(hours=40)
    monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__EXCLUDE", "contosoorders")
    assert check() is None
    assert set(by_service(check.ages)) == WITH_BACKUPS - {SERVICE}
    monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__INCLUDE", "production-*")
    text = check()
    assert "No backup is expected of any service, so none would be missed. There are 6 services" in text


def test_one_odd_record_hides_no_other_service(check, taken, archive, blobs, alerts):
    for service in WITH_BACKUPS:
        taken(service, hours=2)
    name = backup_name(ServiceKey(SUBSCRIPTION, ServiceRef.parse(SERVICE)), taken(hours=3).finished_at)
    newer = name.replace(name[-22:-7], "20991231-020000")
    path = f"references/{NAME}/{newer}.json"
    blobs.get_blob_client(archive.container, path).upload_blob(b"{")
    text = check()
    assert path in text
    assert alerts == [text]
    ages = by_service(check.ages)
    assert set(ages) == WITH_BACKUPS
    assert not any(each["overdue"] for each in ages.values())
    check()
    assert len(alerts) == 1


class TestSeveralSubscriptions:
    def test_one_that_cannot_be_reached_hides_no_other(self, check, connect, emulator, taken):
        taken(hours=31)
        connect("second", management(emulator) | {"port": 1})
        text = check(conn_ids=["second", "nowhere", "biztalk_default"])
        assert f"{SERVICE}: last backup" in text
        assert "The services of connection second cannot be listed." in text
        assert "There is no connection nowhere." in text
        assert set(by_service(check.ages)) == WITH_BACKUPS

    def test_a_certificate_that_is_none(self, check, connect, emulator, secrets, alerts):
        connect("second", management(emulator) | {"password": "", "extra": {"certificate": "geheim"}})
        text = check(conn_ids=["second", "biztalk_default"])
        assert "The services of connection second cannot be listed." in text
        assert not any(secret in text + alerts[0] for secret in [*secrets, "geheim"])


class TestWithoutArchive:
    def test_an_archive_that_is_not_reached_is_an_error(self, check, connect, alerts):
        connect("biztalk_backup_storage", UNREACHABLE)
        with pytest.raises(BackupServiceError):
            check()
        assert alerts == []

    def test_that_is_alerted_and_what_was_alerted_is_not(self, alerts):
        notifier = FirstFailureNotifier(subject="blind", unless=(BackupsOverdueError,))
        context = {"dag_run": Run(), "exception": BackupsOverdueError("Late.")}
        context["dag_run"].logical_date = None
        notifier.notify(context)
        assert alerts == []
        notifier.notify(context | {"exception": TimeoutError()})
        assert alerts == ["blind"]


def test_bad_options_leave_it_at_work_and_red(check, taken, alerts):
    for service in WITH_BACKUPS:
        taken(service)
    sentence = "Option expected_backup_hours is 'soon'; the default, 30, is used."
    assert check(problems=[sentence]) == sentence
    assert set(by_service(check.ages)) == WITH_BACKUPS
    assert alerts == [sentence]


def test_the_dag_does_the_same(places, taken, monkeypatch, clock, alerts):
    clock.rule(monkeypatch, backup_ages)
    taken(hours=31)
    walk = DagWalk(Run(), "biztalk_backup_age", form={}, archive=places["archive"]).all()
    assert walk.states == {"check_backup_ages": "failed"}
    assert SERVICE in str(walk.errors["check_backup_ages"])
    assert set(by_service(walk.xcom("check_backup_ages"))) == WITH_BACKUPS


class TestMetrics:
    @pytest.fixture
    def received(self) -> Iterator[Callable[[dict[str, bool]], Callable[[], list[str]]]]:
        """Sends Airflow's metrics to a real UDP port, as its StatsD client does; returns what reads them there."""

        def send(**how: bool) -> Callable[[], list[str]]:
            port.settimeout(2)
            client = UdpClient(port.getsockname())
            stats.initialize(factory=lambda: SafeStatsdLogger(client, **how), export_legacy_names=True)
            return lambda: [port.recv(1000).decode() for _ in range(client.sent)]

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
            port.bind(("127.0.0.1", 0))
            yield send
        stats.initialize(factory=NoStatsLogger, export_legacy_names=True)

    def test_statsd(self, received, check, taken):
        read = received()
        for service in WITH_BACKUPS - {SERVICE}:
            taken(service)
        taken(hours=31)
        check()
        *ages, overdue, problems = [line for line in read() if line.startswith("biztalk.")]
        assert len(ages) == len(WITH_BACKUPS)
        assert ages[-1] == f"biztalk.backup_age_seconds:{31 * 3600}|g"
        assert (overdue, problems) == ("biztalk.backups_overdue:1|g", "biztalk.backup_age_problems:0|g")

    def test_statsd_with_tags(self, received, check):
        read = received(influxdb_tags_enabled=True, statsd_influxdb_enabled=True)
        check()
        tags = f"service={NAME},scope=contoso-west-us,subscription={SUBSCRIPTION}"
        assert f"biztalk.backup_age_seconds,{tags}:0|g" in read()

    def test_opentelemetry(self):
        metrics = result_of(EXPORT, env=os.environ | {"PYTHONPATH": str(ROOT / "plugins")})
        assert metrics == {
            "airflow.biztalk.backup_age_seconds": [[3600, "orders"], [7200, "billing"]],
            "airflow.biztalk.backups_overdue": [[1, ""]],
            "airflow.biztalk.backup_age_problems": [[2, ""]],
        }

    def test_a_metric_that_cannot_be_sent_fails_nothing(self, check, monkeypatch):
        monkeypatch.setattr(stats, "gauge", lambda *arguments, **options: 1 / 0)
        assert check() is None


EXPORT = """
import gzip, json, os, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

bodies = []

class Collector(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        bodies.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments):
        pass

server = HTTPServer(("127.0.0.1", 0), Collector)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ |= {
    "AIRFLOW__METRICS__OTEL_ON": "True",
    "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
}
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics import stats_utils
from opentelemetry.metrics import get_meter_provider
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from biztalk_services.flows.backup_ages import Findings
from biztalk_services.model.steps import BackupAge
from biztalk_services.provider.metrics import gauge_backup_ages

stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=True)
ages = [BackupAge(f"a/{name}", "b", None, None, None, age, 5000, age > 5000)
        for name, age in (("billing", 7200), ("orders", 3600))]
gauge_backup_ages(Findings(ages, {"connection x": ["One.", "Two."]}))
get_meter_provider().force_flush()
found = {}
for body in bodies:
    for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
            if ".biztalk." in metric.name:
                found[metric.name] = [
                    [point.as_int or point.as_double,
                     "".join(each.value.string_value for each in point.attributes if each.key == "service")]
                    for point in metric.gauge.data_points
                ]
print("RESULT", json.dumps(found))
"""


class UdpClient:
    """The part of a StatsD client that sends gauges."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address, self.sent = address, 0

    def gauge(self, stat: str, value: float, rate: float = 1, delta: bool = False) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
            port.sendto(f"{stat}:{value}|g".encode(), self.address)
        self.sent += 1

    def timing(self, *arguments: Any) -> None:
        """Not sent."""

    incr = timer = timing
