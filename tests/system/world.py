"""Access for the tests to the stack, the emulator's records and the blobs, without our own code."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import uuid4

import requests
from azure.storage.blob import BlobServiceClient
from cryptography.fernet import Fernet
from sqlalchemy import Engine, NullPool, Row, create_engine, inspect, text

from stack import Stack
from stack.settings import (
    STORAGE_API_VERSION,
    STORAGE_KEY,
    sql_connection,
    storage_endpoint,
    tracking_connection,
)
from tests.emulator.driver import EmulatorProcess
from tests.system.services import CLOUD_SERVICE

DAG_ID = "biztalk_nightly_backup"
BACKUP = "biztalk_backup"
RESTORE = "biztalk_restore"
CATALOG = "biztalk-backup-catalog"
LASTING_SECONDS = 3
WAIT_SECONDS = 420
PAUSE_SECONDS = 0.25
AIRFLOW_PAUSE_SECONDS = 1.0
"""Every request to Airflow takes time from its tasks."""
NIGHT_SECONDS = 800
READING_SECONDS = 3


def until(check: Callable[[], Any], seconds: float = WAIT_SECONDS, pause: float = PAUSE_SECONDS) -> Any:
    """The first true result of `check`, which is called again after a pause; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not (result := check()):
        assert time.monotonic() < end, f"the condition did not hold within {seconds:.0f} seconds"
        time.sleep(pause)
    return result


