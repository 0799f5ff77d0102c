"""Restore and delete: requests, validation before sending, errors of the service."""

from __future__ import annotations

import base64
import copy
import dataclasses
import logging
import pickle
import socket
from xml.etree.ElementTree import fromstring

import pytest
from biztalk_services.drivers.biztalk.wire.restore_messages import RestoreValues, restore_body
from biztalk_services.drivers.biztalk.wire.server import MAX_ATTEMPTS
from biztalk_services.model.errors import (
    AuthenticationError,
    BackupServiceError,
    BadRequestError,
    InvalidRequestError,
    OperationNotAllowedError,
    OutcomeUnknownError,
    PreconditionFailedError,
    ServerError,
    ServiceNotFoundError,
    ThrottledError,
    UnreachableError,
)
from biztalk_services.model.service import ServiceRef
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.conftest import SUBSCRIPTION
from tests.wire.samples import ETAG, REQUEST_ID, error
from tests.wire.scripted_server import drip, reset, response, silence
from tests.wire.test_nonsense import MALFORMED, free_port, hang_up_after

ORDERS = ServiceRef("contoso-west", "orders")
RESOURCE = f"/{SUBSCRIPTION}/cloudservices/contoso-west/resources/biztalkservices/biztalk/orders"
STORE = "BlobEndpoint=https://b/;AccountName=backups;AccountKey=canary-store==;DefaultEndpointsProtocol=https"
PFX = base64.b64encode(b"canary pfx").decode()
ACCEPTED = response(202, x_ms_request_id=REQUEST_ID, ETag=ETAG)

VALUES = RestoreValues(
    edition="premium",
    unit_count=2,
    custom_domain_url="edi.contoso.example",
    service_version="1.1.0",
    tracking_store="Data Source=tcp:db;Initial Catalog=Copy;User ID=edi;Password='canary; sql''s'",
    archive_store="AccountName=archive;AccountKey=canary-archive",
    monitoring_store="AccountName=monitoring;AccountKey=canary-monitoring",
    acs_namespace="contoso-acs",
    acs_key="canary acs key",
    certificate=PFX,
    certificate_password="canary pfx password",
)
SECRETS = ("canary", PFX)


def restore(client, values: RestoreValues = VALUES, **changes: str) -> str:
    fixed = {"store_connection_string": STORE, "backup_name": "orders-1", "client_request_id": "restore:1"}
    return client.start_restore(ORDERS, values=values, **fixed | changes)


def delete(client) -> str:
    return client.delete(ORDERS, client_request_id="delete:1")


both = pytest.mark.parametrize("change", [restore, delete])


# --- requests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 202])
def test_restore_sends_put_to_the_service_address(client, server, status):
    server.script = [response(status, x_ms_request_id=REQUEST_ID.upper())]
    assert restore(client) == REQUEST_ID
    (request,) = server.requests
    assert (request.method, request.target) == ("PUT", RESOURCE)
    assert request.headers["content-type"] == "application/xml"
    assert request.headers["x-ms-version"] == "2013-04-26"
    assert request.headers["x-ms-client-request-id"] == "restore:1"
    assert request.headers["if-match"] == "00000000-0000-0000-0000-000000000000"
    assert request.body == restore_body(STORE, "orders-1", VALUES)


def test_restore_body_follows_create():
    assert restore_body(STORE, "orders-1", VALUES).partition(b"\n")[2].decode() == (
        "<Resource><SchemaVersion>1.0</SchemaVersion><Plan /><IntrinsicSettings><ServiceRestoreSettings>"
        f"<BackupStoreConnectionString>{STORE}</BackupStoreConnectionString><BackupName>orders-1</BackupName>"
        "<ServiceSettings><CustomDomainUrl>edi.contoso.example</CustomDomainUrl><ServiceVersion>1.1.0</ServiceVersion>"
        "<Edition>premium</Edition><UnitCount>2</UnitCount>"
        f"<ServiceCertificate><Data>{PFX}</Data><Password>canary pfx password</Password></ServiceCertificate>"
        f"<TrackingStoreConnectionString>{VALUES.tracking_store}</TrackingStoreConnectionString>"
        f"<ArchiveStoreConnectionString>{VALUES.archive_store}</ArchiveStoreConnectionString>"
        f"<MonitoringStoreConnectionString>{VALUES.monitoring_store}</MonitoringStoreConnectionString>"
        "<AccessControlNamespace>contoso-acs</AccessControlNamespace>"
        "<AccessControlKey>canary acs key</AccessControlKey>"
        "</ServiceSettings></ServiceRestoreSettings></IntrinsicSettings></Resource>"
    )


