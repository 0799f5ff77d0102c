"""The backup reference: the small record of a backup that travels in XCom and lies in the catalog. It holds no secret.

Sources of what it says is not in a backup: "BizTalk Services: Backup and Restore" and the hybrid connections pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal

from biztalk_services.model.drain import DrainStatus
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.redaction import looks_secret
from biztalk_services.model.run import Run

SCHEMA_VERSION = 1


class InvalidReferenceError(BackupServiceError):
    """A record is not a backup reference that this version understands; the message says why."""


@dataclass(frozen=True)
class NotIncluded:
    """Something that is never in a backup.

    :param what: its name.
    :param sentence: what that means for a restore.
    """

    what: str
    sentence: str


NOT_INCLUDED = (
    NotIncluded(
        "tracking database",
        "Only its connection string is in the backup; back up the database itself, it is not recoverable otherwise.",
    ),
    NotIncluded(
        "messages in batches", "Messages that wait in a batch are never in a backup and are lost when it is restored."
    ),
    NotIncluded("hybrid connections", "They are not in the backup of any edition; create them again after a restore."),
    NotIncluded(
        "control numbers used since",
        "EDI control numbers continue from the moment of the backup; numbers used since would be given out twice.",
    ),
    NotIncluded(
        "monitoring and archive data",
        "Of the archiving and monitoring storage accounts only the connection strings are in the backup.",
    ),
    NotIncluded("messages in flight", "Messages that were being processed at the moment of the backup are not in it."),
)


@dataclass(frozen=True)
class Drain:
    """What was known of the batches around the suspension.

    :param before: report before the suspension; None when nobody looked.
    :param after: report after the suspension; None when nobody looked.
    :param drained: whether it is certain that no batch held messages when the backup was taken.
    """

    before: DrainStatus | None = None
    after: DrainStatus | None = None
    drained: bool = False


@dataclass(frozen=True)
class Verification:
    """How the backup was checked after it was written.

    :param level: ``matched`` or ``read``, as in :mod:`biztalk_services.archive.verification`.
    :param checked_at: aware time.
    :param checked: one sentence on what was compared with what.
    """

    level: str
    checked_at: datetime
    checked: str


@dataclass(frozen=True, kw_only=True)
class BackupReference:
    """Everything that has to be known of a backup to list, judge and restore it.

    :param account: storage account.
    :param container: container; it bears the name of the backup.
    :param blobs: all blobs in it, by name.
    :param service: name of the service that was backed up.
    :param cloud_service: its cloud service.
    :param subscription_id: its subscription.
    :param edition: its edition; a restore takes the same or a higher one.
    :param product_version: its product version; a restore takes the same. None when the service did not say.
    :param region: its region, None when not known.
    :param etag: its ETag when the backup was asked for, None when not known.
    :param created_at: when this record was made, aware; so are the next two.
    :param started_at: when the backup was asked for.
    :param finished_at: when the service had finished it.
    :param run: the run that took it; None when it was not taken by a run.
    :param operation_id: the service's operation.
    :param label: what a person wanted to say about it, None for nothing.
    :param drain: what was known of the batches.
    :param items: how many of each kind are in it, None where not known.
    :param verification: how it was checked.
    :param not_included: what is not in it.
    :raises InvalidReferenceError: a time without zone, or a text that looks like a secret.
    """

    account: str
    container: str
    blobs: tuple[StoredBlob, ...]
    service: str
    cloud_service: str
    subscription_id: str
    edition: str
    product_version: str | None
    region: str | None
    etag: str | None
    created_at: datetime
    started_at: datetime
    finished_at: datetime
    run: Run | None
    operation_id: str | None
    label: str | None
    drain: Drain
    items: dict[str, int | None]
    verification: Verification
    not_included: tuple[NotIncluded, ...] = NOT_INCLUDED

    def __post_init__(self) -> None:
        for name in ("container", "service"):
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", getattr(self, name)):
                raise InvalidReferenceError(f"The {name} of a backup reference is not a name that storage can hold.")
        moments = {name: getattr(self, name) for name in ("created_at", "started_at", "finished_at")}
        for name, moment in (moments | {"verification.checked_at": self.verification.checked_at}).items():
            if moment.tzinfo is None:
                raise InvalidReferenceError(f"The time {name} of a backup reference has no time zone.")
        for name, value in self.to_dict().items():
            if any(looks_secret(text) for text in _texts(value)):
                raise InvalidReferenceError(f"{name} of a backup reference looks like it holds a secret. Leave it out.")

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(blob.size for blob in self.blobs)

    @property
    def place(self) -> str:
        """``account/container``."""
        return f"{self.account}/{self.container}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; times as ISO 8601."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {"schema_version": SCHEMA_VERSION} | values | {
            "blobs": [asdict(blob) for blob in self.blobs],
            "created_at": self.created_at.isoformat(),
            "started_at": self.started_at.isoformat(),
            "finished_at": self.finished_at.isoformat(),
            "run": self.run and asdict(self.run),
            "drain": {
                "before": self.drain.before and self.drain.before.to_dict(),
                "after": self.drain.after and self.drain.after.to_dict(),
                "drained": self.drain.drained,
            },
            "items": dict(self.items),
            "verification": asdict(self.verification) | {"checked_at": self.verification.checked_at.isoformat()},
            "not_included": [asdict(part) for part in self.not_included],
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BackupReference:
        """The reference behind ``to_dict``; fields that are not of this schema version are passed over.

        :raises InvalidReferenceError: of a newer version, incomplete, or not a reference at all.
        """
        version = values.get("schema_version") if isinstance(values, Mapping) else None
        if type(version) is not int or version < 1:
            raise InvalidReferenceError("This is not a backup reference: it has no schema_version.")
        if version > SCHEMA_VERSION:
            raise InvalidReferenceError(
                f"This backup reference has schema version {version}; this program understands up to {SCHEMA_VERSION}. "
                "Use the version that wrote it, or a newer one."
            )
        names = [item.name for item in fields(cls)]
        missing = [name for name in names if name not in values]
        if missing:
            raise InvalidReferenceError(f"This backup reference is incomplete: {', '.join(missing)} is missing.")
        try:
            return cls(**{name: _READERS.get(name, _unchanged)(values[name]) for name in names})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidReferenceError(
                f"This backup reference cannot be read: {error} is missing or of the wrong kind."
            ) from None


def _unchanged(value: Any) -> Any:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{value!r:.60}")
    return value


def _drain(value: Mapping[str, Any]) -> Drain:
    before, after = (value[name] and DrainStatus.from_dict(value[name]) for name in ("before", "after"))
    return Drain(before, after, bool(value["drained"]))


def _items(value: Mapping[str, Any]) -> dict[str, int | None]:
    return {str(kind): None if count is None else int(count) for kind, count in value.items()}


_READERS = {
    "blobs": lambda value: tuple(StoredBlob(blob["name"], int(blob["size"]), blob["sha256"]) for blob in value),
    "created_at": datetime.fromisoformat,
    "started_at": datetime.fromisoformat,
    "finished_at": datetime.fromisoformat,
    "run": lambda value: value and Run(value["dag_id"], value["run_id"]),
    "drain": _drain,
    "items": _items,
    "verification": lambda value: Verification(
        value["level"], datetime.fromisoformat(value["checked_at"]), value["checked"]
    ),
    "not_included": lambda value: tuple(NotIncluded(part["what"], part["sentence"]) for part in value),
}


def _texts(value: Any) -> Iterator[str]:
    """Every text in plain JSON values, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield name
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


