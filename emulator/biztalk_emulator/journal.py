"""The journal: requests, responses and events, in order and never changed."""

from __future__ import annotations

import json
from typing import Any

from biztalk_emulator import times
from biztalk_emulator.store import Store

KINDS = ("request", "operation", "state", "blob", "traffic", "admin")


class Journal:
    """Appends to and reads from the store; an entry shares the transaction of the change it records."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def write(self, kind: str, service: str | None, **entry: Any) -> None:
        """Append one entry.

        :param kind: one of `KINDS`.
        :param service: name of the service it is about, in any case.
        :param entry: JSON-able facts without secrets.
        """
        self._store.execute(
            "INSERT INTO journal (at, kind, service, entry) "
            "VALUES (?, ?, coalesce((SELECT name FROM services WHERE key = lower(?)), ?), ?)",
            (times.iso(), kind, service, service, json.dumps(entry)),
        )

    def read(
        self, *, after: int = 0, service: str | None = None, kind: str | None = None, limit: int = 1000
    ) -> list[dict[str, Any]]:
        """Return at most `limit` entries with a sequence number above `after`, oldest first."""
        rows = self._store.rows(
            "SELECT * FROM journal WHERE seq > ? AND (? IS NULL OR lower(service) = lower(?)) "
            "AND (? IS NULL OR kind = ?) ORDER BY seq LIMIT ?",
            (after, service, service, kind, kind, limit),
        )
        return [
            {"seq": row["seq"], "at": row["at"], "kind": row["kind"], "service": row["service"]}
            | json.loads(row["entry"])
            for row in rows
        ]

    def newest(self) -> int:
        """The highest sequence number, of whatever kind and service; 0 when nothing has happened yet."""
        return self._store.rows("SELECT coalesce(MAX(seq), 0) AS newest FROM journal")[0]["newest"]