def test_omitted_values_are_not_sent():
    root = fromstring(restore_body(STORE, "orders-1", RestoreValues()))
    assert root.find(".//ServiceSettings") is None
    root = fromstring(restore_body(STORE, "orders-1", RestoreValues(certificate=PFX)))
    assert [child.tag for child in root.find(".//ServiceSettings")] == ["ServiceCertificate"]
    assert [child.tag for child in root.find(".//ServiceCertificate")] == ["Data"]


@given(st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=30).filter(str.strip))
def test_restore_body_preserves_every_character(text):
    root = fromstring(restore_body(text, text, RestoreValues(acs_key=text, tracking_store=text)))
    for element in (
        "BackupStoreConnectionString",
        "BackupName",
        "AccessControlKey",
        "TrackingStoreConnectionString",
    ):
        assert root.findtext(f".//{element}") == text


@pytest.mark.parametrize("if_match", [None, ETAG])
def test_delete_sends_address_and_etag(client, server, if_match):
    server.script = [ACCEPTED]
    assert client.delete(ORDERS, client_request_id="d", if_match=if_match) == REQUEST_ID
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("DELETE", RESOURCE, b"")
    assert request.headers["x-ms-client-request-id"] == "d"
    assert request.headers.get("if-match") == if_match


# --- validation before sending ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", [each.name for each in dataclasses.fields(RestoreValues)])
@pytest.mark.parametrize("value", ["", " \n", "canary\x00", "canary\ud800", b"canary", 1.5])
def test_error_names_the_invalid_value_without_printing_it(field, value):
    with pytest.raises(InvalidRequestError, match=field) as caught:
        RestoreValues(**{field: value})
    assert "canary" not in repr(caught.value)
    assert caught.value.advice == "stop"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"unit_count": 0}, "1 or more"),
        ({"unit_count": True}, "whole number"),
        ({"certificate": "canary-no-base64"}, "not base64"),
        ({"certificate": "canaryé"}, "not base64"),
        ({"certificate_password": "canary"}, "without certificate"),
    ],
)
def test_invalid_values(values, reason):
    with pytest.raises(InvalidRequestError, match=reason) as caught:
        RestoreValues(**values)
    assert "canary" not in repr(caught.value) + repr(caught.value.__context__)


@pytest.mark.parametrize(
    "changes",
    [{"client_request_id": " "}, {"backup_name": ""}, {"store_connection_string": ""}, {"backup_name": "a\x01"}],
)
def test_restore_without_required_values_is_not_sent(client, server, changes):
    server.script = [ACCEPTED]
    with pytest.raises(InvalidRequestError):
        restore(client, **changes)
    assert server.requests == []


# --- errors of the service -------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    ("status", "code", "kind", "advice"),
    [
        (400, "BadRequest", BadRequestError, "stop"),
        (403, "AuthenticationFailed", AuthenticationError, "stop"),
        (404, "ResourceNotFound", ServiceNotFoundError, "stop"),
        (409, "ConflictError", OperationNotAllowedError, "check"),
        (429, "", ThrottledError, "retry"),
        (500, "InternalError", ServerError, "check"),
        (503, "ServerBusy", ThrottledError, "retry"),
        (503, "", ServerError, "check"),
    ],
)
def test_rejected_change_is_sent_once(client, server, change, status, code, kind, advice):
    server.script = [response(status, error(code) if code else "", x_ms_request_id=REQUEST_ID)]
    with pytest.raises(kind) as caught:
        change(client)
    assert type(caught.value) is kind
    assert (caught.value.advice, caught.value.status, caught.value.request_id) == (advice, status, REQUEST_ID)
    assert f"{change.__name__} service contoso-west/orders" in str(caught.value)
    assert str(caught.value).endswith(".")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("The name orders is in use by an existing service.", "A service with this name exists"),
        ("A BizTalk service named orders already exists", "A service with this name exists"),
        ("The name orders is still held; its service was deleted 5 s ago.", "still reserved after"),
        ("The name of a recently deleted service is reserved.", "still reserved after"),
        ("Operation not allowed", "List the services to determine the cause"),
        ("The name exists or was deleted.", "List the services to determine the cause"),
        ("", "List the services to determine the cause"),
    ],
)
def test_unavailable_name_is_explained(client, server, message, remedy):
    server.script = [response(409, error("ConflictError", message))]
    with pytest.raises(OperationNotAllowedError, match=remedy) as caught:
        restore(client)
    assert message.rstrip(".") in str(caught.value)


