"""An archive of sent interchanges: blobs of EDI text in a storage account of the customer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import nlargest
from typing import TYPE_CHECKING, Any

from biztalk_services.archive.errors import StorageError
from biztalk_services.archive.storage import StorageAccount, storage_errors
from biztalk_services.drivers.biztalk.interchanges.envelopes import Unreadable, interchanges_in
from biztalk_services.drivers.biztalk.interchanges.owners import Owners
from biztalk_services.drivers.biztalk.interchanges.report import BlobRead, Findings
from biztalk_services.model.control_numbers import UseReport
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.inventory import PARTNER_MANAGEMENT, Inventory
from biztalk_services.model.redaction import redact

if TYPE_CHECKING:
    from azure.storage.blob import BlobProperties

_PIECE = 4 * 2**20
_READERS = 4
_PAGE = 5000
"""Blobs that an account lists at a time."""
_ANY_ZONE = timedelta(days=1)
"""How much earlier than its time in UTC an envelope may be dated: it has the local time of its sender."""


@dataclass(frozen=True)
class Limits:
    """How much of an archive is read.

    :param blobs: the newest ones.
    :param seconds: after which nothing more is read.
    """

    blobs: int = 50_000
    seconds: float = 300.0


class InterchangeArchive:
    """A container that holds sent interchanges.

    :param prefix: of its blobs; empty: all are read.
    :param origin: what leads to it, for the report.
    """

    def __init__(
        self, account: StorageAccount, container: str, prefix: str = "", *, origin: str, limits: Limits | None = None
    ) -> None:
        self._account = account.name
        self._container = account.client.get_container_client(container)
        self._prefix = prefix
        self._place = f"{container}/{prefix}" if prefix else container
        self._origin = origin
        self._limits = limits or Limits()

    def uses_since(self, inventory: Inventory, since: datetime) -> UseReport:
        """The control numbers in the interchanges of the blobs that were modified since a moment.

        Of two interchanges the later one is that whose blob was modified later, or that is behind in its blob. What is
        before the last number of the backup, or is dated before that day, was sent before it and does not count.

        :param inventory: of the service at the backup; its agreements tell whose an interchange is.
        :param since: aware.
        """
        checked_at, until = datetime.now(UTC), time.monotonic() + self._limits.seconds
        source = f"archive of sent interchanges {self._place} of {self._origin}"
        if reason := inventory.parts.get(PARTNER_MANAGEMENT):
            problem = redact(f"Whose interchanges these are is unknown, for the agreements were not read: {reason}")
            return UseReport(source=source, problem=problem, since=since, checked_at=checked_at)
        try:
            blobs, listed, recent = self._blobs(since, until)
        except BackupServiceError as error:
            return UseReport(source=source, problem=str(error), since=since, checked_at=checked_at)
        findings, owners, unread = Findings(), Owners(inventory), []
        with ThreadPoolExecutor(_READERS) as readers:
            for read in readers.map(lambda blob: self._read(blob, owners, since, until), blobs):
                findings.add(read)
        if not listed:
            unread.append("there is no blob at all; correct container and prefix of the connection")
        if recent > len(blobs):
            unread.append(f"of {recent} blobs only the newest {len(blobs)} were read; give a narrower prefix")
        return UseReport(
            uses=findings.uses(),
            source=f"{source}: {findings.summary()}",
            problem=findings.problem(unread),
            since=since,
            checked_at=checked_at,
        )

    def _blobs(self, since: datetime, until: float) -> tuple[list[BlobProperties], int, int]:
        """The newest blobs that were modified since a moment; how many blobs there are, and how many since then.

        :raises StorageError: the account was not reached or refused, or the time was up before the list ended.
        """
        first = since.astimezone(UTC).replace(microsecond=0)  # an account tells whole seconds
        listed = recent = 0

        def modified_since() -> Iterator[BlobProperties]:
            nonlocal listed, recent
            for blob in self._container.list_blobs(name_starts_with=self._prefix or None, include=["metadata"]):
                if not blob.size and (blob.metadata or {}).get("hdi_isfolder", "").lower() == "true":
                    continue
                listed += 1
                if listed % _PAGE == 0 and time.monotonic() > until:
                    raise StorageError(
                        f"The list of the blobs in {self._place} was not read to its end within "
                        f"{self._limits.seconds:g} seconds; give a narrower prefix."
                    )
                if blob.last_modified >= first:
                    recent += 1
                    yield blob

        with storage_errors(f"list {self._place} in storage account {self._account}"):
            newest = nlargest(self._limits.blobs, modified_since(), key=lambda blob: (blob.last_modified, blob.name))
        return newest, listed, recent

    def _read(self, blob: BlobProperties, owners: Owners, since: datetime, until: float) -> BlobRead:
        read = BlobRead(blob.name, blob.last_modified)
        if blob.blob_tier == "Archive":
            read.problem = "is in the archive tier, where it cannot be read; set its tier to Hot or Cool"
            return read
        earliest = (since.astimezone(UTC) - _ANY_ZONE).date()
        try:
            for found in interchanges_in(self._pieces(blob, read, until)):
                if damage := found.reason if isinstance(found, Unreadable) else found.damage:
                    read.problem = read.problem or f"is damaged: the interchange at byte {found.place} {damage}"
                if isinstance(found, Unreadable):
                    continue
                if found.dated and found.dated < earliest:
                    read.earlier += 1
                else:
                    owners.count(found, read.counted)
        except TimeoutError:
            read.problem = f"was not read to its end within {self._limits.seconds:g} seconds; give a narrower prefix"
        except BackupServiceError as error:
            read.problem = f"cannot be read. {str(error).rstrip('.')}"
        return read

    def _pieces(self, blob: BlobProperties, read: BlobRead, until: float) -> Iterator[bytes]:
        """The bytes that a blob had when it was listed, all of one state of it.

        :raises TimeoutError: the time is up.
        :raises StorageError: the account was not reached or refused, or the blob was changed.
        """
        from azure.core import MatchConditions

        condition: dict[str, Any] = {}
        for offset in range(0, blob.size, _PIECE):
            if time.monotonic() > until:
                raise TimeoutError
            length = min(_PIECE, blob.size - offset)
            with storage_errors(f"read {blob.name} from storage account {self._account}"):
                # Without decompress=False a piece of a blob that is labelled as compressed would be decompressed.
                download = self._container.download_blob(blob.name, offset, length, decompress=False, **condition)
                piece = bytes(download.readall())
            condition = {"etag": download.properties.etag, "match_condition": MatchConditions.IfNotModified}
            read.size += len(piece)
            yield piece
