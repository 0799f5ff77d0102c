"""Client, rules and read-back against a running emulator and Azurite: two independent readings of the documents."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.drivers.base import BackupTarget
from biztalk_services.drivers.biztalk.backup_rules import backup_checks
from biztalk_services.drivers.biztalk.tracking.answers import drain_status
from biztalk_services.drivers.biztalk.tracking.queries import DEFAULT_DRAIN_QUERY
from biztalk_services.drivers.biztalk.verification import read_back
from biztalk_services.drivers.biztalk.wire import server as server_module
from biztalk_services.drivers.biztalk.wire.client import BizTalkServicesClient
from biztalk_services.drivers.biztalk.wire.credentials import ManagementCredentials
from biztalk_services.model.backup import backup_name
from biztalk_services.model.errors import (
    AuthenticationError,
    BackupServiceError,
    BadRequestError,
    OperationNotAllowedError,
    OperationNotFoundError,
    OutcomeUnknownError,
    PreconditionFailedError,
    ServerError,
    ServiceNotFoundError,
    ThrottledError,
    UnexpectedResponseError,
)
from biztalk_services.model.service import Operation, Phase, ServiceKey, ServiceRef

from tests.emulator.driver import SUBSCRIPTION, EmulatorProcess
from tests.wire.pki import identity

SERVICE = "contosoorders"


@pytest.fixture(scope="module")
def shared_emulator(tmp_path_factory) -> Iterator[EmulatorProcess]:
    process = EmulatorProcess(tmp_path_factory.mktemp("emulator"), "--sample-fleet").start()
    yield process
    process.stop()


@pytest.fixture
def emulator(shared_emulator: EmulatorProcess) -> Iterator[EmulatorProcess]:
    with shared_emulator.put_back():
        yield shared_emulator


def credentials_of(emulator: EmulatorProcess) -> ManagementCredentials:
    pki = emulator.home / "pki"
    return ManagementCredentials(certificate_path=pki / "management.pem", private_key_path=pki / "management.key")


def connect(emulator: EmulatorProcess, credentials: ManagementCredentials | None = None) -> BizTalkServicesClient:
    return BizTalkServicesClient(
        SUBSCRIPTION,
        credentials or credentials_of(emulator),
        host="127.0.0.1",
        port=emulator.port,
        ca_bundle=emulator.home / "pki/ca.pem",
        timeout=(2.0, 2.0),
    )


@pytest.fixture
def services(emulator: EmulatorProcess, monkeypatch) -> Iterator[BizTalkServicesClient]:
    monkeypatch.setattr(server_module, "sleep", lambda seconds: None)
    with connect(emulator) as made:
        yield made


@pytest.fixture
def address(services: BizTalkServicesClient) -> ServiceRef:
    return next(service.ref for service in services.list_services() if service.ref.name == SERVICE)


@pytest.fixture
def backup(services, address, client) -> Callable[..., str]:
    """Starts a backup of the service into Azurite."""

    def start(name: str, **options: str) -> str:
        return services.start_backup(
            address,
            store_connection_string=StorageAccount(client).connection_string(),
            backup_name=name,
            client_request_id=f"test:{name}",
            **options,
        )

    return start


def fresh_name() -> str:
    return f"{SERVICE}-{uuid4().hex[:12]}"


def wait_for(services: BizTalkServicesClient, address: ServiceRef, operation_id: str) -> Operation:
    """The operation when it has ended and the service is not transitional any more."""
    deadline = time.monotonic() + 20
    while (operation := services.get_operation(address, operation_id)).result == "InProgress":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    while services.get_service(address).is_transitional:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return operation


def test_suspend_back_up_and_resume(services, address, backup, client):
    service = services.get_service(address)
    name = backup_name(ServiceKey(services.subscription_id, address), datetime.now(UTC))
    assert all(check.passed for check in backup_checks(service, name))
    suspended = services.suspend(address, client_request_id="test:suspend")
    assert wait_for(services, address, suspended) == Operation(suspended, "Succeeded")
    quiesced = services.get_service(address)
    assert quiesced.state == "Suspended"
    operation_id = backup(name, if_match=quiesced.etag)
    assert wait_for(services, address, operation_id).result == "Succeeded"
    assert services.get_service(address).etag == quiesced.etag
    content = read_back(BackupTarget(StorageAccount(client), name), address.name)
    assert content.level == "matched"
    assert content.items
    assert all(isinstance(count, int) for count in content.items.values())
    descriptor = json.loads(client.get_blob_client(name, f"{name}.txt").download_blob().readall())
    assert descriptor["service"].lower() == SERVICE
    assert descriptor["edition"].lower() == service.edition
    assert descriptor["product_version"] == service.version
    assert descriptor["region"] == service.region
    resumed = services.resume(address, client_request_id="test:resume")
    assert wait_for(services, address, resumed).result == "Succeeded"
    assert services.get_service(address).state == "Active"


def test_the_fleet_reports_everything_that_rules_need(services):
    fleet = services.list_services()
    assert len(fleet) >= 3
    assert {service.has_backups for service in fleet} == {True, False}
    for service in fleet:
        assert service.state == "Active"
        assert service.version
        assert service.region
        assert service.etag
        assert service.unit_count
        assert services.get_service(service.ref) == service


def test_no_secret_of_the_fleet_is_kept(emulator, services):
    raw = emulator.request("GET", "/cloudservices").text
    for service in services.list_services():
        for part in ("Password", "AccountKey", "ServiceCertificate"):
            assert part not in repr(service)
    assert "ServiceSettings" in raw


def test_check_connection(services):
    assert SERVICE in services.check_connection()


def test_both_polls_agree(emulator, services, address):
    operation_id = services.suspend(address, client_request_id="n")
    wait_for(services, address, operation_id)
    dashed = f"{operation_id[:8]}-{operation_id[8:12]}-{operation_id[12:16]}-{operation_id[16:20]}-{operation_id[20:]}"
    assert services.get_operation(address, dashed).result == "Succeeded"
    with pytest.raises(OperationNotFoundError):
        services.get_operation(address, uuid4().hex)


def test_suspending_twice_is_no_error(services, address):
    for attempt in ("1", "2"):
        wait_for(services, address, services.suspend(address, client_request_id=attempt))
    assert services.get_service(address).state == "Suspended"


def test_an_active_service_is_not_backed_up(backup):
    with pytest.raises(OperationNotAllowedError, match="409 ConflictError") as caught:
        backup(fresh_name())
    assert caught.value.request_id


def test_a_second_operation_is_refused_while_one_is_active(emulator, services, address):
    emulator.fault("stuck", "suspend", service=SERVICE, count=1)
    services.suspend(address, client_request_id="n")
    service = services.get_service(address)
    assert service.state == "Suspending"
    assert (service.phase, service.under_way) == (Phase.TRANSITIONAL, "suspend")
    with pytest.raises(OperationNotAllowedError):
        services.resume(address, client_request_id="n")


def test_a_changed_service_is_not_backed_up(emulator, services, address, backup):
    emulator.force(SERVICE, "Suspended")
    with pytest.raises(PreconditionFailedError, match="412"):
        backup(fresh_name(), if_match=str(uuid4()))


def test_an_existing_container_fails_the_operation(emulator, services, address, backup, client):
    emulator.force(SERVICE, "Suspended")
    name = fresh_name()
    client.create_container(name)
    operation = wait_for(services, address, backup(name))
    assert operation.result == "Failed"
    assert operation.message
    assert client.credential.account_key not in repr(operation)


def test_a_bad_name_is_refused(emulator, backup):
    emulator.force(SERVICE, "Suspended")
    with pytest.raises(BadRequestError) as caught:
        backup("Not--A--Name")
    assert "Eby8vdM02xNOcqFlqUwJ" not in str(caught.value)


def test_unknown_names(services):
    with pytest.raises(ServiceNotFoundError):
        services.get_service(ServiceRef("nowhere", SERVICE))
    with pytest.raises(ServiceNotFoundError):
        services.suspend(ServiceRef("nowhere", "nothing"), client_request_id="n")


def test_an_unknown_certificate(emulator):
    unknown = identity("unknown")
    credentials = ManagementCredentials(certificate=unknown.certificate_pem, private_key=unknown.key_pem)
    with connect(emulator, credentials) as client, pytest.raises(BackupServiceError) as caught:
        client.list_services()
    assert isinstance(caught.value, AuthenticationError)


@pytest.mark.parametrize(
    "kind", ["reset-before", "reset-after", "empty-body", "malformed-xml", "html", "entity-bomb", "truncated"]
)
def test_a_read_survives_a_fault_and_reports_a_lasting_one(emulator, services, kind):
    order = emulator.fault(kind, "list", count=2)
    assert services.list_services()
    emulator.fault(kind, "list")
    with pytest.raises(UnexpectedResponseError) as caught:
        services.list_services()
    assert caught.value.advice == "retry"
    faults = emulator.admin("GET", "/faults")
    fired = [fault["fired"] for fault in (faults["faults"] if isinstance(faults, dict) else faults)]
    assert fired == [2, 3], order


@pytest.mark.parametrize("kind", ["reset-before", "reset-after", "truncated", "slow"])
def test_a_change_whose_response_is_lost_is_sent_once(emulator, services, address, kind):
    before = len(requests_for(emulator, "suspend"))
    emulator.fault(kind, "suspend", count=1)
    with pytest.raises(OutcomeUnknownError) as caught:
        services.suspend(address, client_request_id="n")
    assert caught.value.advice == "check"
    assert len(requests_for(emulator, "suspend")) == before + 1


def requests_for(emulator: EmulatorProcess, operation: str) -> list[dict[str, object]]:
    return [entry for entry in emulator.journal(kind="request") if operation in str(entry)]


def test_a_busy_service(emulator, services, address):
    emulator.fault("status", "suspend", retry_after=7, count=1)
    with pytest.raises(ThrottledError) as caught:
        services.suspend(address, client_request_id="n")
    assert (caught.value.retry_after, caught.value.code) == (7.0, "ServerBusy")
    emulator.fault("status", "suspend", status=500, code="InternalError", count=1)
    with pytest.raises(ServerError) as failed:
        services.suspend(address, client_request_id="n")
    assert failed.value.advice == "check"


def test_a_failed_and_a_forgotten_operation(emulator, services, address):
    emulator.fault("operation-fails", "suspend", count=1)
    operation = wait_for(services, address, services.suspend(address, client_request_id="n"))
    assert (operation.result, operation.http_code, operation.message) == ("Failed", 409, "The operation failed.")
    assert services.get_service(address).state == "SuspendedFailed"
    emulator.force(SERVICE, "Active")
    emulator.fault("operation-forgotten", "suspend", count=1)
    with pytest.raises(OperationNotFoundError):
        services.get_operation(address, services.suspend(address, client_request_id="n"))


def test_the_drain_query_sees_messages_come_and_go(emulator, services, address):
    database = services.get_service(address).settings["TrackingStoreConnectionString"].partition("Initial Catalog=")[2]
    file = emulator.home / "tracking" / f"{database.partition(';')[0]}.db"
    batch = emulator.admin("GET", f"/services/{SERVICE}")["batches"][0]
    agreement, name = batch["AgreementName"], batch["BatchName"]

    def waiting() -> list[int]:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            cursor = connection.execute(DEFAULT_DRAIN_QUERY)
            columns = [column[0] for column in cursor.description]
            status = drain_status(columns, cursor.fetchall(), source=database, checked_at=datetime.now(UTC))
        assert status.answer in ("empty", "active"), status.sentence()
        return [batch.messages for batch in status.batches if (batch.agreement, batch.batch) == (agreement, name)]

    assert waiting() == []
    emulator.admin("POST", f"/services/{SERVICE}/messages", {"agreement": agreement, "messages": 3})
    assert waiting() == [3]
    emulator.admin("POST", f"/services/{SERVICE}/batches/release", {"agreement": agreement, "batch": name})
    assert waiting() == []
