"""The backup reference: the small record of a backup in XCom and in the catalog. It holds no secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from biztalk_services.model.drain import DrainStatus
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.plain import from_plain, texts_in, to_plain
from biztalk_services.model.redaction import looks_secret
from biztalk_services.model.run import Run
from biztalk_services.model.service import ServiceKey, ServiceRef

SCHEMA_VERSION = 2

BackupKind = Literal["nightly", "manual", "safety", "drill"]
"""Why a backup was taken: by the schedule, by a person, before a restore deletes the service, for a restore drill."""

Level = Literal["matched", "read"]
"""``matched``: every blob was read and is what the descriptor lists. ``read``: the same without a list to compare."""

_BACKUP_NAME = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_MOMENT = re.compile(r"-(\d{8}-\d{6})(?:-([0-9a-f]{6}))?\Z", re.ASCII)
_LONGEST_SERVICE_PART = 63 - len("-yyyyMMdd-HHmmss-digest")


class InvalidReferenceError(BackupServiceError):
    """A record is not a backup reference that this version understands; the message says why."""


def backup_name(service: ServiceKey, at: datetime) -> str:
    """The name of a backup: ``{service in lower case}-{yyyyMMdd}-{HHmmss}-{digest of the service}``, UTC, fit for a
    container: characters that its name cannot have become dashes, and too long a name is cut.

    :raises ValueError: the time is naive.
    """
    if at.tzinfo is None:
        raise ValueError("The time in a backup's name needs a time zone; give an aware datetime.")
    part = re.sub(r"[^a-z0-9]+", "-", service.ref.name.lower()).strip("-")[:_LONGEST_SERVICE_PART].rstrip("-")
    return f"{part or 'service'}-{at.astimezone(UTC):%Y%m%d-%H%M%S}-{service.digest}"


def is_backup_name(name: str) -> bool:
    """Whether a backup may have this name: 3 to 63 lower-case letters, digits and single dashes between them."""
    return bool(_BACKUP_NAME.fullmatch(name))


def moment_in_name(name: str) -> tuple[str, str | None] | None:
    """The moment in the name of a backup (``yyyyMMdd-HHmmss``, UTC), and the digest of its service, None in a name of
    an earlier version; None for a name that :func:`backup_name` did not make."""
    found = _MOMENT.search(name)
    return (found[1], found[2]) if found else None


@dataclass(frozen=True, order=True)
class StoredBlob:
    """A blob as it was read: its name inside the container, bytes, and the hash of the content in lower-case hex."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class BackupContent:
    """What was read back of a whole backup; fields as in :class:`BackupReference`."""

    blobs: tuple[StoredBlob, ...]
    items: dict[str, int | None]
    level: Level

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(blob.size for blob in self.blobs)


@dataclass(frozen=True)
class NotIncluded:
    """Something that is never in a backup; the sentence is on what that means for a restore."""

    what: str
    sentence: str


@dataclass(frozen=True)
class Drain:
    """What was known of the batches before and after the suspension; None when it was not checked.

    :param drained: whether it is certain that no batch held messages when the backup was taken.
    """

    before: DrainStatus | None = None
    after: DrainStatus | None = None
    drained: bool = False


@dataclass(frozen=True)
class Verification:
    """How the backup was checked after it was written.

    :param level: one of ``Level``.
    :param checked: one sentence on what was compared with what.
    """

    level: str
    checked_at: datetime
    checked: str


@dataclass(frozen=True, kw_only=True)
class BackupReference:
    """Everything that has to be known of a backup to list, judge and restore it. All times are aware; what is not known
    is None.

    :param container: it has the name of the backup.
    :param blobs: all blobs in it, by name.
    :param service_kind: kind of the service that was backed up, as its driver is called.
    :param etag: of the service when the backup was requested.
    :param created_at: when this record was made; ``started_at``, ``finished_at``: request and end of the backup.
    :param run: None when it was not taken by a run.
    :param label: a person's remark, None for none.
    :param items: how many of each kind are in it; None where the backup does not count.
    :param expires_at: when retention may delete it; None: not decided.
    :param hold: why it must not be deleted whatever its age; None: no hold.
    :raises InvalidReferenceError: a time without zone, a name that storage cannot hold, or what looks like a secret.
    """

    account: str
    container: str
    blobs: tuple[StoredBlob, ...]
    service_kind: str
    service: str
    scope: str
    subscription_id: str
    edition: str
    product_version: str | None
    region: str | None
    etag: str | None
    created_at: datetime
    started_at: datetime
    finished_at: datetime
    kind: BackupKind
    run: Run | None
    operation_id: str | None
    label: str | None
    drain: Drain
    items: dict[str, int | None]
    verification: Verification
    not_included: tuple[NotIncluded, ...] = ()
    expires_at: datetime | None = None
    hold: str | None = None

    def __post_init__(self) -> None:
        for name in ("container", "service"):
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", getattr(self, name)):
                raise InvalidReferenceError(f"The {name} of a backup reference is not a name that storage can hold.")
        moments = {name: getattr(self, name) for name in ("created_at", "started_at", "finished_at", "expires_at")}
        for name, moment in (moments | {"verification.checked_at": self.verification.checked_at}).items():
            if moment is not None and moment.tzinfo is None:
                raise InvalidReferenceError(f"The time {name} of a backup reference has no time zone.")
        for name, value in self.to_dict().items():
            if any(looks_secret(text) for text in texts_in(value)):
                raise InvalidReferenceError(f"{name} of a backup reference looks like a secret. Leave it out.")

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(blob.size for blob in self.blobs)

    @property
    def place(self) -> str:
        """``account/container``."""
        return f"{self.account}/{self.container}"

    @property
    def key(self) -> ServiceKey:
        """What the service that was backed up is known by."""
        return ServiceKey(self.subscription_id, ServiceRef(self.scope, self.service))

    @property
    def item_count(self) -> int | None:
        """How many items are in it, None when they were not counted."""
        counts = [count for count in self.items.values() if count is not None]
        return sum(counts) if counts else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; times as ISO 8601."""
        return {"schema_version": SCHEMA_VERSION, **to_plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BackupReference:
        """The reference behind ``to_dict``, also one of an earlier schema version; unknown fields are ignored.

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
        try:
            return from_plain(cls, _with_airflow(_upgraded(values) if version == 1 else values))
        except (ValueError, RecursionError) as error:
            raise InvalidReferenceError(f"This backup reference cannot be read: {error}.") from None


def _with_airflow(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record with the Airflow of its run; the first versions did not store which that was."""
    run = values.get("run")
    return {**values, "run": {"airflow": "", **run}} if isinstance(run, Mapping) else values


def _upgraded(values: Mapping[str, Any]) -> dict[str, Any]:
    """A record of schema version 1, which knew one kind of service and no kind of backup."""
    run = values.get("run") or {}
    by_restore = isinstance(run, Mapping) and run.get("dag_id") == "biztalk_restore"
    scheduled = isinstance(run, Mapping) and str(run.get("run_id")).startswith("scheduled__")
    kind: BackupKind = "safety" if by_restore else "nightly" if scheduled else "manual"
    new = {"service_kind": "biztalk", "kind": kind, "expires_at": None, "hold": None}
    return {("scope" if name == "cloud_service" else name): value for name, value in values.items()} | new
