"""The tracking database of one service: what happened to its messages, interchanges, control numbers and batches.

The real service kept a customer-owned SQL database beside itself; its schema is not documented, this one is (below). It
stays readable while the emulator is down, and is never part of a backup.

**Crashes.** The emulator writes tracking first and stores the changed service document second. A service has a new
``history`` since its creation or restore, each step in it a ``position``, and the document holds the position that was
reached. Events beyond it belong to a step that a crash took back: the next write replaces them,
:meth:`TrackingDatabase.reconcile` removes them at once. So no redo doubles an event and none is lost.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from .clock import to_text
from .content import BatchMessage, Runtime

DRAIN_QUERY = """
SELECT entered.agreement AS agreement, entered.batch AS batch, COUNT(*) AS messages, MIN(entered.occurred_at) AS oldest
FROM batch_events entered
LEFT JOIN batch_events gone ON gone.message_id = entered.message_id AND gone.event <> 'entered'
WHERE entered.event = 'entered' AND gone.message_id IS NULL
GROUP BY entered.agreement, entered.batch
ORDER BY entered.agreement, entered.batch
""".strip()
"""Each row is a batch that holds messages now: agreement, batch, messages, oldest (ISO-8601 UTC text). SQL-92."""

CONTROL_NUMBERS_SINCE_QUERY = """
SELECT agreement, kind, MAX(number) AS highest, MAX(CASE WHEN newest = 1 THEN number END) AS latest, COUNT(*) AS used,
  MAX(occurred_at) AS last_used
FROM (
  SELECT agreement, kind, number, occurred_at,
    ROW_NUMBER() OVER (PARTITION BY agreement, kind ORDER BY occurred_at DESC, position DESC, event_id DESC) AS newest
  FROM control_number_events
  WHERE direction = 'generated' AND occurred_at >= :since
) since
GROUP BY agreement, kind
ORDER BY agreement, kind
""".strip()
"""The control numbers given out since ``:since`` (text as :func:`~.clock.to_text` writes it), per agreement and kind:
highest, latest (lower than highest after a rollover), used (how many), last_used. SQL:2003."""

DUPLICATES_QUERY = """
SELECT agreement, kind, text AS number, COUNT(*) AS times, MIN(occurred_at) AS first_at, MAX(occurred_at) AS last_at
FROM control_number_events
WHERE direction = 'generated'
GROUP BY agreement, kind, text
HAVING COUNT(*) > 1
ORDER BY agreement, kind, text
""".strip()
"""The control numbers that were given out more than once over all histories of the service, with their text in
the interchange: after a restore, or after a rollover. SQL-92."""

SCHEMA = """
-- Every table: event_id identifies the event for good; history and position order the events of
-- the service; occurred_at is ISO-8601 UTC text of fixed width, so it sorts.

-- What happened to one message: batched, sent, received, rejected. size in bytes.
CREATE TABLE IF NOT EXISTS message_events (
  event_id TEXT PRIMARY KEY, history TEXT NOT NULL, position INTEGER NOT NULL, occurred_at TEXT NOT NULL,
  agreement TEXT NOT NULL, event TEXT NOT NULL, message_id TEXT NOT NULL, document_type TEXT NOT NULL,
  size INTEGER NOT NULL, interchange_id TEXT);

-- One interchange (or acknowledgement) that went out (sent) or came in (received, rejected): its envelope as text with
-- SHA-256 of the UTF-8 bytes, the size of the messages in it in bytes, and where AS2 carried it, its Message-ID and
-- MIC.
CREATE TABLE IF NOT EXISTS interchange_events (
  event_id TEXT PRIMARY KEY, history TEXT NOT NULL, position INTEGER NOT NULL, occurred_at TEXT NOT NULL,
  agreement TEXT NOT NULL, event TEXT NOT NULL, control_number TEXT NOT NULL, messages INTEGER NOT NULL,
  size INTEGER NOT NULL, text TEXT NOT NULL, sha256 TEXT NOT NULL, as2_message_id TEXT, mic TEXT);

