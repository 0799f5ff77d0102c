"""What surrounds the services and is not real here: SQL databases with logins, Access Control namespaces with keys.

Each is stored with its present secret, so that a value in a request can be right or wrong. Storage accounts are no
part of it: those are real (:mod:`.storage`).
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from biztalk_emulator.business.tracking import TrackingDatabase
from biztalk_emulator.connection_strings import ConnectionStringError, Login, database_name, parse_login
from biztalk_emulator.failures import OperationFailure
from biztalk_emulator.store import Store

_INTRODUCED = "world_introduced"


@dataclass(frozen=True)
class Database:
    """A SQL database and the one login that opens it."""

    name: str
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Namespace:
    """An Access Control namespace.

    :param key: the password of its service identity ``owner``.
    :param signing_key: what its tokens are signed with, base64; its own from its making to its end, whatever `key` is.
    """

    name: str
    key: str = field(repr=False)
    signing_key: str = field(repr=False)


class World:
    """Stores databases and namespaces.

    :param folder: where the files of the databases are.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._folder = folder

    def introduce_once(self) -> None:
        """Introduce what the services name in a home that was made before there was a world."""
        if not self._store.fact(_INTRODUCED, False):
            for service in self._store.services():
                self.introduce(service.settings)
            self._store.save_fact(_INTRODUCED, True)

    def introduce(self, settings: dict[str, Any], before: dict[str, Any] | None = None) -> None:
        """Record what the settings of a service name as existing, with these secrets.

        :param before: the service's settings until now; what did not change is not recorded again.
        """
        before = before or {}
        text = settings.get("TrackingStoreConnectionString")
        if text and text != before.get("TrackingStoreConnectionString"):
            login = parse_login(text)
            self.put_database(database_name(text), login.user, login.password)
        name, key = settings.get("AccessControlNamespace"), settings.get("AccessControlKey")
        if name and (name, key) != (before.get("AccessControlNamespace"), before.get("AccessControlKey")):
            self.put_namespace(name, key or "")

    # Databases.

    def databases(self) -> list[Database]:
        """All databases by name."""
        return [_database(row) for row in self._store.rows("SELECT * FROM databases ORDER BY key")]

    def database(self, name: str) -> Database | None:
        """Find one by name in any case."""
        rows = self._store.rows("SELECT * FROM databases WHERE key = ?", (name.lower(),))
        return _database(rows[0]) if rows else None

    def put_database(self, name: str, user: str, password: str) -> bool:
        """Store a database that this login only opens; returns whether it is new."""
        known = self.database(name)
        kept = known.name if known else name
        self._store.execute("REPLACE INTO databases VALUES (?, ?, ?, ?)", (name.lower(), kept, user, password))
        return known is None

    def create_schema(self, name: str) -> None:
        """Make the file of a database with its schema, if it is missing.

        :raises sqlite3.Error: the file cannot be used.
        """
        TrackingDatabase(self.database_path(name))

    def drop_database(self, name: str) -> bool:
        """Drop a database with everything in it; False when there is none."""
        path = self.database_path(name)
        dropped = self._store.execute("DELETE FROM databases WHERE key = ?", (name.lower(),)).rowcount > 0
        if dropped:
            for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
                file.unlink(missing_ok=True)
        return dropped

    def database_path(self, name: str) -> Path:
        """The file of a database."""
        known = self.database(name)
        return self._folder / f"{known.name if known else name}.db"

    def check_database(self, connection_string: str) -> None:
        """Log in to a database.

        :raises OperationFailure: it does not exist, or refuses the login.
        """
        try:
            name, login = database_name(connection_string), parse_login(connection_string)
        except ConnectionStringError as error:
            raise OperationFailure(400, "BadRequest", "TrackingDatabaseNotFound", str(error)) from None
        database = self.database(name)
        if database is None:
            raise OperationFailure(
                400, "BadRequest", "TrackingDatabaseNotFound", f"The tracking database {name} does not exist."
            )
        if login != Login(database.user, database.password):
            raise OperationFailure(
                400,
                "BadRequest",
                "TrackingDatabaseLoginFailed",
                f"The tracking database {name} refused user name and password.",
            )

    def check_database_is_free(self, connection_string: str, itself: str = "") -> None:
        """Refuse a tracking database that another service uses.

        :param itself: name of the service that may use it.
        :raises OperationFailure: no two services may share one.
        """
        user = users_of_databases(self._store).get(database_name(connection_string).lower())
        if user is not None and user.lower() != itself.lower():
            raise OperationFailure(
                409,
                "ConflictError",
                "TrackingDatabaseInUse",
                "The tracking database is used by another service; no two services may share one.",
            )

    # Namespaces.

    def namespaces(self) -> list[Namespace]:
        """All namespaces by name."""
        return [_namespace(row) for row in self._store.rows("SELECT * FROM namespaces ORDER BY key")]

    def namespace(self, name: str) -> Namespace | None:
        """Find one by name in any case."""
        rows = self._store.rows("SELECT * FROM namespaces WHERE key = ?", (name.lower(),))
        return _namespace(rows[0]) if rows else None

    def put_namespace(self, name: str, key: str) -> bool:
        """Store a namespace with this key only; returns whether it is new."""
        known = self.namespace(name)
        signing_key = known.signing_key if known else base64.b64encode(secrets.token_bytes(32)).decode("ascii")
        kept = known.name if known else name
        self._store.execute("REPLACE INTO namespaces VALUES (?, ?, ?, ?)", (name.lower(), kept, key, signing_key))
        return known is None

    def drop_namespace(self, name: str) -> bool:
        """Remove a namespace; False when there is none."""
        return self._store.execute("DELETE FROM namespaces WHERE key = ?", (name.lower(),)).rowcount > 0

    def synchronized(self, settings: dict[str, Any]) -> dict[str, Any] | None:
        """What synchronizing the keys changes in a service: its settings with the present key of its namespace.

        None when there is nothing to change, also when the namespace is gone.
        """
        namespace = self.namespace(settings.get("AccessControlNamespace") or "")
        if namespace is None or namespace.key == settings.get("AccessControlKey"):
            return None
        return {"settings": settings | {"AccessControlKey": namespace.key}}

    def check_namespace(self, name: str, key: str) -> None:
        """Check that this is the key of a namespace.

        :raises OperationFailure: it does not exist, or has another key.
        """
        namespace = self.namespace(name)
        if namespace is None:
            raise OperationFailure(
                400,
                "BadRequest",
                "AccessControlNamespaceNotFound",
                f"The Access Control namespace {name} does not exist.",
            )
        if namespace.key != key:
            raise OperationFailure(
                400, "BadRequest", "AccessControlKeyRefused", f"The Access Control namespace {name} refused the key."
            )


def users_of_databases(store: Store) -> dict[str, str]:
    """Name of a tracking database in lower case -> the service that uses it."""
    named = store.rows("SELECT name, json_extract(settings, '$.TrackingStoreConnectionString') AS text FROM services")
    return {database_name(row["text"]).lower(): row["name"] for row in named if row["text"]}


def _database(row: Any) -> Database:
    return Database(row["name"], row["user"], row["password"])


def _namespace(row: Any) -> Namespace:
    return Namespace(row["name"], row["secret"], row["signing_key"])
