"""Every fault has its documented effect, as often as ordered, and no more."""

from __future__ import annotations

import socket
import ssl
import time
from xml.etree import ElementTree

import pytest
import requests
from defusedxml import EntitiesForbidden
from defusedxml.ElementTree import fromstring

from tests.emulator.driver import eventually, refusal, text, tree

SERVICE = "contosoorders"


def test_status_with_retry_after(emulator):
    order = {"status": 503, "retry_after": 7, "code": "ServerBusy", "message": "Busy."}
    fault = emulator.fault("status", "suspend", count=2, **order)
    for _ in range(2):
        answer = emulator.act(SERVICE, "suspend")
        assert refusal(answer) == (503, "ServerBusy", "Busy.")
        assert answer.headers["Retry-After"] == "7"
        assert emulator.state(SERVICE) == "Active"
    assert emulator.act(SERVICE, "suspend").status_code == 202
    (shown,) = emulator.admin("GET", "/faults")["faults"]
    assert (shown["id"], shown["fired"], shown["remaining"]) == (fault["id"], 2, 0)
    applied = [e["fault"] for e in emulator.journal(kind="request") if e["fault"] and e["fault"]["id"] == fault["id"]]
    assert applied == [{"id": fault["id"], "kind": "status"}] * 2


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "SubscriptionDisabled"),
        (500, "InternalError"),
        (500, "OperationTimedOut"),
        (503, "ServerBusy"),
    ],
)
def test_documented_errors_that_nothing_else_raises(emulator, status, code):
    emulator.fault("status", "list", status=status, code=code, message="As ordered.")
    assert refusal(emulator.request("GET", "/cloudservices")) == (status, code, "As ordered.")


def test_reset_before_acceptance(emulator):
    emulator.fault("reset-before", "suspend", count=1)
    with pytest.raises(requests.ConnectionError):
        emulator.act(SERVICE, "suspend")
    assert emulator.state(SERVICE) == "Active"
    entry = emulator.journal(kind="request", service=SERVICE)[-2]
    assert (entry["operation"], entry["status"], entry["fault"]["kind"]) == ("suspend", None, "reset-before")


def test_reset_after_acceptance(emulator):
    emulator.fault("reset-after", "suspend", count=1)
    with pytest.raises(requests.ConnectionError):
        emulator.act(SERVICE, "suspend")
    emulator.reaches(SERVICE, "Suspended")


def test_empty_body(emulator):
    emulator.fault("empty-body", "get", count=1)
    answer = emulator.request("GET", emulator.path(SERVICE))
    assert (answer.status_code, answer.content) == (200, b"")


def test_malformed_xml(emulator):
    emulator.fault("malformed-xml", "poll", count=1)
    answer = emulator.request("GET", f"/operations/{'0' * 32}")
    with pytest.raises(ElementTree.ParseError):
        ElementTree.fromstring(answer.content)


def test_html_page(emulator):
    emulator.fault("html", "get", count=1, status=502)
    answer = emulator.request("GET", emulator.path(SERVICE))
    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    assert "<html>" in answer.text


def test_entity_bomb(emulator):
    emulator.fault("entity-bomb", "get", count=1)
    answer = emulator.request("GET", emulator.path(SERVICE))
    with pytest.raises(EntitiesForbidden):
        fromstring(answer.content)


@pytest.mark.parametrize("request_kind", ["get", "resume"])
def test_truncated(emulator, request_kind):
    emulator.force(SERVICE, "Suspended")
    emulator.fault("truncated", request_kind, count=1)
    method, query = ("GET", "") if request_kind == "get" else ("POST", "?comp=resume")
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        emulator.request(method, emulator.path(SERVICE) + query)
    emulator.reaches(SERVICE, "Suspended" if request_kind == "get" else "Active")


