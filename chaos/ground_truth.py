"""The end state of a run, read from the emulator's journal, the storage and Airflow's list of runs, without the library
under test."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient, ContainerClient

from chaos.cells import BACKUP, NIGHT
from stack import Stack
from stack.settings import STORAGE_API_VERSION, STORAGE_KEY, storage_endpoint

CATALOG = "biztalk-backup-catalog"


@dataclass(frozen=True)
class EndState:
    """
    :param state: state of the service; None when the service does not exist
    :param content: content of the service
    :param operations: number of operations of each kind that were started and succeeded
    :param intact_backups: backups published by the run whose blobs have the recorded checksums
    :param damaged_backups: backups published by the run with missing or altered blobs
    :param open_records: names of the suspension records that are still open
    :param started_runs: ids of the runs of the service that a night has started
    :param unended_runs: those of them that had not ended when the night ended
    """

    state: str | None
    content: Any
    operations: Counter[str]
    intact_backups: tuple[str, ...]
    damaged_backups: tuple[str, ...]
    open_records: tuple[str, ...]
    started_runs: tuple[str, ...] = ()
    unended_runs: tuple[str, ...] = ()


class GroundTruth:
    """Reads the emulator's journal and the storage of a stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        endpoint = storage_endpoint(stack.ports)
        self._blobs = BlobServiceClient(endpoint, credential=STORAGE_KEY, api_version=STORAGE_API_VERSION)

    def last_entry(self) -> int:
        """Return the number of the journal's last entry."""
        return self._stack.emulator.get("/journal?limit=1")["newest"]

    def state(self, service: str) -> str | None:
        """Return the current state of a service; None when the service does not exist."""
        return next((each["state"] for each in self._stack.emulator.services() if each["name"] == service), None)

    def content(self, service: str) -> Any:
        """Return the current content of a service; None when the service does not exist."""
        return self._stack.emulator.service(service)["content"] if self.state(service) else None

    def end_state(self, service: str, job: str, run_id: str, after: int) -> EndState:
        """
        Return the end state of a service after a run.

        :param job: id of the DAG of the run
        :param after: number of the journal's last entry before the run
        """
        started, unended = self._runs_of_night(run_id, service) if job == NIGHT else ((), ())
        path = f"/journal?after={after}&service={service}&kind=operation&limit=1000"
        entries = self._stack.emulator.get(path)["entries"]
        succeeded = {
            each["operation_id"] for each in entries if each["event"] == "ended" and each["status"] == "Succeeded"
        }
        effective = [each for each in entries if each["event"] == "started" and each["operation_id"] in succeeded]
        references = self._read_json(f"references/{service.lower()}/")
        published = [each for each in references if (each["run"] or {}).get("run_id") in (run_id, *started)]
        intact = {each["container"]: self._is_intact(each) for each in published}
        return EndState(
            self.state(service),
            self.content(service),
            Counter(each["operation"] for each in effective),
            tuple(name for name, is_intact in intact.items() if is_intact),
            tuple(name for name, is_intact in intact.items() if not is_intact),
            tuple(name for name in self.open_records() if f"/{service.lower()}/" in name),
            started,
            unended,
        )

    def open_records(self) -> tuple[str, ...]:
        """Return the names of all suspension records that are still open."""
        return tuple(self._blob_names("suspensions/open/"))

    def _runs_of_night(self, run_id: str, service: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the runs of a service that a night has started, and those that had not ended when it ended."""
        night_ended = datetime.fromisoformat(self._stack.airflow.run(NIGHT, run_id)["end_date"])
        found = self._stack.airflow.get(f"/dags/{BACKUP}/dagRuns", run_id_prefix_pattern=f"{run_id}__", limit=100)
        runs = [run for run in found["dag_runs"] if run["conf"]["service"].lower().endswith(f"/{service.lower()}")]
        unended = [run for run in runs if not run["end_date"] or datetime.fromisoformat(run["end_date"]) > night_ended]
        return tuple(run["dag_run_id"] for run in runs), tuple(run["dag_run_id"] for run in unended)

    def _is_intact(self, reference: dict[str, Any]) -> bool:
        container = self._blobs.get_container_client(reference["container"])
        try:
            return bool(reference["blobs"]) and all(
                hashlib.sha256(container.download_blob(blob["name"]).readall()).hexdigest() == blob["sha256"]
                for blob in reference["blobs"]
            )
        except ResourceNotFoundError:
            return False

    def _read_json(self, prefix: str) -> list[dict[str, Any]]:
        return [json.loads(self._catalog.download_blob(name).readall()) for name in self._blob_names(prefix)]

    def _blob_names(self, prefix: str) -> list[str]:
        try:
            return [blob.name for blob in self._catalog.list_blobs(prefix)]
        except ResourceNotFoundError:
            return []

    @property
    def _catalog(self) -> ContainerClient:
        return self._blobs.get_container_client(CATALOG)
