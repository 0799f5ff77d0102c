"""One management request in progress: what it names, who may send it and which operation it requests."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import parse_qsl, unquote

from biztalk_emulator.http_server import Request
from biztalk_emulator.lifecycle import STRAIGHT, Twist, new_id
from biztalk_emulator.management.errors import (
    ManagementError,
    bad_request,
    invalid_query,
    invalid_verb,
    not_found,
    precondition_failed,
    version_header,
)
from biztalk_emulator.management.paths import Route, parse

ACTIONS = {
    "suspend": "suspend",
    "resume": "resume",
    "restart": "restart",
    "syncacskeys": "sync_keys",
    "backup": "backup",
}
"""``comp=`` of a POST and the operation it requests."""

_OLDEST_VERSION = {"strict": date(2012, 8, 1), "lenient": date(2010, 10, 28)}
_VERBS = {
    "cloud_services": {"GET": "list"},
    "cloud_service": {"GET": "get_cloud_service", "PUT": "create_cloud_service", "DELETE": "delete_cloud_service"},
    "service": {"GET": "get", "PUT": "update", "DELETE": "delete", "POST": "action"},
    "operation": {"GET": "poll"},
    "subscription": {"PUT": "register"},
}
_STATUS_QUERY = re.compile(r"&*operationstatus/?([^&]*).*", re.IGNORECASE)


@dataclass
class Call:
    """A request with what was found about it so far.

    :param kind: kind of request as in the journal and in faults.
    :param twist: what fault injection does to the operation that it begins.
    :param findings: what the storage accounts of a restore returned, once they were checked.
    :param began: it began an operation on a service.
    :param afterwards: to be run when everything it changed is safe.
    """

    request: Request
    request_id: str = field(default_factory=new_id)
    kind: str = "unknown"
    twist: Twist = STRAIGHT
    findings: Any = None
    began: bool = False
    afterwards: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.route: Route = parse(self.request.path)

    @property
    def query(self) -> dict[str, str]:
        """The query's ``name=value`` pairs, names in lower case."""
        return {name.lower(): value for name, value in parse_qsl(self.request.query, keep_blank_values=True)}

    def check_version(self, strictness: str) -> None:
        """Refuse a missing, malformed or too old x-ms-version.

        :raises ManagementError: 400 ``MissingOrIncorrectVersionHeader``.
        """
        text, oldest = self.request.headers.get("x-ms-version", ""), _OLDEST_VERSION[strictness]
        try:
            version = date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else None
        except ValueError:
            version = None
        if version is None or version < oldest:
            raise version_header(f"The header x-ms-version is required and must be {oldest} or later.")

    def identify(self, *, service_exists: bool, restores: bool) -> ManagementError | None:
        """Find the kind of the request; returns the refusal when it is no possible one.

        :param restores: its body has the tree of Restore.
        """
        route = self.route
        if route.kind == "unknown":
            return not_found("The requested path")
        kind = _VERBS[route.kind].get(self.request.method)
        if kind is None:
            return invalid_verb(self.request.method)
        if kind == "update" and restores:
            kind = "restore"
        if kind == "update" and not service_exists:
            kind = "create"
        if kind == "get" and self.status_query() is not None:
            kind = "poll"
        if kind == "action":
            kind = ACTIONS.get(self.query.get("comp", "").lower(), "")
            if not kind:
                return invalid_query(f"The query parameter comp is required and must be one of {', '.join(ACTIONS)}.")
        self.kind = kind
        return None

    def status_query(self) -> str | None:
        """The request id in ``?OperationStatus/{request-id}``, maybe empty; None for any other query."""
        match = _STATUS_QUERY.fullmatch(unquote(self.request.query))
        return match.group(1).strip("/") if match else None

    def safe_query(self) -> str:
        """The query as the journal may hold it: only documented parts."""
        if self.status_query() is not None:
            return "?OperationStatus/" + (operation_id(self.status_query() or "") or "...")
        known = {"comp": ACTIONS, "service": None, "action": ("register",)}
        parts = []
        for name, value in self.query.items():
            harmless = name in known and (known[name] is None or value.lower() in known[name])
            parts.append(f"{name}={value}" if harmless and len(value) < 80 else "...")
        return "?" + "&".join(parts) if parts else ""

    def check_match(self, etag: str, *, required: bool = False) -> None:
        """Compare If-Match, bare or quoted, with the ETag of the resource.

        :raises ManagementError: 412 when it differs, 400 when it is required and missing.
        """
        sent = self.request.headers.get("if-match", "").strip().strip('"')
        if not sent:
            if required:
                raise bad_request("The header If-Match is required to update an existing BizTalk service.")
        elif sent not in ("*", etag):
            raise precondition_failed()


def operation_id(text: str) -> str | None:
    """A request id, 32 hex digits or a dashed GUID, as 32 lower-case hex digits; None when it is neither."""
    try:
        return uuid.UUID(text).hex if re.fullmatch(r"[0-9a-fA-F-]{32,36}", text) else None
    except ValueError:
        return None
