"""What the admin port shows and changes of the world around the services; no secret is shown."""

from __future__ import annotations

import sqlite3
from typing import Any

from biztalk_emulator.connection_strings import is_database_name
from biztalk_emulator.store import Store
from biztalk_emulator.world import World, users_of_databases


class WorldOrderError(ValueError):
    """An order was refused; the message has the reason."""


def view(world: World, store: Store) -> dict[str, Any]:
    """All databases and namespaces, and which services use them."""
    services = store.services()
    users = users_of_databases(store)
    used: dict[str, list[str]] = {}
    for service in services:
        namespace = service.settings.get("AccessControlNamespace")
        used.setdefault((namespace or "").lower(), []).append(service.name)
    return {
        "databases": [
            {
                "name": each.name,
                "user": each.user,
                "used_by": users.get(each.name.lower()),
                "path": str(world.database_path(each.name)),
            }
            for each in world.databases()
        ],
        "namespaces": [{"name": each.name, "used_by": used.get(each.name.lower(), [])} for each in world.namespaces()],
    }


def put_database(world: World, store: Store, name: str, order: dict[str, Any]) -> bool:
    """Make a database with its schema, or change the login of a known one; returns whether it is new.

    :param order: ``password``, and ``user``, which a known database keeps when it is not given.
    :raises WorldOrderError: for an impossible name or order.
    """
    if not is_database_name(name):
        raise WorldOrderError("A database has a name of up to 128 letters, digits, dots, dashes and underscores.")
    known = world.database(name)
    user, password = order.get("user", known.user if known else None), order.get("password")
    if not isinstance(user, str) or not isinstance(password, str) or set(order) - {"user", "password"}:
        raise WorldOrderError("A database needs the texts user and password, and nothing else.")
    new = world.put_database(name, user, password)
    try:
        world.create_schema(name)
    except sqlite3.Error as error:
        raise WorldOrderError(f"The file of the database {name} cannot be used ({error}).") from None
    store.erase_traces()
    return new


def put_namespace(world: World, store: Store, name: str, order: dict[str, Any]) -> bool:
    """Make an Access Control namespace, or change the key of a known one; returns whether it is new.

    :param order: ``key``.
    :raises WorldOrderError: for an impossible order.
    """
    if not isinstance(order.get("key"), str) or not order["key"] or set(order) - {"key"}:
        raise WorldOrderError("A namespace needs the text key, and nothing else.")
    new = world.put_namespace(name, order["key"])
    store.erase_traces()
    return new
