"""What is left after a run, by the emulator's own books and the blobs, read without the library."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient, ContainerClient

from stack import Stack
from stack.settings import STORAGE_API_VERSION, STORAGE_KEY, storage_endpoint

CATALOG = "biztalk-backup-catalog"
SERVICE = "contosoorders"


@dataclass(frozen=True)
class Left:
    """
    :param state: of the service; None when there is none
    :param content: what it holds
    :param operations: how often each kind of operation was begun and ended well
    :param whole: backups that the run has published, and that are whole
    :param broken: backups that the run has published, and that are not
    :param open_tickets: names of the suspension tickets that nobody closed
    """

    state: str | None
    content: Any
    operations: Counter[str]
    whole: tuple[str, ...]
    broken: tuple[str, ...]
    open_tickets: tuple[str, ...]


class Books:
    """The emulator's journal and the storage of a stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        endpoint = storage_endpoint(stack.ports)
        self._blobs = BlobServiceClient(endpoint, credential=STORAGE_KEY, api_version=STORAGE_API_VERSION)

    def newest(self) -> int:
        """Number of the journal's last entry."""
        return self._stack.emulator.get("/journal?limit=1")["newest"]

    def state(self) -> str | None:
        """Of the service now; None when there is none."""
        return next((each["state"] for each in self._stack.emulator.services() if each["name"] == SERVICE), None)

    def content(self) -> Any:
        """What the service holds; None when there is none."""
        return self._stack.emulator.service(SERVICE)["content"] if self.state() else None

    def left(self, run_id: str, after: int) -> Left:
        """
        What a run has left.

        :param after: number of the journal's last entry before it
        """
        path = f"/journal?after={after}&service={SERVICE}&kind=operation&limit=1000"
        entries = self._stack.emulator.get(path)["entries"]
        ended = {each["operation_id"] for each in entries if each["event"] == "ended" and each["status"] == "Succeeded"}
        begun = [each for each in entries if each["event"] == "started" and each["operation_id"] in ended]
        published = [each for each in self._json("references/") if (each["run"] or {}).get("run_id") == run_id]
        whole = {each["container"]: self._is_whole(each) for each in published}
        return Left(
            self.state(),
            self.content(),
            Counter(each["operation"] for each in begun),
            tuple(name for name, is_whole in whole.items() if is_whole),
            tuple(name for name, is_whole in whole.items() if not is_whole),
            self.open_tickets(),
        )

    def open_tickets(self) -> tuple[str, ...]:
        """Names of the suspension tickets that nobody closed."""
        return tuple(self._names("suspensions/open/"))

    def _is_whole(self, reference: dict[str, Any]) -> bool:
        container = self._blobs.get_container_client(reference["container"])
        try:
            return bool(reference["blobs"]) and all(
                hashlib.sha256(container.download_blob(blob["name"]).readall()).hexdigest() == blob["sha256"]
                for blob in reference["blobs"]
            )
        except ResourceNotFoundError:
            return False

    def _json(self, prefix: str) -> list[dict[str, Any]]:
        return [json.loads(self._catalog.download_blob(name).readall()) for name in self._names(prefix)]

    def _names(self, prefix: str) -> list[str]:
        try:
            return [blob.name for blob in self._catalog.list_blobs(prefix)]
        except ResourceNotFoundError:
            return []

    @property
    def _catalog(self) -> ContainerClient:
        return self._blobs.get_container_client(CATALOG)
