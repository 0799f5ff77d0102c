"""The emulator's store: one SQLite file, every change durable when its transaction has ended."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from biztalk_emulator import state_chart, times
from biztalk_emulator.operations import ENDING_THEMSELVES, KINDS, RUNNING_THROUGH

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS certificates (
    thumbprint TEXT PRIMARY KEY, subject TEXT NOT NULL, not_after TEXT NOT NULL, added_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cloud_services (
    key TEXT PRIMARY KEY, name TEXT NOT NULL, label TEXT NOT NULL, description TEXT NOT NULL,
    geo_region TEXT NOT NULL, etag TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS services (
    key TEXT PRIMARY KEY, name TEXT NOT NULL, cloud_service TEXT NOT NULL REFERENCES cloud_services (key),
    state TEXT NOT NULL, etag TEXT NOT NULL, created_at REAL NOT NULL,
    settings TEXT NOT NULL, content TEXT NOT NULL, runtime TEXT NOT NULL, last_operation TEXT);
CREATE INDEX IF NOT EXISTS services_waiting ON services (key) WHERE json_array_length(runtime, '$.batch_messages') > 0;
CREATE TABLE IF NOT EXISTS operations (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, cloud_service TEXT NOT NULL, service TEXT NOT NULL,
    status TEXT NOT NULL, state_before TEXT NOT NULL, started_at REAL NOT NULL, envelope_due_at REAL,
    due_at REAL, ended_at REAL, planned_error TEXT, error TEXT, forgotten INTEGER NOT NULL, payload TEXT);
CREATE INDEX IF NOT EXISTS operations_running ON operations (due_at) WHERE status = 'InProgress';
CREATE TABLE IF NOT EXISTS deleted_names (key TEXT PRIMARY KEY, deleted_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS databases (
    key TEXT PRIMARY KEY, name TEXT NOT NULL, user TEXT NOT NULL, password TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS namespaces (
    key TEXT PRIMARY KEY, name TEXT NOT NULL, secret TEXT NOT NULL, signing_key TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS faults (
    id INTEGER PRIMARY KEY AUTOINCREMENT, operation TEXT NOT NULL, service TEXT,
    remaining INTEGER, fired INTEGER NOT NULL, effect TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS journal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, kind TEXT NOT NULL, service TEXT, entry TEXT NOT NULL);
"""


@dataclass
class CloudService:
    """A named group of services in one region."""

    name: str
    label: str
    description: str
    geo_region: str
    etag: str

    @property
    def key(self) -> str:
        """The name as compared: names differ by more than case."""
        return self.name.lower()


@dataclass
class Operation:
    """One asynchronous request.

    :param id: request id, 32 lower-case hex digits.
    :param status: ``InProgress``, ``Succeeded`` or ``Failed``.
    :param state_before: settled state of the service when it began.
    :param envelope_due_at: when the envelope's operation ends, seconds since the epoch; None: together with the rest.
    :param due_at: when it ends; None: never by itself.
    :param planned_error: the error it will end with, by fault injection.
    :param error: ``http_code``, ``code``, ``message``, ``extended_code`` of a failed one.
    :param forgotten: polls respond as if it did not exist.
    :param payload: what it needs to end, secrets included; wiped when it ends.
    """

    id: str
    kind: str
    cloud_service: str
    service: str
    state_before: str
    started_at: float
    due_at: float | None
    envelope_due_at: float | None = None
    status: str = "InProgress"
    ended_at: float | None = None
    planned_error: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    forgotten: bool = False
    payload: dict[str, Any] | None = None

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.status == "InProgress"

    def envelope_status(self) -> str:
        """Status as ``/operations/{id}`` reports it: a PUT succeeds before the resource is ready, and for good."""
        seen_until = times.now() if self.ended_at is None else self.ended_at
        if self.envelope_due_at is not None and self.envelope_due_at <= seen_until:
            return "Succeeded"
        return self.status


class ListedService(NamedTuple):
    """What a list shows of a service, as it is stored: equal to an earlier one unless something of that has changed.

    :param state: settled state; `visible_state` is what a reader sees.
    :param settings: the Create tree as JSON, secrets included.
    :param kind: kind of the newest operation; None: there was none. So `status`, and `error` as JSON.
    """

    name: str
    state: str
    etag: str
    created_at: float
    settings: str
    kind: str | None
    status: str | None
    error: str | None

    @property
    def visible_state(self) -> str:
        """What a reader sees as ``SubState``."""
        return KINDS[self.kind].transitional if self.kind and self.status == "InProgress" else self.state


