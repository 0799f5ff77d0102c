"""Suspension tickets: which services stand still because we asked for it, until when at the latest, and who asked.

A ticket is written beside the catalog before the service is asked to suspend, and closed when it is seen to be back. It
outlives the run that wrote it, and the Airflow of that run. Nothing is overwritten: the record of a closed ticket is a
blob of its own, written before the open one is deleted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient

from biztalk_services.archive.storage import json_bytes, storage_errors, write_once
from biztalk_services.flows.suspension import Suspension
from biztalk_services.model.records import SuspensionRecord, short_hash
from biztalk_services.model.run import Owner, Run
from biztalk_services.model.service import Service

_OPEN, _NOTES, _CLOSED = "suspensions/open", "suspensions/notes", "suspensions/closed"


def suspension_of(ticket: SuspensionRecord, service: Service | None, *, owner: Owner, superseded: bool) -> Suspension:
    """The suspension that a ticket is about, as it is now.

    :param service: as it is now; None when there is none.
    :param superseded: whether a later ticket is open for it.
    """
    operation = service and service.last_operation
    return Suspension(
        state=service.state if service else None,
        operation_in_progress=bool(operation and operation.result == "InProgress"),
        owner=owner,
        opened_at=ticket.opened_at,
        back_by=ticket.back_by,
        superseded=superseded,
    )


def is_superseded(ticket: SuspensionRecord, tickets: Iterable[SuspensionRecord]) -> bool:
    """Whether one of these is a later ticket on the same service."""
    return any(each.service.lower() == ticket.service.lower() and each.opened_at > ticket.opened_at for each in tickets)


class SuspensionRecords:
    """The tickets in the container of a catalog.

    :param client: of the storage account.
    :param container: container of the catalog; made by the first ticket.
    """

    def __init__(self, client: BlobServiceClient, container: str) -> None:
        self._container = client.get_container_client(container)
        self._place = f"{client.account_name}/{container}"

    def open(self, ticket: SuspensionRecord) -> None:
        """Write a ticket. Those of the same run on the same service are replaced: it starts anew.

        :raises StorageError: the account was not reached or refused.
        """
        earlier = [each for each in self.look(ticket.service)[0] if each.run == ticket.run and each != ticket]
        self._write(_OPEN, ticket, {})
        for each in earlier:
            self.close(each, by=str(ticket.run), how="replaced by a later ticket of the same run")

    def look(self, service: str | None = None) -> tuple[list[SuspensionRecord], list[str]]:
        """The tickets that are not closed, the oldest first; and a sentence for each blob there that is none.

        :raises StorageError: the account was not reached or refused.
        """
        tickets, unusable = [], []
        with storage_errors(f"list the open suspension tickets in {self._place}"):
            for path in self._paths(_OPEN, service):
                try:
                    tickets.append(
                        SuspensionRecord.from_dict(json.loads(self._container.download_blob(path).readall()))
                    )
                except ResourceNotFoundError:
                    continue
                except (ValueError, RecursionError) as error:
                    unusable.append(
                        f"{path} in {self._place} is not a suspension ticket ({error}). See which services are "
                        "suspended, bring back what is ours, and delete the blob."
                    )
        return sorted(tickets, key=lambda ticket: ticket.opened_at), unusable

    def close(self, ticket: SuspensionRecord, *, by: str, how: str) -> None:
        """Close a ticket; one that is closed stays as it was closed.

        :param by: who closes it (``run manual__1 of biztalk_watchdog``).
        :param how: in words (``seen Active``).
        :raises StorageError: the account was not reached or refused.
        """
        self._write(_CLOSED, ticket, {"closed_at": datetime.now(UTC).isoformat(), "closed_by": by, "closed": how})
        with storage_errors(f"close the suspension ticket of {ticket.service} in {self._place}"):
            try:
                self._container.delete_blob(f"{_OPEN}/{ticket.name}.json")
            except ResourceNotFoundError:
                return

    def close_all(self, service: str, *, by: str, how: str, run: Run | None = None) -> list[SuspensionRecord]:
        """Close the tickets of a service; returns them.

        :param run: only those of this run; None: all.
        :raises StorageError: the account was not reached or refused.
        """
        found = [ticket for ticket in self.look(service)[0] if run in (None, ticket.run)]
        for ticket in found:
            self.close(ticket, by=by, how=how)
        return found

    def all_closed(self, service: str, run: Run) -> bool:
        """Whether a run has had tickets on a service, and none of them is open any more.

        :raises StorageError: the account was not reached or refused.
        """
        return self._has(_CLOSED, service, run) and not self._has(_OPEN, service, run)

    def _has(self, folder: str, service: str, run: Run) -> bool:
        with storage_errors(f"list the suspension tickets of {service} in {self._place}"):
            return any(path.endswith(f"-{short_hash(run)}.json") for path in self._paths(folder, service))

    def _paths(self, folder: str, service: str | None) -> list[str]:
        """The blobs of a folder, empty where nobody has opened a ticket. Raises as Azure's library does."""
        prefix = f"{folder}/{service.lower()}/" if service else f"{folder}/"
        try:
            return list(self._container.list_blob_names(name_starts_with=prefix))
        except ResourceNotFoundError:
            return []

    def note(self, ticket: SuspensionRecord, what: str, *, by: str) -> bool:
        """Note something about a ticket, once.

        :param what: fit for a blob's name (``resumed``).
        :returns: False when it was noted before.
        :raises StorageError: the account was not reached or refused.
        """
        return self._write(_NOTES, ticket, _noted(by), f".{what}")

    def note_unusable(self, sentence: str, what: str, *, by: str) -> bool:
        """Note something about a blob that is no ticket, once.

        :param sentence: about the blob, from ``look``.
        :param what: fit for a blob's name (``failed-2026010102``).
        :returns: False when it was noted before.
        :raises StorageError: the account was not reached or refused.
        """
        name = f"unusable/{hashlib.sha256(sentence.encode()).hexdigest()[:12]}.{what}"
        with storage_errors(f"write a note on an unusable suspension ticket into {self._place}"):
            return write_once(self._container, f"{_NOTES}/{name}.json", json_bytes({"unusable": sentence} | _noted(by)))

    def is_noted(self, ticket: SuspensionRecord, what: str) -> bool:
        """Whether that was noted.

        :raises StorageError: the account was not reached or refused.
        """
        with storage_errors(f"read the notes on {ticket.service} in {self._place}"):
            return self._container.get_blob_client(f"{_NOTES}/{ticket.name}.{what}.json").exists()

    def _write(self, folder: str, ticket: SuspensionRecord, more: dict[str, str], suffix: str = "") -> bool:
        path, content = f"{folder}/{ticket.name}{suffix}.json", json_bytes(ticket.to_dict() | more)
        with storage_errors(f"write the suspension ticket of {ticket.service} into {self._place}"):
            return write_once(self._container, path, content)


def _noted(by: str) -> dict[str, str]:
    return {"noted_at": datetime.now(UTC).isoformat(), "noted_by": by}
