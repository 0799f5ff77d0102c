"""A backup as a list shows it, and which backups a list is to show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from biztalk_services.model.backup import BackupReference


class ListedBackup(NamedTuple):
    """What a list shows of a backup. Everything in it stands in its reference, too.

    :param finished_at: ISO 8601 in UTC, so that texts are in the order of the moments.
    :param items: how many are in it; None when they were not counted.
    :param verified: level of the verification.
    :param drained: whether it is certain that no batch held messages.
    :param reason: why the backup is in quarantine; None: it is not.
    """

    finished_at: str
    backup: str
    account: str
    service: str
    scope: str
    subscription_id: str
    kind: str
    edition: str
    product_version: str | None
    items: int | None
    bytes: int
    verified: str
    drained: bool
    label: str | None
    reason: str | None

    @classmethod
    def of(cls, reference: BackupReference, reason: str | None = None) -> ListedBackup:
        """What a list shows of this reference."""
        return cls(
            finished_at=iso_in_utc(reference.finished_at),
            backup=reference.container,
            account=reference.account,
            service=reference.service,
            scope=reference.scope,
            subscription_id=reference.subscription_id,
            kind=reference.kind,
            edition=reference.edition,
            product_version=reference.product_version,
            items=reference.item_count,
            bytes=reference.size,
            verified=reference.verification.level,
            drained=reference.drain.drained,
            label=reference.label,
            reason=reason,
        )

    def summary(self) -> dict[str, Any]:
        """Plain JSON values; ``service`` is its address. Only a backup in quarantine has a ``reason``."""
        values = {
            "backup": self.backup,
            "account": self.account,
            "service": f"{self.scope}/{self.service}",
            "subscription_id": self.subscription_id,
            "kind": self.kind,
            "edition": self.edition,
            "product_version": self.product_version,
            "finished_at": self.finished_at,
            "items": self.items,
            "bytes": self.bytes,
            "verified": self.verified,
            "drained": bool(self.drained),
            "label": self.label,
        }
        return values if self.reason is None else values | {"reason": self.reason}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which backups a list is to show; None: whatever it is. Case does not matter.

    :param service: name of the service.
    :param since: finished at this moment or later; ``until``: before this one. Both aware.
    :param version: product version of the service at the backup.
    :param verified: level of the verification.
    :param newest: only the newest of each service of those that are wanted.
    """

    service: str | None = None
    scope: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    edition: str | None = None
    version: str | None = None
    kind: str | None = None
    verified: str | None = None
    newest: bool = False

    @property
    def texts(self) -> Mapping[str, str]:
        """Field of :class:`ListedBackup` -> what it is to be."""
        wanted = {
            "service": self.service,
            "scope": self.scope,
            "edition": self.edition,
            "product_version": self.version,
            "kind": self.kind,
            "verified": self.verified,
        }
        return {name: text for name, text in wanted.items() if text}


def iso_in_utc(moment: datetime) -> str:
    """An aware time as :class:`ListedBackup` has it."""
    return moment.astimezone(UTC).isoformat()