class World:
    """A running stack with everything around it.

    ``secrets`` are those of the tests; ``triggers_seen`` are the arguments of the triggers that :meth:`see_triggers`
    has found.
    """

    def __init__(self, stack: Stack, emulator: EmulatorProcess) -> None:
        self.stack = stack
        self.airflow = stack.airflow
        self.emulator = emulator
        self.blobs = BlobServiceClient(
            storage_endpoint(stack.servers.ports),
            credential=STORAGE_KEY,
            api_version=STORAGE_API_VERSION,
            retry_total=0,
        )
        self._service_runs: dict[tuple[str, str], str] = {}
        self.secrets: set[str] = set()
        self.triggers_seen: list[str] = []

    @classmethod
    def of(cls, stack: Stack) -> World:
        servers = stack.servers
        url = f"https://127.0.0.1:{servers.ports.emulator}/{stack.emulator.subscription_id()}"
        data = f"https://127.0.0.1:{servers.ports.emulator_data}"
        return cls(stack, EmulatorProcess(servers.home / "emulator").connect(url, stack.emulator.url, data))

    # Services, by the emulator's records.

    def service(self, name: str) -> dict[str, Any]:
        return self.emulator.admin("GET", f"/services/{name}")

    def state(self, name: str) -> str | None:
        """None when there is no such service."""
        answer = self.emulator.raw_admin("GET", f"/services/{name}")
        return None if answer.status_code == requests.codes.not_found else answer.json()["state"]

    def reaches(self, name: str, state: str | None, seconds: float = WAIT_SECONDS) -> None:
        until(lambda: self.state(name) == state, seconds)

    def await_entry(self, name: str, seconds: float = WAIT_SECONDS, after: int = 0, **entry: Any) -> dict[str, Any]:
        """Wait for an entry of the journal about a service; returns it."""

        def find() -> dict[str, Any] | None:
            nonlocal after
            if entries := self.emulator.journal(service=name, after=after):
                after = entries[-1]["seq"]
            return next((found for found in entries if entry.items() <= found.items()), None)

        return until(find, seconds)

    def release(self, name: str) -> None:
        """Let the running operation of a service end."""
        self.emulator.admin("POST", f"/operations/{self.service(name)['operation']['id']}/release")

    def edit(self, name: str) -> None:
        """Change the configuration of a service, so that it has another ETag."""
        self.emulator.admin("POST", f"/services/{name}/content", {})

    def pass_messages(self, name: str, messages: int = 3) -> None:
        """Send messages through every agreement that numbers them and has no batches, which would collect them."""
        for agreement in self.service(name)["content"]["agreements"]:
            if agreement["Protocol"] != "AS2" and not agreement.get("Batches"):
                order = {"agreement": agreement["Name"], "messages": messages}
                self.emulator.admin("POST", f"/services/{name}/messages", order)

    def duplicates(self, name: str) -> list[dict[str, Any]]:
        """Control numbers that partners of a service received twice."""
        return self.emulator.admin("GET", f"/services/{name}/duplicates")["duplicates"]

    def new_database(self, name: str) -> str:
        """Create a tracking database and the connections to it; returns the id of the one for a restore."""
        login = {"user": f"{name}User", "password": f"{name}-made-up-password"}
        self.emulator.admin("PUT", f"/world/databases/{name}Tracking", login)
        database = {"server": "tcp:sql.example,1433", "database": f"{name}Tracking", **login}
        file = self.stack.home / f"emulator/tracking/{name}Tracking.db"
        self.connection(f"biztalk_sql_{name}tracking", sql_connection(database, f"biztalk_tracking_{name}"))
        self.connection(f"biztalk_tracking_{name}", tracking_connection(file))
        return f"biztalk_sql_{name}tracking"

    def connection(self, conn_id: str, fields: dict[str, Any]) -> None:
        """Make a connection in Airflow; its password becomes one of the secrets."""
        self.secrets |= {fields.get("password", "")} - {""}
        self.airflow.post("/connections", {"connection_id": conn_id, **fields, "extra": json.dumps(fields["extra"])})

    def fill_batch(self, name: str, batch: str) -> str:
        """Send a message into a batch of this criterion (Count, Size, Timeout, Schedule); returns the agreement."""
        found = next(each for each in self.service(name)["batches"] if each["ReleaseCriteriaType"] == batch)
        self.emulator.admin("POST", f"/services/{name}/messages", {"agreement": found["AgreementName"]})
        return found["AgreementName"]

    def release_batch(self, name: str, agreement: str) -> None:
        """Let the first batch of an agreement be sent, if it holds messages."""
        found = next(each for each in self.service(name)["batches"] if each["AgreementName"] == agreement)
        if found["ActiveMessageCount"]:
            order = {"agreement": agreement, "batch": found["BatchName"]}
            self.emulator.admin("POST", f"/services/{name}/batches/release", order)

    @contextmanager
    def without_tracking(self, name: str) -> Iterator[None]:
        """The tracking database of a service is away meanwhile."""
        database = self.stack.emulator.tracking_databases()[name]
        hidden = database.with_suffix(".hidden")
        database.rename(hidden)
        try:
            yield
        finally:
            hidden.replace(database)

    def last_seq(self) -> int:
        """Number of the journal's last entry."""
        return self.emulator.admin("GET", "/journal?limit=1")["newest"]

    # Blobs.

    def blob(self, container: str, name: str) -> bytes:
        return self.blobs.get_blob_client(container, name).download_blob().readall()

    def content(self, container: str) -> dict[str, bytes]:
        """Every blob of a container."""
        client = self.blobs.get_container_client(container)
        return {blob.name: self.blob(container, blob.name) for blob in client.list_blobs()}

    def written(self, container: str) -> dict[str, datetime]:
        """When each blob of a container was last written."""
        return {blob.name: blob.last_modified for blob in self.blobs.get_container_client(container).list_blobs()}

    def containers(self) -> set[str]:
        return {container.name for container in self.blobs.list_containers()}

    def catalog(self, folder: str, service: str) -> dict[str, dict[str, Any]]:
        """Entries of the catalog about a service by the name of the backup; each has to be JSON."""
        if CATALOG not in self.containers():
            return {}
        prefix = f"{folder}/{service.lower()}/"
        names = [blob.name for blob in self.blobs.get_container_client(CATALOG).list_blobs(prefix)]
        return {
            name.removeprefix(prefix).removesuffix(".json"): json.loads(self.blob(CATALOG, name).decode("utf-8"))
            for name in names
        }

    # Logs.

    def log(self, dag_id: str, run_id: str, instance: dict[str, Any]) -> str:
        """Everything that the last try of a task instance has logged, exceptions included."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{instance['task_id']}/logs/{instance['try_number']}"
        entries = self.airflow.get(path, map_index=instance["map_index"], full_content=True)["content"]
        return "\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)

    # Processes of the stack.

    def end_storage(self) -> None:
        """End Azurite in order, so that nothing that it has acknowledged is lost."""
        process = self.stack.running()["azurite"]
        os.kill(process.pid, signal.SIGTERM)
        until(lambda: not process.alive)

    # Steps of a run that is under way.

    def step(self, run_id: str, service: str, step: str) -> dict[str, Any]:
        """The task instance of a step of a service as it is now; empty as long as there is none."""
        try:
            return self.airflow.get(self._path(run_id, service, step))
        except requests.HTTPError as refused:
            if refused.response.status_code == requests.codes.not_found:
                return {}
            raise

    def is_at(self, run_id: str, service: str, step: str, state: str, seconds: float = WAIT_SECONDS) -> None:
        """Wait until a step of a service is in a state."""
        until(lambda: self.step(run_id, service, step).get("state") == state, seconds, AIRFLOW_PAUSE_SECONDS)

    def mark_failed(self, run_id: str, service: str, step: str) -> None:
        """Fail a step that waits for its next try, as a person does in the UI.

        Repeated when the mark did not last: a try that begins or ends at the same moment overwrites it with its own
        state.
        """

        def marked() -> bool:
            if self.step(run_id, service, step)["state"] == "up_for_retry":
                self.airflow.patch(self._path(run_id, service, step), {"new_state": "failed"})
                time.sleep(LASTING_SECONDS)
            return self.step(run_id, service, step)["state"] == "failed"

        until(marked)

    def service_runs(self, run_id: str) -> dict[str, str]:
        """The run of each service that a night has started so far, by service."""
        path, runs = f"/dags/{BACKUP}/dagRuns", {}
        for run in self.airflow.get(path, run_id_prefix_pattern=f"{run_id}__", limit=100)["dag_runs"]:
            service = run["conf"]["service"].rpartition("/")[2]
            assert runs.setdefault(service, run["dag_run_id"]) == run["dag_run_id"], f"two runs of {service}"
        return runs

    def service_run(self, run_id: str, service: str) -> str:
        """The run of a service that a night starts, as soon as it is started."""
        if (run_id, service) not in self._service_runs:
            found = until(lambda: self.service_runs(run_id).get(service), pause=AIRFLOW_PAUSE_SECONDS)
            self._service_runs[run_id, service] = found
        return self._service_runs[run_id, service]

    def _path(self, run_id: str, service: str, step: str) -> str:
        return f"/dags/{BACKUP}/dagRuns/{self.service_run(run_id, service)}/taskInstances/{step}"

    def see_triggers(self) -> None:
        """Record the arguments of the triggers that wait now; Airflow deletes them when the wait is over."""
        key = json.loads((self.stack.home / "secrets.json").read_text())["AIRFLOW__CORE__FERNET_KEY"]
        stored = [trigger.kwargs for trigger in self.rows("trigger")]
        # Airflow stores some of them encrypted, and others in plain text.
        self.triggers_seen += [
            kwargs if kwargs.startswith("{") else Fernet(key).decrypt(kwargs.encode()).decode() for kwargs in stored
        ]

    # Airflow's database, read without Airflow.

    def tables(self) -> list[str]:
        return inspect(self._database).get_table_names()

    def rows(self, table: str) -> Sequence[Row]:
        with self._database.connect() as connection:
            return connection.execute(text(f'SELECT * FROM "{table}"')).all()

    def run_state(self, run_id: str) -> str:
        """State of a run. The API would read every task of the run for it, while the tasks wait for the API."""
        with self._database.connect() as connection:
            return connection.execute(
                text("SELECT state FROM dag_run WHERE run_id = :run_id"), {"run_id": run_id}
            ).scalar_one()

    @cached_property
    def _database(self) -> Engine:
        return create_engine(self.stack.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"], poolclass=NullPool)

    # Runs.

    def night(
        self,
        services: Iterable[str] = (),
        actions: Iterable[Callable[[str], None]] = (),
        seconds: float = NIGHT_SECONDS,
        **conf: Any,
    ) -> Night:
        """Run the nightly DAG to its end.

        :param services: names of the services; none: those of the configuration.
        :param actions: called during the run, each with the run's id and in a thread of its own.
        :param conf: further fields of the form.
        """
        wanted = {"services": list(services)} if services else {}
        return Night(self, DAG_ID, *self._run(DAG_ID, {**wanted, **conf}, actions, seconds))

    def restoration(
        self, service: str, actions: Iterable[Callable[[str], None]] = (), seconds: float = NIGHT_SECONDS, **form: Any
    ) -> Restoration:
        """Run the restore to its end. Its plan is approved where :meth:`approve` is among the actions."""
        return Restoration(self, RESTORE, *self._run(RESTORE, {"service": service, **form}, actions, seconds))

    def approve(self, run_id: str) -> None:
        """Approve the plan, as a person does."""
        self.answer(run_id, "Approve")

    def answer(self, run_id: str, option: str) -> None:
        """Respond to the approval request, once more when Airflow has lost the response and requests it again."""
        path = f"/dags/{RESTORE}/dagRuns/{run_id}/taskInstances/approval/-1/hitlDetails"

        def approval() -> tuple[str, int]:
            task = self.task(RESTORE, run_id, "approval")
            return task["state"], task["try_number"]

        def answered() -> bool:
            self.waits_for_a_person(run_id)
            _, attempt = approval()
            self.airflow.patch(path, {"chosen_options": [option], "params_input": {}})
            until(lambda: approval()[0] in ("success", "failed") or approval() == ("awaiting_input", attempt + 1))
            return approval()[0] in ("success", "failed")

        until(answered)

    def waits_for_a_person(self, run_id: str) -> None:
        """Wait until the approval is requested, and for as long as a person takes at least to read the plan."""
        until(
            lambda: self.task(RESTORE, run_id, "approval").get("state") == "awaiting_input",
            pause=AIRFLOW_PAUSE_SECONDS,
        )
        time.sleep(READING_SECONDS)

    def leave_suspended(self, dag_id: str, service: str) -> str:
        """Start a run that suspends a service and does not resume it; returns the run's id."""
        self.airflow.wait_for_dag(dag_id)
        run_id = self._trigger(dag_id, {"service": f"{CLOUD_SERVICE}/{service}"})
        self.reaches(service, "Suspended")
        return run_id

    def airflow_id(self) -> str:
        """The id that this Airflow has given itself."""
        return str(self.airflow.get("/variables/biztalk_airflow_id")["value"])

    def task(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """The task instance of a task that is not mapped; empty as long as there is none."""
        found = [each for each in self.airflow.task_instances(dag_id, run_id) if each["task_id"] == task_id]
        return found[0] if found else {}

    def _run(
        self, dag_id: str, conf: dict[str, Any], actions: Iterable[Callable[[str], None]], seconds: float
    ) -> tuple[str, str, int, int, dict[str, str]]:
        """Run a DAG to its end: id and state of the run, the journal before and after, the services' states."""
        self.airflow.wait_for_dag(dag_id)
        after, actions = self.last_seq(), list(actions)
        with ThreadPoolExecutor(max_workers=max(1, len(actions))) as threads:
            run_id = self._trigger(dag_id, conf)
            futures = [threads.submit(action, run_id) for action in actions]
            state = self._end_of(dag_id, run_id, futures, seconds)
            for future in futures:
                try:
                    future.result()
                except AssertionError as error:
                    report = self.airflow.xcom(dag_id, run_id, "report")
                    raise AssertionError(f"{error}; the run ended as {state} with the report {report}") from error
        services_now = self.emulator.admin("GET", "/services")["services"]
        states = {each["name"]: each["state"] for each in services_now}
        return run_id, state, after, self.last_seq(), states

    def _trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Start a run under a name of its own; it may have started although Airflow reported an error (409)."""
        run_id = f"test__{uuid4().hex}"
        try:
            self.airflow.trigger(dag_id, conf, run_id)
        except requests.HTTPError as refused:
            if refused.response.status_code != requests.codes.conflict:
                raise
        return run_id

    def _end_of(self, dag_id: str, run_id: str, futures: list[Future], seconds: float) -> str:
        """Wait for the end of a run; an action that fails ends the wait, because the run may wait for it."""
        deadline = time.monotonic() + seconds
        while (state := self.run_state(run_id)) not in ("success", "failed"):
            for future in futures:
                if future.done():
                    future.result()
            assert time.monotonic() < deadline, (
                f"the run is still {state} after {seconds:.0f} seconds: {self._unfinished(dag_id, run_id)}"
            )
            time.sleep(PAUSE_SECONDS)
        return state

    def _unfinished(self, dag_id: str, run_id: str) -> dict[str, str]:
        """State and number of tries of each task instance of a run, or of the runs of a night, that has begun and not
        ended."""
        runs = {"": (dag_id, run_id)} | {name: (BACKUP, each) for name, each in self.service_runs(run_id).items()}
        return {
            f"{each['task_id']} {name}": f"{each['state']}, try {each['try_number']}"
            for name, run in runs.items()
            for each in self.airflow.task_instances(*run)
            if each["state"] not in (None, "success", "failed", "upstream_failed", "skipped")
        }


@dataclass(frozen=True)
class Run:
    """A finished run.

    :param after: number of the journal's last entry before it
    :param until: number of its last entry after it
    :param states: state of each service after it, by the emulator's records
    """

    world: World
    dag_id: str
    run_id: str
    state: str
    after: int
    until: int
    states: dict[str, str]

    @cached_property
    def instances(self) -> list[dict[str, Any]]:
        return self.world.airflow.task_instances(self.dag_id, self.run_id)

    def journal(self, service: str, kind: str | None = None) -> list[dict[str, Any]]:
        query = {"service": service, "after": self.after} | ({"kind": kind} if kind else {})
        return [entry for entry in self.world.emulator.journal(**query) if entry["seq"] <= self.until]

    def operations(self, service: str) -> list[tuple[str, str]]:
        """Kind and result of each operation on a service, in the order of their beginning."""
        entries = self.journal(service, "operation")
        endings = {entry["operation_id"]: entry["status"] for entry in entries if entry["event"] == "ended"}
        return [
            (entry["operation"], endings.get(entry["operation_id"], "InProgress"))
            for entry in entries
            if entry["event"] == "started"
        ]

    def responses(self, service: str, operation: str) -> list[int | None]:
        """Status of the response to each request of this kind for a service; None: connection reset."""
        return [entry["status"] for entry in self.journal(service, "request") if entry["operation"] == operation]

    def changes(self, service: str) -> list[str]:
        """Every request to change a service."""
        requested = [entry for entry in self.journal(service, "request") if entry["method"] != "GET"]
        return [entry["operation"] for entry in requested if entry["operation"] != "token"]


@dataclass(frozen=True)
class Restoration(Run):
    """A finished run of the restore."""

    @cached_property
    def report(self) -> dict[str, Any]:
        """The report of the run."""
        return self.world.airflow.xcom(RESTORE, self.run_id, "report") or {}

    @cached_property
    def plan(self) -> dict[str, Any]:
        return self.world.airflow.xcom(RESTORE, self.run_id, "plan")

    @cached_property
    def steps(self) -> dict[str, str]:
        """State of each step."""
        return {each["task_id"]: each["state"] for each in self.instances}


@dataclass(frozen=True)
class Night(Run):
    """A finished run of the nightly DAG, with the runs of the services that it has started."""

    @cached_property
    def report(self) -> dict[str, dict[str, Any]]:
        """The rows of the run's report, by service."""
        rows = self.world.airflow.xcom(DAG_ID, self.run_id, "report") or []
        return {row["service"]: row for row in rows}

    @cached_property
    def service_runs(self) -> dict[str, str]:
        """The run of each service."""
        return self.world.service_runs(self.run_id)

    def instances_of(self, service: str) -> list[dict[str, Any]]:
        """The task instances of the run of a service."""
        return self.world.airflow.task_instances(BACKUP, self.service_runs[service])

    def step(self, service: str, step: str) -> dict[str, Any]:
        """The task instance of a step of a service."""
        return next(each for each in self.instances_of(service) if each["task_id"] == step)

    def steps(self, service: str) -> dict[str, str]:
        """State of each step of a service."""
        return {each["task_id"]: each["state"] for each in self.instances_of(service)}

    def backup(self, service: str) -> str:
        """Container of the backup that the run published."""
        return self.report[service]["backup"].rpartition("/")[2]

    def reference(self, service: str) -> dict[str, Any]:
        """The catalog entry of that backup."""
        return self.world.catalog("references", service)[self.backup(service)]


BACKUP_OPERATIONS = [("suspend", "Succeeded"), ("backup", "Succeeded"), ("resume", "Succeeded")]
"""Operations of a backup as it should be."""


def fits_descriptor(content: dict[str, bytes], name: str) -> bool:
    """Whether the blobs of a backup are exactly those that its descriptor lists."""
    payload = {blob: data for blob, data in content.items() if blob != f"{name}.txt"}
    listed = json.loads(content[f"{name}.txt"])["blobs"]
    return bool(listed) and {(blob["name"], blob["size"], blob["sha256"]) for blob in listed} == {
        (blob, len(data), hashlib.sha256(data).hexdigest()) for blob, data in payload.items()
    }
