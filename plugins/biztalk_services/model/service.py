"""A service, its state and its operations, whatever kind of service it is."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from biztalk_services.model.errors import InvalidAddressError

Result = Literal["InProgress", "Succeeded", "Failed"]

Verb = Literal["start", "stop", "restart", "suspend", "resume", "delete", "scale", "update", "backup", "restore"]
"""What can be requested of a service."""

_RESOURCE_NAME = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9._-]{1,64}")


class Phase(StrEnum):
    """What a state means to whoever waits."""

    RUNNING = "running"
    """The service processes messages."""
    QUIESCED = "quiesced"
    """The service is settled and processes no messages until a request changes that."""
    DISABLED = "disabled"
    """The service is settled, neither running nor quiesced."""
    FAILED = "failed"
    """An operation failed and left the service here; it stays so."""
    TRANSITIONAL = "transitional"
    """The service is between two states."""
    UNKNOWN = "unknown"
    """No document has this state; it is treated as transitional, never as reached."""


@dataclass(frozen=True, order=True)
class ServiceRef:
    """Where a service is inside its subscription.

    :param scope: what holds the service; its driver defines what that is.
    :raises InvalidAddressError: a part is not a resource name (letters, digits, dot, dash, underscore).
    """

    scope: str
    name: str

    def __post_init__(self) -> None:
        for part, text in (("scope", self.scope), ("name", self.name)):
            if not _RESOURCE_NAME.fullmatch(text):
                raise InvalidAddressError(
                    f"{text!r} is not the {part} of a service: it takes 1 to 64 letters, digits, dots, dashes and "
                    "underscores."
                )

    def __str__(self) -> str:
        return f"{self.scope}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> ServiceRef:
        """The reference behind ``scope/name``.

        :raises InvalidAddressError: the text does not have this form.
        """
        scope, slash, name = text.strip().partition("/")
        if not slash:
            raise InvalidAddressError(f"{text!r} is not the address of a service: write it as 'scope/name'.")
        return cls(scope.strip(), name.strip())


@dataclass(frozen=True)
class ServiceKey:
    """What the records know a service by. Another service may have its name, in another scope or subscription."""

    subscription_id: str
    ref: ServiceRef

    def __str__(self) -> str:
        return f"{self.ref} of subscription {self.subscription_id}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ServiceKey) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def digest(self) -> str:
        """6 hex digits that tell it, in a name, from other services of its name."""
        return hashlib.sha256(self._identity.encode()).hexdigest()[:6]

    @property
    def blob_name(self) -> str:
        """Its name, told from others of that name, for the path of a record."""
        return f"{self.ref.name.lower()}-{self.digest}"

    @property
    def _identity(self) -> str:
        """Ids and names are compared without case."""
        return f"{self.subscription_id}/{self.ref}".lower()


@dataclass(frozen=True)
class Operation:
    """The status of one asynchronous request; a failed one has code and message (without secrets), perhaps a status.

    :param operation_id: None inside a service, where the service does not give it, and of an adopted one.
    :param operation_type: ``Backup``, ``Restore``, ... where the service reports it.
    :param cursor: what the driver needs to go on with an operation that the client carries out itself, plain JSON;
        None for one that the service carries out.
    """

    operation_id: str | None
    result: Result = "InProgress"
    http_code: int | None = None
    code: str | None = None
    message: str | None = None
    operation_type: str | None = None
    cursor: dict[str, Any] | None = None

    @property
    def failure(self) -> str:
        """Code and message of the failure, without a full stop."""
        return " ".join(part for part in (self.code, self.message) if part).rstrip(".") or "no reason was reported"


@dataclass(frozen=True)
class Service:
    """A service at one moment. What it did not report is None.

    :param state: for people and for waits, in the driver's spelling; an unknown spelling as it came.
    :param under_way: the request that a transitional state belongs to, None where that is not known.
    :param allows: what may be requested in this state.
    :param has_backups: whether a service of this edition has backups; None when not known.
    :param edition: lower case.
    :param version: product version (``1.1.0``).
    :param etag: bare, as If-Match takes it.
    :param settings: the settings that hold no secret, by name; of a connection string only its harmless parts.
    :param last_operation: the operation that the service itself reports, None when it reports none.
    :param raw_state: the state as it came, for messages.
    """

    ref: ServiceRef
    state: str
    phase: Phase
    under_way: Verb | None = None
    allows: frozenset[Verb] = frozenset()
    has_backups: bool | None = None
    edition: str | None = None
    version: str | None = None
    region: str | None = None
    etag: str | None = None
    unit_count: int | None = None
    settings: dict[str, str] = field(default_factory=dict)
    last_operation: Operation | None = None
    raw_state: str = ""

    @property
    def is_transitional(self) -> bool:
        """Whether the service is between two states; an unknown state counts as one."""
        return self.phase in (Phase.TRANSITIONAL, Phase.UNKNOWN)

    def may_be_under(self, verb: Verb) -> bool:
        """Whether this request may be under way: the state says so, or no document has the state."""
        return self.under_way == verb or self.phase is Phase.UNKNOWN
