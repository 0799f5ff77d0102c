"""Faults on order: what goes wrong, for which requests and how often."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from biztalk_emulator.lifecycle import Twist
from biztalk_emulator.operations import PORTAL_ACTIONS
from biztalk_emulator.store import Store

REQUESTS = (
    "list", "get_cloud_service", "create_cloud_service", "delete_cloud_service", "register",
    "create", "update", "delete", "get", "suspend", "resume", "restart", "sync_keys", "backup", "restore", "poll",
    "token", "partner_management", "merge_protocol_settings",
)  # fmt: skip
"""Kinds of requests, as in the journal. ``poll`` is both forms of operation status; the last three: data port."""

STARTING = ("create", "update", "delete", "suspend", "resume", "restart", "sync_keys", "backup", "restore")
"""Requests that begin an operation on a service."""

PORTAL_ONLY = tuple(action for action in PORTAL_ACTIONS if action not in REQUESTS)
"""Operations on a service that only the portal could begin: the management API has no request for them."""

_ANY_REQUEST = {
    "status": {"status": 503, "retry_after": None, "code": "ServerBusy", "message": "The server is busy. Try again."},
    "redirect": {"status": 307, "location": "https://login.example/"},
    "reset-before": {},
    "reset-after": {},
    "empty-body": {},
    "malformed-xml": {},
    "html": {"status": 200},
    "entity-bomb": {},
    "truncated": {},
    "answered-twice": {},
    "unknown-state": {"state": "Hibernating"},
    "odd-entry": {"entry": None, "what": "no-state"},
    "slow": {"seconds": 5.0},
}
_STARTING_REQUEST = {
    "stuck": {},
    "operation-fails": {
        "http_code": 409,
        "code": "ConflictError",
        "message": "The operation failed.",
        "extended_code": "InjectedFault",
    },
    "operation-forgotten": {},
}
EFFECTS: dict[str, dict[str, Any]] = _ANY_REQUEST | _STARTING_REQUEST
"""Each effect with its parameters and their defaults."""


ODD = ("no-state", "no-name", "odd-name", "no-type", "other-type", "no-edition", "twice", "twice-differing")
"""What can be odd about one entry of a list of services."""

MOST = 1_000_000
"""How often one order can act, if not for good."""


class FaultError(ValueError):
    """An order was refused; the message has the reason and what is possible."""


@dataclass(frozen=True)
class Fault:
    """One fault that applies to one request.

    :param effect: a name in `EFFECTS`.
    :param parameters: those of the effect, complete.
    """

    id: int
    effect: str
    parameters: dict[str, Any]

    @property
    def changes_operation(self) -> bool:
        """Whether it acts on the operation that a request begins, not on the answer."""
        return self.effect in _STARTING_REQUEST

    @property
    def twist(self) -> Twist:
        """What it does to an operation."""
        return Twist(
            stuck=self.effect == "stuck",
            forgotten=self.effect == "operation-forgotten",
            error=self.parameters if self.effect == "operation-fails" else None,
        )


class Faults:
    """The faults that are ordered, kept in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def order(self, order: Any) -> dict[str, Any]:
        """Store an order: ``operation``, ``service`` (optional), ``count`` (optional), ``kind`` and its parameters.

        :raises FaultError: when it cannot be understood.
        """
        if not isinstance(order, dict):
            raise FaultError("A fault is an object with at least the name kind.")
        order = dict(order)
        effect = order.pop("kind", None)
        if not isinstance(effect, str) or effect not in EFFECTS:
            raise FaultError(f"The kind of a fault is one of {', '.join(EFFECTS)}.")
        operation = order.pop("operation", "any")
        possible = (*STARTING, *PORTAL_ONLY) if effect in _STARTING_REQUEST else REQUESTS
        if operation != "any" and operation not in possible:
            raise FaultError(f"{effect} applies to any or one of {', '.join(possible)}.")
        service, count = order.pop("service", None), order.pop("count", None)
        if service is not None and not isinstance(service, str):
            raise FaultError("service is the name of a service, or null for every service.")
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST):
            raise FaultError(f"count is a whole number from 1 to {MOST}, or null until the fault is cleared.")
        parameters = {**EFFECTS[effect], **order}
        if unknown := set(order) - set(EFFECTS[effect]):
            raise FaultError(f"{effect} has no parameter {', '.join(sorted(unknown))}.")
        _check(parameters)
        stored = json.dumps({"kind": effect, "parameters": parameters})
        row = self._store.execute(
            "INSERT INTO faults (operation, service, remaining, fired, effect) VALUES (?, ?, ?, 0, ?)",
            (operation, service, count, stored),
        )
        return next(fault for fault in self.active() if fault["id"] == row.lastrowid)

    def active(self) -> list[dict[str, Any]]:
        """All orders with how often each fired; one with ``remaining`` 0 has no effect any more."""
        return [
            {name: row[name] for name in ("id", "operation", "service", "remaining", "fired")}
            | {"kind": (effect := json.loads(row["effect"]))["kind"]}
            | effect["parameters"]
            for row in self._store.rows("SELECT * FROM faults ORDER BY id")
        ]

    def clear(self, fault_id: int | None = None) -> int:
        """Remove one order or all; returns how many."""
        return self._store.execute("DELETE FROM faults WHERE ? IS NULL OR id = ?", (fault_id, fault_id)).rowcount

    def find(self, request: str, service: str | None) -> Fault | None:
        """Return the oldest order that applies to a request; `fire` counts its use."""
        return self._oldest(request, service, set(EFFECTS if request in STARTING else _ANY_REQUEST))

    def find_for_action(self, action: str, service: str) -> Fault | None:
        """Return the oldest order that applies to the operation that a portal action begins; `fire` as above."""
        return self._oldest(action, service, set(_STARTING_REQUEST))

    def _oldest(self, request: str, service: str | None, effects: set[str]) -> Fault | None:
        rows = self._store.rows(
            "SELECT * FROM faults WHERE operation IN (?, 'any') AND (service IS NULL OR lower(service) = lower(?)) "
            "AND (remaining IS NULL OR remaining > 0) ORDER BY id",
            (request, service),
        )
        for row in rows:
            effect = json.loads(row["effect"])
            if effect["kind"] in effects:
                return Fault(row["id"], effect["kind"], effect["parameters"])
        return None

    def fire(self, fault: Fault) -> None:
        """Count one use."""
        self._store.execute("UPDATE faults SET fired = fired + 1, remaining = remaining - 1 WHERE id = ?", (fault.id,))


def _check(parameters: dict[str, Any]) -> None:
    for name, value in parameters.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if name in ("status", "http_code") and not (isinstance(value, int) and number and 200 <= value <= 599):
            raise FaultError(f"{name} is an HTTP status between 200 and 599.")
        if name == "seconds" and not (number and 0 <= value <= 3600):
            raise FaultError("seconds is a number between 0 and 3600.")
        if name == "retry_after" and value is not None and not (number and value >= 0):
            raise FaultError("retry_after is a number of seconds, or null.")
        if name == "location" and not (isinstance(value, str) and value.isascii() and value.isprintable()):
            raise FaultError("location is text of printable ASCII characters.")
        if name == "what" and value not in ODD:
            raise FaultError(f"what is one of {', '.join(ODD)}.")
        if name == "entry" and not isinstance(value, str | None):
            raise FaultError("entry is the name of a service, or null for the first one of the answer.")
        if name in ("code", "message", "extended_code", "state") and not isinstance(value, str):
            raise FaultError(f"{name} is text.")