_BACKUP_NAME = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)


_LONGEST_SERVICE_PART = 63 - len("-yyyyMMdd-HHmmss")


def backup_name(service_name: str, at: datetime) -> str:
    """The name of a backup: ``{service in lower case}-{yyyyMMdd}-{HHmmss}``, UTC, fit for a container.

    :param service_name: characters that a container's name cannot have become dashes; too long a name is cut.
    :param at: aware time.
    :raises ValueError: the time is naive.
    """
    if at.tzinfo is None:
        raise ValueError("The time in a backup's name needs a time zone; give an aware datetime.")
    part = re.sub(r"[^a-z0-9]+", "-", service_name.lower()).strip("-")[:_LONGEST_SERVICE_PART].rstrip("-") or "biztalk"
    return f"{part}-{at.astimezone(UTC):%Y%m%d-%H%M%S}"


def is_backup_name(name: str) -> bool:
    """Whether a backup may have this name: 3 to 63 lower-case letters, digits and single dashes between them."""
    return bool(_BACKUP_NAME.fullmatch(name))


Level = Literal["matched", "read"]
"""``matched``: every blob was read and is what the descriptor lists. ``read``: the same without a list to compare."""


@dataclass(frozen=True, order=True)
class StoredBlob:
    """A blob as it was read.

    :param name: inside its container.
    :param size: bytes.
    :param sha256: of the content, lower-case hex.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class VerifiedBackup:
    """A backup that was read back whole.

    :param container: where it is.
    :param blobs: all of them, the descriptor too, by name.
    :param items: how many of each kind are in it; None where the descriptor does not count.
    :param level: how far it was checked.
    :param descriptor: what the descriptor says of service, edition, version, region and creation, where it is readable.
    """

    container: str
    blobs: tuple[StoredBlob, ...]
    items: dict[str, int | None]
    level: Level
    descriptor: dict[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(blob.size for blob in self.blobs)