@dataclass
class Service:
    """One BizTalk service.

    :param state: settled state; `visible_state` is what a reader sees.
    :param settings: the Create tree, secrets included.
    :param content: what a backup holds.
    :param runtime: what no backup holds: messages waiting in batches.
    :param last_operation: the newest operation, running or ended.
    """

    name: str
    cloud_service: str
    state: str
    etag: str
    created_at: float
    settings: dict[str, Any]
    content: dict[str, Any]
    runtime: dict[str, Any]
    last_operation: Operation | None = field(default=None)

    @property
    def key(self) -> str:
        """The name as compared: names differ by more than case."""
        return self.name.lower()

    @property
    def edition(self) -> str:
        """Edition in lower case."""
        return str(self.settings["Edition"]).lower()

    @property
    def running_operation(self) -> Operation | None:
        """The operation that holds the service in a transitional state."""
        return self.last_operation if self.last_operation and self.last_operation.running else None

    @property
    def listed(self) -> ListedService:
        """What a list shows of it."""
        last = self.last_operation
        newest = (last.kind, last.status, _json(last.error)) if last else (None, None, None)
        return ListedService(self.name, self.state, self.etag, self.created_at, json.dumps(self.settings), *newest)

    @property
    def visible_state(self) -> str:
        """What a reader sees as ``SubState``."""
        running = self.running_operation
        return KINDS[running.kind].transitional if running else self.state

    @property
    def processes_messages(self) -> bool:
        """Whether messages pass now."""
        running = self.running_operation
        return self.state == state_chart.ACTIVE and (running is None or running.kind in RUNNING_THROUGH)


