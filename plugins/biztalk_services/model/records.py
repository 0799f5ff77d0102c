"""Records that the archive keeps: which run works on a service, which suspended it, what was alerted of its backups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from biztalk_services.model.plain import Plain, parsed
from biztalk_services.model.run import Run
from biztalk_services.model.service import ServiceKey, ServiceRef


@dataclass(frozen=True)
class Lock(Plain):
    """The right of one run to change a service.

    :param service: its address, ``scope/name``.
    :param purpose: what for (``backup``, ``restore``).
    :param until: when it expires, aware.
    """

    service: str
    subscription_id: str
    run: Run
    purpose: str
    until: datetime

    @property
    def key(self) -> ServiceKey:
        return ServiceKey(self.subscription_id, ServiceRef.parse(self.service))

    @property
    def is_expired(self) -> bool:
        return self.until <= datetime.now(UTC)

    def __str__(self) -> str:
        return f"{self.run} ({self.purpose}) until {self.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"

    @classmethod
    def from_bytes(cls, content: bytes) -> Lock:
        """The lock in a JSON record.

        :raises ValueError: the record is not a lock.
        """
        lock = cls.from_dict(parsed(content))
        if lock.until.tzinfo is None:
            raise ValueError("This is not a lock: its end has no time zone.")
        return lock


@dataclass(frozen=True)
class SuspensionRecord(Plain):
    """Which run suspended a service, and until when the service has to be resumed. Both times are aware.

    :param service: its address, ``scope/name``.
    :param reason: what for (``backup``).
    """

    service: str
    subscription_id: str
    run: Run
    reason: str
    opened_at: datetime
    resume_by: datetime

    @property
    def name(self) -> str:
        """Its path inside each folder: service, moment and run."""
        mark = self.run.digest(self.subscription_id)
        return f"{self.service.lower()}/{self.opened_at.astimezone(UTC):%Y%m%d-%H%M%S-%f}-{mark}"

    @property
    def key(self) -> ServiceKey:
        return ServiceKey(self.subscription_id, ServiceRef.parse(self.service))

    def is_of(self, subscription_id: str) -> bool:
        """Whether its service is of this subscription; ids are compared without case."""
        return self.subscription_id.lower() == subscription_id.lower()

    def is_superseded(self, others: Iterable[SuspensionRecord]) -> bool:
        """Whether one of the others is a later record on the same service."""
        return any(each.key == self.key and each.opened_at > self.opened_at for each in others)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; times as ISO 8601. There ``resume_by`` is called ``back_by``."""
        values = super().to_dict()
        return values | {"back_by": values.pop("resume_by")}

    @classmethod
    def from_dict(cls, values: Any) -> SuspensionRecord:
        """The record behind ``to_dict``.

        :raises ValueError: the values are not such a record.
        """
        try:
            opened_at, resume_by = (datetime.fromisoformat(values[name]) for name in ("opened_at", "back_by"))
            if not (opened_at.tzinfo and resume_by.tzinfo):
                raise ValueError("a time has no time zone")
            service, subscription_id = (str(values[name]) for name in ("service", "subscription_id"))
            ServiceRef.parse(service)
            return cls(service, subscription_id, Run(**values["run"]), str(values["reason"]), opened_at, resume_by)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{error} is missing or of the wrong kind") from None


@dataclass(frozen=True)
class FirstSeen(Plain):
    """When the watch first saw a service that has no backup; aware.

    :param service: its address, ``scope/name``.
    """

    service: str
    subscription_id: str
    first_seen_at: datetime


@dataclass(frozen=True)
class AgeAlert(Plain):
    """An alert that was sent.

    :param findings: what was wrong, each by a name that stays the same while it is; empty: nothing any more.
    :param sentence: what people were told.
    """

    sent_at: datetime
    findings: tuple[str, ...]
    sentence: str
