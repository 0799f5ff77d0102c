"""Faults of the emulator, and what the client makes of them."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from biztalk_services.drivers.biztalk.wire import server as server_module
from biztalk_services.drivers.biztalk.wire.client import BizTalkServicesClient
from biztalk_services.drivers.biztalk.wire.credentials import ManagementCredentials
from biztalk_services.model.errors import (
    AuthenticationError,
    BackupServiceError,
    OutcomeUnknownError,
    ServiceNotFoundError,
    UnexpectedResponseError,
)
from biztalk_services.model.service import Phase, ServiceRef

from tests.emulator.driver import SUBSCRIPTION, EmulatorProcess
from tests.wire.pki import DAY, Identity, identity
from tests.wire.test_key_files import settings_file

SERVICE = "contosoorders"
ADDRESS = ServiceRef("contoso-west-us", SERVICE)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory) -> Iterator[EmulatorProcess]:
    process = EmulatorProcess(tmp_path_factory.mktemp("faults") / "home", "--sample-fleet").start()
    yield process
    assert process.stop() == 0


@pytest.fixture
def connect(emulator, monkeypatch):
    monkeypatch.setattr(server_module, "sleep", lambda seconds: None)
    made: list[BizTalkServicesClient] = []

    def make(credentials: ManagementCredentials) -> BizTalkServicesClient:
        address = {"host": "127.0.0.1", "port": emulator.port, "ca_bundle": emulator.home / "pki/ca.pem"}
        made.append(BizTalkServicesClient(SUBSCRIPTION, credentials, **address))
        return made[-1]

    yield make
    emulator.admin("DELETE", "/faults")
    emulator.force(SERVICE, "Active")
    for client in made:
        client.close()


@pytest.fixture
def client(connect, emulator) -> BizTalkServicesClient:
    pki = emulator.home / "pki"
    certificate, key = pki / "management.pem", pki / "management.key"
    return connect(ManagementCredentials(certificate_path=certificate, private_key_path=key))


def operations_started(emulator: EmulatorProcess) -> int:
    """How many operations of the service were started."""
    return sum(entry["event"] == "started" for entry in emulator.journal(kind="operation", service=SERVICE))


@pytest.mark.parametrize("status", [302, 307])
def test_redirect(emulator, client, status):
    before = operations_started(emulator)
    emulator.fault("redirect", "suspend", count=1, status=status, location=emulator.url)
    with pytest.raises(OutcomeUnknownError, match=str(status)):
        client.suspend(ADDRESS, client_request_id="n")
    emulator.fault("redirect", "list", status=status, location=emulator.url)
    with pytest.raises(UnexpectedResponseError, match=str(status)):
        client.list_services()
    assert operations_started(emulator) == before


def test_two_responses_to_one_request(emulator, client):
    before = operations_started(emulator)
    emulator.fault("answered-twice", "suspend", count=1)
    operation_id = client.suspend(ADDRESS, client_request_id="n")
    emulator.fault("answered-twice", "get_cloud_service", count=1)
    assert client.get_service(ADDRESS).state in ("Suspending", "Suspended")
    assert len(client.list_services()) > 1  # not the second response to the request before
    assert client.get_operation(ADDRESS, operation_id).operation_id == operation_id
    assert operations_started(emulator) == before + 1


def test_unknown_state(emulator, client):
    emulator.fault("unknown-state", "get_cloud_service", count=1)
    service = client.get_service(ADDRESS)
    assert (service.state, service.phase) == ("Hibernating", Phase.UNKNOWN)


def test_an_absence_that_passes(emulator, client):
    absent = {"status": 404, "code": "ResourceNotFound", "message": "No."}
    emulator.fault("status", "get_cloud_service", count=1, **absent)
    assert client.get_service(ADDRESS).state == "Active"
    emulator.fault("status", "get_cloud_service", count=2, **absent)
    with pytest.raises(ServiceNotFoundError):
        client.get_service(ADDRESS)


def registered(emulator: EmulatorProcess, person: Identity) -> tuple[ManagementCredentials, str]:
    """Credentials that the subscription knows, and their thumbprint there."""
    values = emulator.admin("POST", "/certificates", {"certificate": person.certificate_pem})
    return ManagementCredentials(certificate=person.certificate_pem, private_key=person.key_pem), values["thumbprint"]


def test_a_certificate_that_is_removed_and_uploaded_again(emulator, connect):
    person = identity("rotated")
    credentials, thumbprint = registered(emulator, person)
    client = connect(credentials)
    assert client.list_services()
    emulator.admin("DELETE", f"/certificates/{thumbprint}")
    for call in (client.list_services, lambda: client.suspend(ADDRESS, client_request_id="n")):
        with pytest.raises(AuthenticationError, match="uploaded to this subscription") as caught:
            call()
        assert caught.value.advice == "stop"
    registered(emulator, person)
    assert client.list_services()


def test_a_certificate_that_expires_during_the_run(emulator, connect, monkeypatch):
    monkeypatch.setattr(ManagementCredentials, "check_validity", lambda self: None)  # it was valid when the run began
    credentials, _ = registered(emulator, identity("expiring", begins=-9 * DAY, ends=-DAY))
    client = connect(credentials)
    with pytest.raises(AuthenticationError, match="not expired"):
        client.suspend(ADDRESS, client_request_id="n")
    assert emulator.state(SERVICE) == "Active"


@pytest.mark.parametrize("what", ["no-state", "no-name", "odd-name", "no-type", "other-type", "twice-differing"])
def test_one_odd_entry_of_the_list(emulator, client, what):
    everything = {str(service.ref) for service in client.list_services(pytest.fail)}
    emulator.fault("odd-entry", "list", count=1, entry=SERVICE, what=what)
    told: list[str] = []
    listed = {str(service.ref) for service in client.list_services(told.append)}
    assert everything - listed == (set() if what == "twice-differing" else {str(ADDRESS)})
    assert len(told) == 1
    assert "cannot be read" in told[0]
    emulator.fault("odd-entry", "get_cloud_service", count=3, entry=SERVICE, what=what)
    with pytest.raises(BackupServiceError, match="cannot be read") as caught:
        client.get_service(ADDRESS)
    assert not isinstance(caught.value, ServiceNotFoundError)


@pytest.mark.parametrize("what", ["no-edition", "twice"])
def test_an_entry_that_can_be_read_all_the_same(emulator, client, what):
    everything = [str(service.ref) for service in client.list_services(pytest.fail)]
    emulator.fault("odd-entry", "list", count=1, entry=SERVICE, what=what)
    listed = client.list_services(pytest.fail)
    assert [str(service.ref) for service in listed] == everything


@pytest.mark.parametrize("form", ["publish settings", "UTF-16", "base64 text of a PFX"])
def test_a_certificate_in_the_form_in_which_people_have_it(emulator, connect, tmp_path, form):
    person, file = identity("person"), tmp_path / "management"
    registered(emulator, person)
    file.write_bytes(
        {
            "publish settings": settings_file(**{SUBSCRIPTION: person}).encode(),
            "UTF-16": (person.certificate_pem + person.key_pem).encode("utf-16"),
            "base64 text of a PFX": base64.encodebytes(person.pkcs12("sesame")),
        }[form]
    )
    credentials = ManagementCredentials(certificate_path=file, passphrase="sesame", subscription_id=SUBSCRIPTION)
    assert connect(credentials).list_services()
