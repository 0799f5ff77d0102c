"""The client against a server that responds as documented."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from biztalk_services.drivers.biztalk.errors import InvalidCertificateError, SubscriptionDisabledError
from biztalk_services.drivers.biztalk.wire import messages
from biztalk_services.drivers.biztalk.wire.client import BizTalkServicesClient
from biztalk_services.drivers.biztalk.wire.credentials import ManagementCredentials
from biztalk_services.model.errors import (
    AuthenticationError,
    BackupServiceError,
    BadRequestError,
    InvalidAddressError,
    OperationNotAllowedError,
    OperationNotFoundError,
    PreconditionFailedError,
    ServerError,
    ServerNotTrustedError,
    ServiceNotFoundError,
    ThrottledError,
    UnexpectedResponseError,
)
from biztalk_services.model.service import Operation, ServiceRef

from tests.wire.conftest import SUBSCRIPTION
from tests.wire.pki import DAY, Identity, identity
from tests.wire.samples import (
    ETAG,
    OTHER_RESOURCE,
    REQUEST_ID,
    cloud_service,
    error,
    fleet,
    resource,
    service_poll,
    single,
    subscription_poll,
)
from tests.wire.scripted_server import ScriptedServer, response

ORDERS = ServiceRef("contoso-west", "orders")
RESOURCE = f"/{SUBSCRIPTION}/cloudservices/contoso-west/resources/biztalkservices/~/biztalk/orders"
STORE = "BlobEndpoint=https://b/;AccountName=backups;AccountKey=c2VjcmV0LWNhbmFyeQ==;DefaultEndpointsProtocol=https"
ACCEPTED = response(202, x_ms_request_id=REQUEST_ID)

Connect = Callable[..., BizTalkServicesClient]


def test_list_services_over_all_cloud_services(client, server):
    east = cloud_service(resource("returns"), OTHER_RESOURCE, name="contoso-east", region="East US")
    server.script = [response(200, fleet(cloud_service(resource()), east, cloud_service(name="empty")))]
    services = client.list_services()
    assert [str(service.ref) for service in services] == ["contoso-east/returns", "contoso-west/orders"]
    assert [service.region for service in services] == ["East US", "West US"]
    assert server.targets("GET") == [f"/{SUBSCRIPTION}/cloudservices"]
    headers = server.requests[0].headers
    assert headers["x-ms-version"] == "2013-04-26"
    assert headers["user-agent"].startswith("biztalk-services-airflow/")


def test_get_service(client, server):
    server.script = [response(200, single(resource("billing"), resource(sub_state="Suspended")))]
    service = client.get_service(ServiceRef("contoso-west", "ORDERS"))
    assert (service.ref, service.state, service.edition) == (ORDERS, "Suspended", "premium")
    assert (service.version, service.region, service.etag, service.unit_count) == ("1.1.0", "West US", ETAG, 2)
    assert server.targets("GET") == [f"/{SUBSCRIPTION}/cloudservices/contoso-west"]


def test_of_a_long_list_only_what_is_asked_for_is_read(client, server, monkeypatch):
    server.script = [response(200, single(*(resource(f"orders{number}") for number in range(300))))]
    read: list[str] = []
    service_of = messages._service
    monkeypatch.setattr(messages, "_service", lambda *given: read.append("") or service_of(*given))
    find = client.read_services("contoso-west")
    assert find(ServiceRef("contoso-west", "ORDERS299")).ref.name == "orders299"
    assert len(read) == 1


def test_missing_service_error_names_a_few_of_many(client, server):
    server.script = [response(200, single(*(resource(f"orders{number}") for number in range(300))))]
    find = client.read_services("contoso-west")
    with pytest.raises(ServiceNotFoundError, match=r"\(it holds: orders0, .*, orders19 and 280 more\)"):
        find(ServiceRef("contoso-west", "returns"))


def test_missing_service_error_lists_the_others(client, server):
    server.script = [response(200, single(resource("billing")))]
    with pytest.raises(ServiceNotFoundError, match=r"no BizTalk service orders \(it holds: billing\)"):
        client.get_service(ORDERS)
    server.script = [response(404, error("ResourceNotFound"), x_ms_request_id=REQUEST_ID)]
    with pytest.raises(ServiceNotFoundError) as caught:
        client.get_service(ORDERS)
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (404, "ResourceNotFound", REQUEST_ID)
    assert "read service contoso-west/orders" in str(caught.value)


@pytest.mark.parametrize("absent", [response(404, error("NotFound")), response(200, single(resource("billing")))])
def test_missing_service_is_read_twice(client, server, pauses, absent):
    server.script = [absent, response(200, single(resource()))]
    assert client.get_service(ORDERS).ref == ORDERS
    assert (len(server.requests), pauses) == (2, [0.25])


@pytest.mark.parametrize("status", [200, 202])
@pytest.mark.parametrize("action", ["suspend", "resume"])
def test_suspend_and_resume(client, server, action, status):
    server.script = [response(status, x_ms_request_id=REQUEST_ID.upper())]
    assert getattr(client, action)(ORDERS, client_request_id="nightly:1") == REQUEST_ID
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("POST", f"{RESOURCE}?comp={action}", b"")
    assert request.headers["x-ms-client-request-id"] == "nightly:1"


def test_start_backup_sends_the_documented_body(client, server):
    server.script = [ACCEPTED]
    operation = client.start_backup(
        ORDERS, store_connection_string=STORE, backup_name="orders-1", client_request_id="n", if_match=ETAG
    )
    assert operation == REQUEST_ID
    (request,) = server.requests
    assert request.target == f"{RESOURCE}?comp=backup"
    assert request.headers["if-match"] == ETAG
    assert request.headers["content-type"] == "application/xml"
    assert request.body.partition(b"\n")[2].decode() == (
        f"<ServiceBackupSettings><BackupStoreConnectionString>{STORE}</BackupStoreConnectionString>"
        "<BackupName>orders-1</BackupName></ServiceBackupSettings>"
    )


def test_client_request_id_cannot_inject_headers(client, server):
    server.script = [ACCEPTED]
    client.suspend(ORDERS, client_request_id="manual__2026-01-01T00:00:00+00:00 ä\r\nIf-Match: *")
    headers = server.requests[0].headers
    assert headers["x-ms-client-request-id"] == "manual__2026-01-01T00:00:00+00:00 %C3%A4%0D%0AIf-Match: *"
    assert "if-match" not in headers


@pytest.mark.parametrize("status", [200, 202])
def test_get_operation_from_the_service(client, server, status):
    server.script = [response(status, service_poll("InProgress"))]
    assert client.get_operation(ORDERS, REQUEST_ID) == Operation(REQUEST_ID, "InProgress")
    assert server.targets("GET") == [f"{RESOURCE}?OperationStatus/{REQUEST_ID}"]


def test_get_operation_from_the_subscription_after_404(client, server):
    failed = "<HttpStatusCode>409</HttpStatusCode><Error><Code>ConflictError</Code><Message>taken</Message></Error>"
    server.script = [response(404, error("ResourceNotFound")), response(200, subscription_poll("Failed", failed))]
    status = client.get_operation(ORDERS, REQUEST_ID)
    assert status == Operation(REQUEST_ID, "Failed", 409, "ConflictError", "taken")
    assert server.targets("GET")[1] == f"/{SUBSCRIPTION}/operations/{REQUEST_ID}"


def test_unknown_operation(client, server):
    server.script = [response(404, error("ResourceNotFound"))]
    with pytest.raises(OperationNotFoundError) as caught:
        client.get_operation(ORDERS, REQUEST_ID)
    assert caught.value.advice == "check"
    assert len(server.requests) == 2


def test_status_of_another_operation_is_rejected(client, server):
    other = subscription_poll("Succeeded", operation_id="ffffffff-4ac8-3ac3-a5e7-c8fbf0c2c1d4")
    server.script = [response(404), response(200, other)]
    with pytest.raises(UnexpectedResponseError, match="got ffffffff"):
        client.get_operation(ORDERS, REQUEST_ID)


@pytest.mark.parametrize(
    ("status", "code", "kind", "advice"),
    [
        (400, "BadRequest", BadRequestError, "stop"),
        (401, "", AuthenticationError, "stop"),
        (403, "AuthenticationFailed", AuthenticationError, "stop"),
        (403, "SubscriptionDisabled", SubscriptionDisabledError, "stop"),
        (404, "ResourceNotFound", ServiceNotFoundError, "stop"),
        (409, "ConflictError", OperationNotAllowedError, "check"),
        (412, "PreconditionFailed", PreconditionFailedError, "stop"),
        (429, "TooManyRequests", ThrottledError, "retry"),
        (500, "InternalError", ServerError, "check"),
        (502, "", ServerError, "check"),
        (503, "ServerBusy", ThrottledError, "retry"),
        (503, "", ServerError, "check"),
        (504, "", ServerError, "check"),
    ],
)
def test_rejected_change_is_sent_once(client, server, status, code, kind, advice):
    server.script = [response(status, error(code, "Operation not allowed") if code else "", x_ms_request_id=REQUEST_ID)]
    with pytest.raises(kind) as caught:
        client.suspend(ORDERS, client_request_id="n")
    assert type(caught.value) is kind
    assert (caught.value.advice, caught.value.status, caught.value.request_id) == (advice, status, REQUEST_ID)
    assert "suspend service contoso-west/orders" in str(caught.value)
    assert str(status) in str(caught.value)
    assert len(server.requests) == 1


def test_echo_of_the_account_key_is_redacted(client, server, caplog):
    caplog.set_level(logging.DEBUG)
    server.script = [response(400, error("BadRequest", f"Cannot use {STORE} or c2VjcmV0LWNhbmFyeQ== Password=hunter2"))]
    with pytest.raises(BadRequestError) as caught:
        client.start_backup(ORDERS, store_connection_string=STORE, backup_name="orders-1", client_request_id="n")
    everything = str(caught.value) + repr(caught.value) + repr(caught.value.__context__) + caplog.text
    assert "Cannot use" in everything
    for secret in ("c2VjcmV0", "hunter2"):
        assert secret not in everything


def test_log_contains_requests_without_secrets(client, server, caplog, management: Identity):
    caplog.set_level(logging.DEBUG)
    server.script = [ACCEPTED]
    client.start_backup(ORDERS, store_connection_string=STORE, backup_name="orders-1", client_request_id="n")
    assert "POST" in caplog.text
    assert REQUEST_ID in caplog.text
    for secret in ("c2VjcmV0", management.key_pem.splitlines()[1]):
        assert secret not in caplog.text


def test_check_connection_lists_the_services(client, server):
    server.script = [response(200, fleet(cloud_service(resource())))]
    sentence = client.check_connection()
    assert f"https://127.0.0.1:{server.port} accepts the management certificate CN=management" in sentence
    assert sentence.endswith("BizTalk services: contoso-west/orders.")


def test_check_connection_warns_of_certificate_expiry(connect: Connect, server, ca, ca_file, pauses):
    ending = identity("ending", ca, ends=3 * DAY)
    credentials = ManagementCredentials(certificate=ending.certificate_pem, private_key=ending.key_pem)
    server.script = [response(200, fleet())]
    with BizTalkServicesClient(
        SUBSCRIPTION, credentials, host="127.0.0.1", port=server.port, ca_bundle=ca_file
    ) as client:
        assert "CN=ending expires on" in client.check_connection()


@pytest.mark.parametrize("tls13", [True, False])
@pytest.mark.parametrize("change", [True, False])
def test_server_rejects_the_client_certificate(ca, ca_file, tmp_path, pauses, tls13, change):
    stranger = identity("stranger")
    credentials = ManagementCredentials(certificate=stranger.certificate_pem, private_key=stranger.key_pem)
    with (
        ScriptedServer(identity("server", ca), ca_file, tmp_path, tls13=tls13, script=[ACCEPTED]) as server,
        BizTalkServicesClient(
            SUBSCRIPTION, credentials, host="127.0.0.1", port=server.port, ca_bundle=ca_file
        ) as client,
    ):
        with pytest.raises(AuthenticationError, match="CN=stranger") as caught:
            client.suspend(ORDERS, client_request_id="n") if change else client.list_services()
        assert caught.value.advice == "stop"
        assert server.requests == []


def test_untrusted_server_receives_no_request(connect: Connect, server, tmp_path, pauses):
    other = tmp_path / "other-ca.pem"
    other.write_text(identity("Other CA").certificate_pem)
    server.script = [ACCEPTED]
    with pytest.raises(ServerNotTrustedError, match="ca_bundle") as caught:
        connect(server.port, ca_bundle=other).suspend(ORDERS, client_request_id="n")
    assert caught.value.advice == "stop"
    assert server.requests == []
    with pytest.raises(ServerNotTrustedError):
        connect(server.port, ca_bundle=None).list_services()
    assert pauses == []


def test_only_the_configured_cas_are_trusted(connect: Connect, server, ca_file, tmp_path, pauses, monkeypatch):
    other = tmp_path / "other-ca.pem"
    other.write_text(identity("Other CA").certificate_pem)
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(ca_file))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca_file))
    server.script = [ACCEPTED]
    with pytest.raises(ServerNotTrustedError):
        connect(server.port, ca_bundle=other).suspend(ORDERS, client_request_id="n")


def test_netrc_password_is_not_sent(client, server, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password canary\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.script = [ACCEPTED]
    client.suspend(ORDERS, client_request_id="n")
    assert "authorization" not in server.requests[0].headers


def test_expired_certificate_is_rejected_before_any_request(ca):
    expired = identity("expired", ca, begins=-10 * DAY, ends=-DAY)
    credentials = ManagementCredentials(certificate=expired.certificate_pem, private_key=expired.key_pem)
    with pytest.raises(InvalidCertificateError, match=r"CN=expired expired on \d{4}-\d\d-\d\d"):
        BizTalkServicesClient(SUBSCRIPTION, credentials)


@pytest.mark.parametrize(
    ("subscription", "host"), [("a/b", "h"), ("", "h"), (None, "h"), (SUBSCRIPTION, "h/x"), (SUBSCRIPTION, "a@b")]
)
def test_invalid_subscription_id_or_host(credentials, subscription, host):
    with pytest.raises(InvalidAddressError, match=r"is not (a subscription id|the host of the management API)"):
        BizTalkServicesClient(subscription, credentials, host=host)


def test_errors_are_picklable():
    import pickle

    error = ThrottledError("Sentence.", status=503, code="ServerBusy", request_id="r", retry_after=7.0, advice="check")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.__dict__) == (str(error), error.__dict__)
    assert isinstance(copy, BackupServiceError)