-- One control number: kind is interchange, group, transaction_set or acknowledgement; direction is generated or
-- received; text is the number as written in the interchange.
CREATE TABLE IF NOT EXISTS control_number_events (
  event_id TEXT PRIMARY KEY, history TEXT NOT NULL, position INTEGER NOT NULL, occurred_at TEXT NOT NULL,
  agreement TEXT NOT NULL, kind TEXT NOT NULL, direction TEXT NOT NULL, number INTEGER NOT NULL, text TEXT NOT NULL,
  interchange_id TEXT NOT NULL);

-- A message and a batch: entered, released (reason: Schedule, Size, Count, Timeout, Manual) or lost (reason: why).
CREATE TABLE IF NOT EXISTS batch_events (
  event_id TEXT PRIMARY KEY, history TEXT NOT NULL, position INTEGER NOT NULL, occurred_at TEXT NOT NULL,
  agreement TEXT NOT NULL, event TEXT NOT NULL, batch TEXT NOT NULL, message_id TEXT NOT NULL, size INTEGER NOT NULL,
  reason TEXT);

CREATE INDEX IF NOT EXISTS message_events_step ON message_events (history, position);
CREATE INDEX IF NOT EXISTS interchange_events_step ON interchange_events (history, position);
CREATE INDEX IF NOT EXISTS control_number_events_step ON control_number_events (history, position);
CREATE INDEX IF NOT EXISTS batch_events_step ON batch_events (history, position);
CREATE INDEX IF NOT EXISTS control_number_events_use ON control_number_events (agreement, kind, occurred_at);
CREATE INDEX IF NOT EXISTS batch_events_message ON batch_events (message_id, event);
"""

_BUSY_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class _Event:
    table: ClassVar[str]
    event_id: str
    history: str
    position: int
    occurred_at: str
    agreement: str
    event: str


@dataclass(frozen=True, kw_only=True)
class MessageEvent(_Event):
    """A row of ``message_events``."""

    table = "message_events"
    message_id: str
    document_type: str
    size: int
    interchange_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class InterchangeEvent(_Event):
    """A row of ``interchange_events``."""

    table = "interchange_events"
    control_number: str
    messages: int
    size: int
    text: str
    sha256: str
    as2_message_id: str | None = None
    mic: str | None = None


@dataclass(frozen=True, kw_only=True)
class ControlNumberEvent:
    """A row of ``control_number_events``."""

    table: ClassVar[str] = "control_number_events"
    event_id: str
    history: str
    position: int
    occurred_at: str
    agreement: str
    kind: str
    direction: str
    number: int
    text: str
    interchange_id: str


@dataclass(frozen=True, kw_only=True)
class BatchEvent(_Event):
    """A row of ``batch_events``."""

    table = "batch_events"
    batch: str
    message_id: str
    size: int
    reason: str | None = None


Event = MessageEvent | InterchangeEvent | ControlNumberEvent | BatchEvent
_TYPES: tuple[type[Event], ...] = (MessageEvent, InterchangeEvent, ControlNumberEvent, BatchEvent)


class TrackingDatabase:
    """The SQLite file of one service (WAL, full synchronisation); made with its schema when it is missing.

    Safe from several threads and processes: every call uses a connection of its own.

    :param path: the file; its folder is made as well.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.path, timeout=_BUSY_TIMEOUT_SECONDS)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(f"BEGIN;{SCHEMA}COMMIT;")

    def record(self, events: Iterable[Event], *, history: str, after: int) -> None:
        """Write the events of the steps that follow position ``after`` of a history, in place of any there.

        :raises sqlite3.Error: when the database is gone, locked too long or damaged; then nothing was written.
        """
        with self._transaction() as connection:
            _forget(connection, history, after)
            _insert(connection, events)

    def reconcile(self, runtime: Runtime, *, now: datetime) -> int:
        """Make the database agree with the stored runtime of its service; returns how many messages were found lost.

        Call it when the emulator starts and after a service was created or restored onto this database. Steps taken
        back by a crash go; messages that wait here but not in the runtime (they waited before a restore)
        are marked lost; messages that wait in the runtime but are unknown here (the database was made anew) enter.
        """
        moment, kept = to_text(now), {message["id"]: message for message in runtime["batch_messages"]}
        history = runtime["history"]
        with self._transaction() as connection:
            _forget(connection, history, runtime["position"])
            waiting = {row["message_id"]: row for row in connection.execute(_WAITING_MESSAGES)}
            lost = [row for message_id, row in waiting.items() if message_id not in kept]
            _insert(connection, (_lost(row, moment) for row in lost))
            unknown = sorted(kept.keys() - waiting.keys())
            connection.executemany("DELETE FROM batch_events WHERE message_id = ?", [(each,) for each in unknown])
            _insert(connection, (entered(kept[each], history, 0) for each in unknown))
        return len(lost)

    def waiting(self) -> list[dict[str, Any]]:
        """The rows of :data:`DRAIN_QUERY`."""
        return self.query(DRAIN_QUERY)

    def control_numbers_since(self, since: datetime) -> list[dict[str, Any]]:
        """The rows of :data:`CONTROL_NUMBERS_SINCE_QUERY`."""
        return self.query(CONTROL_NUMBERS_SINCE_QUERY, since=to_text(since))

    def duplicates(self) -> list[dict[str, Any]]:
        """The rows of :data:`DUPLICATES_QUERY`."""
        return self.query(DUPLICATES_QUERY)

    def last_received(self, agreement: str) -> int | None:
        """The interchange control number that came in last over an agreement; ``None`` before the first."""
        rows = self.query(
            "SELECT number FROM control_number_events WHERE agreement = :agreement AND kind = 'interchange' "
            "AND direction = 'received' ORDER BY occurred_at DESC, position DESC LIMIT 1",
            agreement=agreement,
        )
        return rows[0]["number"] if rows else None

    def query(self, statement: str, **parameters: Any) -> list[dict[str, Any]]:
        """The rows of any reading statement, as dictionaries.

        :raises sqlite3.Error: when the statement or the database is refused.
        """
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA query_only = ON")
            return [dict(row) for row in connection.execute(statement, parameters)]

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw", uri=True, timeout=_BUSY_TIMEOUT_SECONDS, isolation_level=None
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._connect())


