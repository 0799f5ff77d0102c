"""What every answer has in common, and what a fault changes in one."""

from __future__ import annotations

import re

from biztalk_emulator.faults import Fault
from biztalk_emulator.http_server import Delivery, Response
from biztalk_emulator.management import envelopes
from biztalk_emulator.management.errors import ManagementError

_RECORDED_SERVER = "1.0.6198.98 (rd_rdfe_stable.140626-1722) Microsoft-HTTPAPI/2.0"
_XML = "application/xml; charset=utf-8"

_HTML = b"""<!DOCTYPE html>
<html><head><title>Sign in</title></head><body><h1>Gateway</h1><p>Please sign in to continue.</p></body></html>
"""
_MALFORMED = b'<Operation xmlns="http://schemas.microsoft.com/windowsazure"><ID>0<Status>Succeeded</Operation>'
_BOMB = b"""<?xml version="1.0"?>
<!DOCTYPE Operation [
<!ENTITY a "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">
<!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;"><!ENTITY e "&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;">
<!ENTITY f "&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;"><!ENTITY g "&f;&f;&f;&f;&f;&f;&f;&f;&f;&f;">
]>
<Operation xmlns="http://schemas.microsoft.com/windowsazure"><ID>&g;</ID><Status>Succeeded</Status></Operation>
"""
_STATE = re.compile(rb"<SubState>[^<]*</SubState>")
_ENTRY = re.compile(rb"<Resource>.*?</Resource>", re.DOTALL)
_NAME = re.compile(rb"<Name>([^<]*)</Name>")
_REPLACED_BODIES = {"empty-body": b"", "malformed-xml": _MALFORMED, "html": _HTML, "entity-bomb": _BOMB}


def refusal(error: ManagementError) -> Response:
    """The answer to a refused request."""
    return Response(error.status, envelopes.error(error))


def add_headers(response: Response, request_id: str, *, passed_through: bool) -> None:
    """Add the recorded headers (REST reference, section 1.3)."""
    standard = {
        "Content-Type": _XML,
        "Cache-Control": "no-cache",
        "Server": _RECORDED_SERVER,
        "x-ms-servedbyregion": "ussouth2",
        "x-ms-request-id": request_id,
    }
    if passed_through:
        standard["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    response.headers = standard | response.headers


def fault_answer(fault: Fault) -> Response | None:
    """The answer of a fault that keeps the request from being handled; None when the request is handled."""
    if fault.effect == "reset-before":
        return Response(503, delivery=Delivery.RESET)
    if fault.effect == "redirect":
        return Response(fault.parameters["status"], headers={"Location": fault.parameters["location"]})
    if fault.effect == "status":
        parameters = fault.parameters
        response = refusal(ManagementError(parameters["status"], parameters["code"], parameters["message"]))
        if parameters["retry_after"] is not None:
            response.headers["Retry-After"] = str(round(parameters["retry_after"]))
        return response
    return None


def apply_fault(response: Response, fault: Fault) -> None:
    """Change the answer of a handled request as the fault requires."""
    if fault.effect in _REPLACED_BODIES:
        response.body = _REPLACED_BODIES[fault.effect]
    if fault.effect == "html":
        response.status = fault.parameters["status"]
        response.headers["Content-Type"] = "text/html; charset=utf-8"
    if fault.effect == "truncated":
        response.delivery = Delivery.TRUNCATED
    if fault.effect == "answered-twice":
        response.delivery = Delivery.TWICE
    if fault.effect == "unknown-state":
        shown = envelopes.state_element(fault.parameters["state"]).encode()
        response.body = _STATE.sub(lambda _: shown, response.body)
    if fault.effect == "odd-entry":
        response.body = _with_odd_entry(response.body, **fault.parameters)
    if fault.effect == "reset-after":
        response.delivery = Delivery.RESET
    if fault.effect == "slow":
        response.delay = fault.parameters["seconds"]


def _with_odd_entry(body: bytes, entry: str | None, what: str) -> bytes:
    """A list of services in which one entry is odd.

    :param entry: name of its service; None: the first one.
    """
    for found in _ENTRY.finditer(body):
        name = _NAME.search(found[0])
        if entry is None or (name and name[1].decode().lower() == entry.lower()):
            return body[: found.start()] + _odd(found[0], what) + body[found.end() :]
    return body


def _odd(resource: bytes, what: str) -> bytes:
    if what == "twice":
        return resource + resource
    if what == "twice-differing":
        return resource + _STATE.sub(b"<SubState>Stopped</SubState>", resource)
    changes = {
        "no-state": rb"<(Sub)?State>[^<]*</(Sub)?State>",
        "no-name": rb"<Name>[^<]*</Name>",
        "odd-name": rb"(?<=<Name>)[^<]*(?=</Name>)",
        "no-type": rb"<Type>biztalk</Type>",
        "other-type": rb"(?<=<Type>)biztalk(?=</Type>)",
        "no-edition": rb"<Edition>[^<]*</Edition>",
    }
    put = {"odd-name": "Bestellungen \u00fc/..".encode(), "other-type": b"biztalk2"}
    return re.sub(changes[what], put.get(what, b""), resource, count=2 if what == "no-state" else 1)
