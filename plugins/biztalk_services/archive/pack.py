"""What a list shows of all records of a catalog, as one SQLite database in memory, and that as one blob.

A blob is one line with its format and the SHA-256 of the rest, and the compressed database.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from hashlib import sha256
from typing import Any

from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.listing import ListedBackup, Wanted, iso_in_utc

_FORMAT = b"biztalk-catalog-index 1"
_FIELDS = ListedBackup._fields
_COLUMNS = ", ".join(_FIELDS)
_VALUES = ", ".join("?" * (len(_FIELDS) + 1))
_PATH = "folder || '/' || lower(service) || '/' || backup || '.json'"
_LARGEST = 2**30
"""How large a database may become when it is decompressed: that of some five million records."""

_SCHEMA = f"""
CREATE TABLE listed (folder, {_COLUMNS}, PRIMARY KEY (folder, finished_at, backup, service)) WITHOUT ROWID;
CREATE TABLE unreadable (path PRIMARY KEY, sentence) WITHOUT ROWID;
CREATE TABLE about (checked_at);
INSERT INTO about VALUES (NULL);
"""


class DamagedIndexError(BackupServiceError):
    """A blob is not the index that was written, or not one that this version understands."""


class Pack:
    """The rows. One thread may use it."""

    def __init__(self, content: bytes | None = None) -> None:
        """
        :param content: of a database; None: without a row.
        """
        self._database = sqlite3.connect(":memory:", isolation_level=None)
        # What stands in a blob may not run anything but its own schema.
        self._database.execute("PRAGMA trusted_schema = OFF")
        if content is None:
            self._database.executescript(_SCHEMA)
        else:
            self._database.deserialize(content)

    @classmethod
    def opened(cls, blob: bytes) -> Pack:
        """The pack in a blob.

        :raises DamagedIndexError: it is not what :meth:`to_blob` made.
        """
        line, _, content = blob.partition(b"\n")
        if line != _first_line(content):
            raise DamagedIndexError("It is not what was written, or of another version.")
        try:
            unpacked = zlib.decompressobj()
            pack = cls(unpacked.decompress(content, _LARGEST))
            pack._database.execute(
                f"SELECT folder, {_COLUMNS}, path, checked_at FROM listed, unreadable, about LIMIT 1"
            )
        except (zlib.error, sqlite3.Error) as error:
            raise DamagedIndexError(f"It is no database ({error}).") from None
        return pack

    def to_blob(self) -> bytes:
        """The content of a blob."""
        self._database.execute("VACUUM")
        content = zlib.compress(self._database.serialize(), 1)
        return _first_line(content) + b"\n" + content

    @property
    def checked_at(self) -> str:
        """When it was last compared with all names of the catalog, as ISO 8601 in UTC; empty: never."""
        return str(self._one("SELECT checked_at FROM about") or "")

    @checked_at.setter
    def checked_at(self, moment: datetime) -> None:
        self._database.execute("UPDATE about SET checked_at = ?", (iso_in_utc(moment),))

    def put(self, rows: Iterable[tuple[str, ListedBackup]]) -> None:
        """Add rows: the folder of each record, and what a list shows of it. A row of the same record is replaced."""
        self._database.execute("BEGIN")
        self._database.executemany(
            f"INSERT OR REPLACE INTO listed (folder, {_COLUMNS}) VALUES ({_VALUES})",
            ((folder, *listed) for folder, listed in rows),
        )
        self._database.execute("COMMIT")

    def put_unreadable(self, path: str, sentence: str) -> None:
        """Note that a record cannot be read, and why."""
        self._database.execute("INSERT OR REPLACE INTO unreadable VALUES (?, ?)", (path, sentence))

    def remove(self, paths: Iterable[str]) -> None:
        """Take out what is known of these records."""
        self._database.execute("CREATE TEMP TABLE gone (path PRIMARY KEY)")
        self._database.executemany("INSERT OR IGNORE INTO gone VALUES (?)", ((path,) for path in paths))
        self._database.execute(f"DELETE FROM listed WHERE {_PATH} IN gone")
        self._database.execute("DELETE FROM unreadable WHERE path IN gone")
        self._database.execute("DROP TABLE gone")

    def paths(self) -> Iterator[str]:
        """The path of every record, also of those that cannot be read."""
        for (path,) in self._database.execute(f"SELECT {_PATH} FROM listed UNION ALL SELECT path FROM unreadable"):
            yield path

    def rows(self, folder: str) -> Iterator[tuple[str, ListedBackup]]:
        """Path and row of each record of a folder."""
        found = self._database.execute(f"SELECT {_PATH}, {_COLUMNS} FROM listed WHERE folder = ?", (folder,))
        return ((path, ListedBackup._make(row)) for path, *row in found)

    def unreadable(self) -> list[tuple[str, str]]:
        """Path of each record that cannot be read, and why."""
        return list(self._database.execute("SELECT path, sentence FROM unreadable ORDER BY path"))

    def count(self, folder: str) -> int:
        """How many records of a folder there are, without those that cannot be read."""
        return int(self._one("SELECT count(*) FROM listed WHERE folder = ?", folder))

    def select(self, folder: str, wanted: Wanted) -> Iterator[ListedBackup]:
        """The records of a folder that are wanted, the newest first."""
        where, values = _where(folder, wanted)
        found = f"SELECT {_COLUMNS} FROM listed WHERE {where}"
        if wanted.newest:  # beside max(), SQLite takes all columns out of the row that has it
            found = (
                f"SELECT {_COLUMNS} FROM (SELECT {_COLUMNS}, max(finished_at || ' ' || backup) FROM listed "
                f"WHERE {where} GROUP BY lower(subscription_id), lower(scope), lower(service))"
            )
        return map(
            ListedBackup._make,
            self._database.execute(f"{found} ORDER BY finished_at DESC, backup DESC", values),
        )

    def subscriptions(self, wanted: Wanted) -> int:
        """In how many subscriptions the services of the wanted records are."""
        where, values = _where(None, wanted)
        return int(self._one(f"SELECT count(DISTINCT lower(subscription_id)) FROM listed WHERE {where}", *values))

    def named(self, folder: str, backup: str) -> list[str]:
        """The paths of a folder's records of backups of this name."""
        found = self._database.execute(f"SELECT {_PATH} FROM listed WHERE folder = ? AND backup = ?", (folder, backup))
        return [path for (path,) in found]

    def _one(self, query: str, *values: Any) -> Any:
        (value,) = self._database.execute(query, values).fetchone()
        return value


def _where(folder: str | None, wanted: Wanted) -> tuple[str, list[str]]:
    clauses, values = ["1"], []
    for name, text in wanted.texts.items():
        clauses.append(f"lower({name}) = ?")
        values.append(text.lower())
    for comparison, moment in ((">=", wanted.since), ("<", wanted.until)):
        if moment is not None:
            clauses.append(f"finished_at {comparison} ?")
            values.append(iso_in_utc(moment))
    if folder is not None:
        clauses.append("folder = ?")
        values.append(folder)
    return " AND ".join(clauses), values


def _first_line(content: bytes) -> bytes:
    return _FORMAT + b" " + sha256(content).hexdigest().encode()