class _Transaction:
    """BEGIN IMMEDIATE ... COMMIT, or ROLLBACK on an exception; the connection closes either way."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __enter__(self) -> sqlite3.Connection:
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except BaseException:
            self.connection.close()
            raise
        return self.connection

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.connection.execute("ROLLBACK" if kind else "COMMIT")
        finally:
            self.connection.close()


def entered(message: BatchMessage, history: str, position: int) -> BatchEvent:
    """The event of a message that enters its batch."""
    return BatchEvent(
        event_id=f"{message['id']}:entered",
        history=history,
        position=position,
        occurred_at=message["when"],
        agreement=message["agreement"],
        event="entered",
        batch=message["batch"],
        message_id=message["id"],
        size=message["size"],
    )


_WAITING_MESSAGES = """
SELECT * FROM batch_events entered WHERE event = 'entered'
AND NOT EXISTS (SELECT 1 FROM batch_events gone WHERE gone.message_id = entered.message_id AND gone.event <> 'entered')
"""


def _lost(row: sqlite3.Row, moment: str) -> BatchEvent:
    return BatchEvent(
        event_id=f"{row['message_id']}:lost",
        history=row["history"],
        position=0,
        occurred_at=moment,
        agreement=row["agreement"],
        event="lost",
        batch=row["batch"],
        message_id=row["message_id"],
        size=row["size"],
        reason="The service holds this message no longer; messages in batches are never part of a backup.",
    )


def _forget(connection: sqlite3.Connection, history: str, after: int) -> None:
    for each in _TYPES:
        connection.execute(f"DELETE FROM {each.table} WHERE history = ? AND position > ?", (history, after))


def _insert(connection: sqlite3.Connection, events: Iterable[Event]) -> None:
    rows: dict[type[Event], list[dict[str, Any]]] = {}
    for event in events:
        rows.setdefault(type(event), []).append(asdict(event))
    for each, values in rows.items():
        names = [field.name for field in fields(each)]
        columns, places = ", ".join(names), ", ".join(f":{name}" for name in names)
        connection.executemany(f"INSERT INTO {each.table} ({columns}) VALUES ({places})", values)
