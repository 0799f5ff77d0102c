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

    def state(self, service: str) -> str | None:
        """Of a service now; None when there is none."""
        return next((each["state"] for each in self._stack.emulator.services() if each["name"] == service), None)

    def content(self, service: str) -> Any:
        """What a service holds; None when there is none."""
        return self._stack.emulator.service(service)["content"] if self.state(service) else None

    def left(self, service: str, run_id: str, after: int) -> Left:
        """
        What a run has left of a service.

        :param after: number of the journal's last entry before it
        """
        path = f"/journal?after={after}&service={service}&kind=operation&limit=1000"
        entries = self._stack.emulator.get(path)["entries"]
        ended = {each["operation_id"] for each in entries if each["event"] == "ended" and each["status"] == "Succeeded"}
        begun = [each for each in entries if each["event"] == "started" and each["operation_id"] in ended]
        references = self._json(f"references/{service.lower()}/")
        published = [each for each in references if (each["run"] or {}).get("run_id") == run_id]
        whole = {each["container"]: self._is_whole(each) for each in published}
        return Left(
            self.state(service),
            self.content(service),
            Counter(each["operation"] for each in begun),
            tuple(name for name, is_whole in whole.items() if is_whole),
            tuple(name for name, is_whole in whole.items() if not is_whole),
            tuple(name for name in self.open_tickets() if f"/{service.lower()}/" in name),
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