def test_redirect(emulator):
    emulator.fault("redirect", "suspend", count=1, status=302)
    answer = emulator.act(SERVICE, "suspend", allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (302, "https://login.example/")
    assert emulator.state(SERVICE) == "Active"


def test_answered_twice_and_carried_out_once(emulator):
    before = len(emulator.journal(kind="operation", service=SERVICE))
    emulator.fault("answered-twice", "suspend", count=1)
    certificate, key = emulator.session.cert
    context = ssl.create_default_context(cafile=emulator.session.verify)
    context.load_cert_chain(certificate, key)
    with (
        socket.create_connection(("127.0.0.1", emulator.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        path = f"{emulator.url.partition(str(emulator.port))[2]}{emulator.path(SERVICE)}?comp=suspend"
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nx-ms-version: 2013-04-26\r\nConnection: close\r\n\r\n"
        tls.sendall(head.encode())
        first, second = tls.makefile("rb").read().decode().split("HTTP/1.1 202 Accepted")[1:]
    assert first == second
    emulator.reaches(SERVICE, "Suspended")
    assert len(emulator.journal(kind="operation", service=SERVICE)) == before + 2


def test_unknown_state(emulator):
    emulator.fault("unknown-state", "get", count=1, state="A <new> one")
    assert emulator.state(SERVICE) == "A <new> one"
    emulator.fault("unknown-state", "list", count=1)
    shown = [node.text for node in tree(emulator.request("GET", "/cloudservices")).iter("SubState")]
    assert set(shown) == {"Hibernating"}
    assert emulator.state(SERVICE) == "Active"


def test_slow(emulator):
    emulator.fault("slow", "suspend", count=1, seconds=0.5)
    started = time.monotonic()
    assert emulator.act(SERVICE, "suspend").status_code == 202
    assert time.monotonic() - started > 0.5


def test_slow_beyond_the_timeout_of_the_client(emulator):
    emulator.fault("slow", "suspend", count=1, seconds=3)
    with pytest.raises(requests.Timeout):
        emulator.session.post(f"{emulator.url}{emulator.path(SERVICE)}?comp=suspend", timeout=0.3)
    emulator.reaches(SERVICE, "Suspended")


def test_stuck_until_released(emulator):
    emulator.fault("stuck", "suspend", count=1)
    answer = emulator.act(SERVICE, "suspend")
    identifier = answer.headers["x-ms-request-id"]
    time.sleep(0.4)
    assert emulator.state(SERVICE) == "Suspending"
    assert text(emulator.request("GET", f"/operations/{identifier}"), "Status") == "InProgress"
    assert emulator.admin("GET", f"/operations/{identifier}")["due_at"] is None
    emulator.admin("POST", f"/operations/{identifier}/release")
    assert emulator.operation(answer) == "Succeeded"


def test_forgotten_operation_has_its_effect(emulator):
    emulator.fault("operation-forgotten", "suspend", count=1)
    identifier = emulator.act(SERVICE, "suspend").headers["x-ms-request-id"]
    assert refusal(emulator.request("GET", f"/operations/{identifier}"))[:2] == (404, "ResourceNotFound")
    poll = emulator.request("GET", f"{emulator.path(SERVICE)}?OperationStatus/{identifier}")
    assert refusal(poll)[:2] == (404, "ResourceNotFound")
    emulator.reaches(SERVICE, "Suspended")


def test_fault_on_an_operation_is_kept_for_one_that_begins(emulator):
    emulator.fault("operation-fails", "resume", count=1)
    assert refusal(emulator.act(SERVICE, "resume"))[0] == 409
    assert emulator.admin("GET", "/faults")["faults"][0]["remaining"] == 1
    emulator.force(SERVICE, "Suspended")
    emulator.act(SERVICE, "resume")
    emulator.reaches(SERVICE, "ResumeFailed")


def test_a_portal_action_meets_faults_on_operations_only(emulator):
    emulator.fault("status", "any")
    fault = emulator.fault("stuck", "stop", count=1)
    assert emulator.raw_admin("POST", f"/services/{SERVICE}/actions", {"action": "start"}).status_code == 409
    action = {"action": "stop"}
    operation = emulator.admin("POST", f"/services/{SERVICE}/actions", action)
    assert emulator.admin("GET", f"/operations/{operation['id']}")["due_at"] is None
    assert [each["remaining"] for each in emulator.admin("GET", "/faults")["faults"]] == [None, 0]
    assert emulator.journal(kind="admin", service=SERVICE)[-1]["fault"] == {"id": fault["id"], "kind": "stuck"}


@pytest.mark.parametrize("kind", ["stuck", "operation-fails", "operation-forgotten"])
def test_fault_on_an_operation_is_kept_when_a_suspend_finds_nothing_to_do(emulator, kind):
    emulator.force(SERVICE, "Suspended")
    emulator.fault(kind, "suspend", count=1)
    answer = emulator.act(SERVICE, "suspend")
    assert emulator.operation(answer) == "Succeeded"
    (fault,) = emulator.admin("GET", "/faults")["faults"]
    assert (fault["remaining"], fault["fired"]) == (1, 0)


def test_any_request_of_one_service_until_cleared(emulator):
    fault = emulator.fault("status", service=SERVICE.upper())
    for _ in range(3):
        assert emulator.request("GET", emulator.path(SERVICE)).status_code == 503
    assert emulator.request("GET", emulator.path("contosonordic")).status_code == 200
    assert emulator.request("GET", "/cloudservices").status_code == 200
    assert emulator.admin("DELETE", f"/faults/{fault['id']}") == {"cleared": 1}
    assert emulator.request("GET", emulator.path(SERVICE)).status_code == 200


def test_oldest_order_first(emulator):
    emulator.fault("status", "get", count=1, status=500)
    emulator.fault("status", "get", count=1, status=503)
    statuses = [emulator.request("GET", emulator.path(SERVICE)).status_code for _ in range(3)]
    assert statuses == [500, 503, 200]


def test_no_fault_for_a_stranger(emulator):
    emulator.fault("status", "any", count=1)
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"{emulator.url}/cloudservices", verify=emulator.session.verify, timeout=10)
    assert answer.status_code == 403
    assert emulator.admin("GET", "/faults")["faults"][0]["fired"] == 0


def test_a_backup_stuck_and_then_released(emulator, storage):
    emulator.force(SERVICE, "Suspended")
    emulator.fault("stuck", "backup", count=1)
    answer = emulator.back_up(SERVICE, f"stuck-{time.time_ns()}", storage)
    identifier = answer.headers["x-ms-request-id"]
    eventually(lambda: any(e["operation_id"] == identifier for e in emulator.journal(kind="blob")))
    assert emulator.state(SERVICE) == "BackingUp"
    emulator.admin("POST", f"/operations/{identifier}/release")
    assert emulator.operation(answer) == "Succeeded"


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"kind": "unheard-of"},
        {"kind": "status", "operation": "explode"},
        {"kind": "stuck", "operation": "get"},
        {"kind": "status", "operation": "stop"},
        {"kind": "status", "count": 0},
        {"kind": "status", "status": 99},
        {"kind": "slow", "seconds": -1},
        {"kind": "slow", "status": 500},
        {"kind": "status", "service": 5},
        {"kind": "status", "message": None},
        {"kind": "redirect", "location": "https://x/\r\nSet-Cookie: y"},
        {"kind": "unknown-state", "state": 1},
    ],
)
def test_orders_that_are_refused(emulator, order):
    answer = emulator.raw_admin("POST", "/faults", order)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(".")
    assert emulator.admin("GET", "/faults")["faults"] == []