def test_412_means_that_the_name_is_in_use(client, server):
    server.script = [response(412, error("PreconditionFailed", "ETag"))]
    with pytest.raises(OperationNotAllowedError, match="A service with this name exists") as caught:
        restore(client)
    assert caught.value.status == 412


def test_restore_into_a_missing_cloud_service(client, server):
    server.script = [response(404, error("ResourceNotFound"))]
    with pytest.raises(ServiceNotFoundError, match="a cloud service that exists"):
        restore(client)


def test_delete_of_a_changed_service(client, server):
    server.script = [response(412, error("PreconditionFailed"))]
    with pytest.raises(PreconditionFailedError, match="has changed since its ETag was read"):
        client.delete(ORDERS, client_request_id="d", if_match=ETAG)


def test_all_violations_of_a_restore_are_reported(client, server):
    violations = " ".join(f"{number}. This value of the request violates a rule." for number in range(1, 21))
    server.script = [response(400, error("BadRequest", violations))]
    with pytest.raises(BadRequestError, match=r"20\. This value of the request violates a rule"):
        restore(client)


# --- lost responses --------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("name", [name for name in MALFORMED if name not in ("no state", "no name", "path as name")])
def test_malformed_response_leaves_the_outcome_unknown(client, server, change, name):
    server.script = [hang_up_after(MALFORMED[name])]
    with pytest.raises(OutcomeUnknownError, match="Check whether the service") as caught:
        change(client)
    assert caught.value.advice == "check"
    assert len(server.requests) == 1


@both
@pytest.mark.parametrize("step", [reset, silence(0), silence(1.5), drip(ACCEPTED, 0.1)], ids=range(4))
def test_lost_response_leaves_the_outcome_unknown(connect, server, pauses, change, step):
    server.script = [step]
    with pytest.raises(OutcomeUnknownError, match="no complete response") as caught:
        change(connect(server.port, timeout=(0.5, 0.5)))
    assert caught.value.advice == "check"
    assert len(server.requests) == 1


@both
def test_unsent_change_is_retried(connect, pauses, change):
    with pytest.raises(UnreachableError) as caught:
        change(connect(free_port()))
    assert caught.value.advice == "retry"
    assert len(pauses) == MAX_ATTEMPTS - 1


@both
def test_change_uses_a_new_connection(client, server, change):
    def respond_once_then_reset(connection: socket.socket) -> None:
        connection.sendall(response(404))
        if connection.recv(65536):
            reset(connection)

    server.script = [respond_once_then_reset, ACCEPTED]
    with pytest.raises(BackupServiceError):
        client.get_service(ORDERS)
    assert change(client) == REQUEST_ID


# --- secrets ---------------------------------------------------------------------------------------------------------


def everything(error: BaseException) -> str:
    context = error.__context__
    return f"{error} {error!r} {error.__dict__} {context} {context and context.__dict__}"


def test_secrets_are_neither_printed_nor_pickled():
    assert not any(secret in repr(VALUES) for secret in SECRETS)
    assert "contoso-acs" in repr(VALUES)
    for carry in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            carry(VALUES)


@pytest.mark.parametrize("secret", VALUES.secrets())
@pytest.mark.parametrize("lead", ["Cannot use ", "Password=", "x" * 1990])
def test_echo_of_a_secret_is_redacted(client, server, caplog, secret, lead):
    caplog.set_level(logging.DEBUG)
    text = (lead + secret).replace("&", "&amp;").replace("<", "&lt;")
    server.script = [response(400, error(f"Bad{secret}" if lead == "Cannot use " else "BadRequest", text))]
    with pytest.raises(BadRequestError) as caught:
        restore(client)
    text = everything(caught.value) + caplog.text
    for part in (*SECRETS, secret[:8]):
        assert part not in text.replace("Cannot use ", "")


@pytest.mark.parametrize("step", [ACCEPTED, reset, response(302, Location="/x"), response(202)])
def test_secrets_are_not_logged(client, server, caplog, step):
    caplog.set_level(logging.DEBUG)
    server.script = [step]
    failure: BackupServiceError | None = None
    try:
        restore(client)
    except BackupServiceError as error:
        failure = error
    text = caplog.text + (everything(failure) if failure else "")
    assert "PUT" in text
    assert not any(secret in text for secret in SECRETS)


def test_secrets_of_restore_values():
    assert set(VALUES.secrets()) == {
        VALUES.tracking_store,
        "canary; sql''s",
        "canary; sql's",
        VALUES.archive_store,
        "canary-archive",
        VALUES.monitoring_store,
        "canary-monitoring",
        VALUES.acs_key,
        VALUES.certificate,
        VALUES.certificate_password,
    }
    assert RestoreValues().secrets() == ()