class Store:
    """All state in one file.

    Safe for threads: one connection, one transaction at a time.

    :param path: the SQLite file, which holds secrets and is for its owner only; made when missing.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._erase = False
        path.touch(mode=0o600)
        path.chmod(0o600)  # SQLite gives its write-ahead log the same
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block as one transaction; an exception undoes all of it. Blocks may nest: the outermost counts."""
        with self._lock:
            if self._depth == 0:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._connection.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._connection.execute("COMMIT")
                if self._erase:
                    self._erase = False
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def undoing(self) -> Iterator[None]:
        """Within a transaction: an exception undoes what the block changed and nothing more."""
        self._connection.execute("SAVEPOINT undoing")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK TO undoing")
            self._connection.execute("RELEASE undoing")
            raise
        self._connection.execute("RELEASE undoing")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def erase_traces(self) -> None:
        """Leave nothing of what this transaction deletes: SQLite zeroes it, the write-ahead log is emptied after."""
        self._erase = True

    def execute(self, sql: str, parameters: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        """Run one statement."""
        with self._lock:
            return self._connection.execute(sql, parameters)

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        """Run one query and return all rows."""
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()

    # Facts: single values.

    def fact(self, name: str, default: Any = None) -> Any:
        """Return a single stored value."""
        rows = self.rows("SELECT value FROM facts WHERE name = ?", (name,))
        return json.loads(rows[0]["value"]) if rows else default

    def save_fact(self, name: str, value: Any) -> None:
        """Store a single JSON-able value."""
        self.execute("REPLACE INTO facts (name, value) VALUES (?, ?)", (name, json.dumps(value)))

    # Cloud services.

    def cloud_services(self) -> list[CloudService]:
        """All cloud services by name."""
        return [_cloud_service(row) for row in self.rows("SELECT * FROM cloud_services ORDER BY key")]

    def cloud_service(self, name: str) -> CloudService | None:
        """Find one by name in any case."""
        rows = self.rows("SELECT * FROM cloud_services WHERE key = ?", (name.lower(),))
        return _cloud_service(rows[0]) if rows else None

    def save_cloud_service(self, cloud_service: CloudService) -> None:
        """Insert or replace."""
        self.execute(
            "INSERT INTO cloud_services VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
            "name = excluded.name, label = excluded.label, description = excluded.description, "
            "geo_region = excluded.geo_region, etag = excluded.etag",
            (
                cloud_service.key,
                cloud_service.name,
                cloud_service.label,
                cloud_service.description,
                cloud_service.geo_region,
                cloud_service.etag,
            ),
        )

    def remove_cloud_service(self, cloud_service: CloudService) -> None:
        """Remove an empty one."""
        self.execute("DELETE FROM cloud_services WHERE key = ?", (cloud_service.key,))

    # Services.

    def services(self) -> list[Service]:
        """All services by name."""
        return self._services("TRUE")

    def services_with_messages(self) -> list[Service]:
        """Those with messages that wait in batches, by name."""
        return self._services("json_array_length(runtime, '$.batch_messages') > 0")

    def service(self, name: str) -> Service | None:
        """Find one by name in any case."""
        found = self._services("key = ?", (name.lower(),))
        return found[0] if found else None

    def listed(self, cloud_service: str) -> list[ListedService]:
        """The services of one cloud service by name, without what is deployed to them."""
        return [
            ListedService(*row)
            for row in self.rows(
                "SELECT services.name, state, etag, created_at, settings, kind, status, error FROM services "
                "LEFT JOIN operations ON operations.id = last_operation "
                "WHERE services.cloud_service = ? ORDER BY services.key",
                (cloud_service.lower(),),
            )
        ]

    def save_service(self, service: Service) -> None:
        """Insert or replace."""
        values = (
            service.name,
            service.cloud_service.lower(),
            service.state,
            service.etag,
            service.created_at,
            json.dumps(service.settings),
            json.dumps(service.content),
            json.dumps(service.runtime),
            service.last_operation.id if service.last_operation else None,
        )
        self.execute("REPLACE INTO services VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (service.key, *values))

    def remove_service(self, service: Service) -> None:
        """Remove it and record when it was deleted."""
        self.execute("DELETE FROM services WHERE key = ?", (service.key,))
        self.execute("REPLACE INTO deleted_names VALUES (?, ?)", (service.key, times.now()))

    def deleted_at(self, name: str) -> float | None:
        """When a service of this name was last deleted, in seconds since the epoch."""
        rows = self.rows("SELECT deleted_at FROM deleted_names WHERE key = ?", (name.lower(),))
        return rows[0]["deleted_at"] if rows else None

    def _services(self, where: str, parameters: tuple[Any, ...] = ()) -> list[Service]:
        """They are parsed after the lock is free again: that takes the longest."""
        with self._lock:
            rows = self.rows(f"SELECT * FROM services WHERE {where} ORDER BY key", parameters)
            operations = self.rows(
                f"SELECT * FROM operations WHERE id IN (SELECT last_operation FROM services WHERE {where})", parameters
            )
        newest = {row["id"]: row for row in operations}
        return [_service(row, newest.get(row["last_operation"])) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many ``services`` and ``running_operations`` there are."""
        (row,) = self.rows(
            "SELECT (SELECT count(*) FROM services) AS services, "
            "(SELECT count(*) FROM operations WHERE status = 'InProgress') AS running_operations"
        )
        return dict(row)

    # Operations.

    def operation(self, operation_id: str) -> Operation | None:
        """Find one by its id."""
        rows = self.rows("SELECT * FROM operations WHERE id = ?", (operation_id,))
        return _operation(rows[0]) if rows else None

    def operations(self, *, running: bool = False) -> list[Operation]:
        """All operations, oldest first; only those that have not ended when `running`."""
        where = "WHERE status = 'InProgress'" if running else ""
        return [_operation(row) for row in self.rows(f"SELECT * FROM operations {where} ORDER BY started_at, rowid")]

    def due_operations(self) -> list[Operation]:
        """Running operations that are due, in the order of their time."""
        return [
            _operation(row)
            for row in self.rows(
                "SELECT * FROM operations WHERE status = 'InProgress' AND due_at <= ? ORDER BY due_at, rowid",
                (times.now(),),
            )
        ]

    def next_due(self) -> float | None:
        """When the next running operation that does not end itself is due, in seconds since the epoch."""
        due = [
            row["due_at"]
            for row in self.rows(
                "SELECT kind, due_at FROM operations WHERE status = 'InProgress' AND due_at IS NOT NULL"
            )
            if row["kind"] not in ENDING_THEMSELVES
        ]
        return min(due, default=None)

    def save_operation(self, operation: Operation) -> None:
        """Insert or replace."""
        self.execute(
            "REPLACE INTO operations (id, kind, cloud_service, service, status, state_before, started_at, "
            "envelope_due_at, due_at, ended_at, planned_error, error, forgotten, payload) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                operation.id,
                operation.kind,
                operation.cloud_service,
                operation.service,
                operation.status,
                operation.state_before,
                operation.started_at,
                operation.envelope_due_at,
                operation.due_at,
                operation.ended_at,
                _json(operation.planned_error),
                _json(operation.error),
                operation.forgotten,
                _json(operation.payload),
            ),
        )


def _cloud_service(row: sqlite3.Row) -> CloudService:
    return CloudService(row["name"], row["label"], row["description"], row["geo_region"], row["etag"])


def _service(row: sqlite3.Row, operation: sqlite3.Row | None) -> Service:
    return Service(
        name=row["name"],
        cloud_service=row["cloud_service"],
        state=row["state"],
        etag=row["etag"],
        created_at=row["created_at"],
        settings=json.loads(row["settings"]),
        content=json.loads(row["content"]),
        runtime=json.loads(row["runtime"]),
        last_operation=_operation(operation) if operation else None,
    )


def _operation(row: sqlite3.Row) -> Operation:
    values = dict(row)
    for name in ("planned_error", "error", "payload"):
        values[name] = json.loads(values[name]) if values[name] else None
    values["forgotten"] = bool(values["forgotten"])
    return Operation(**values)


def _json(value: dict[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value)
