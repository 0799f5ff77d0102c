"""Connection strings without secrets: what they lead to."""

from __future__ import annotations

from collections.abc import Mapping

TRACKING = "TrackingStoreConnectionString"
"""Element name of the setting that leads to a service's tracking database."""


def parts_of(connection_string: str) -> Mapping[str, str]:
    """Name (lower case) -> value of the parts of a connection string."""
    pairs = (part.partition("=") for part in connection_string.split(";") if part.strip())
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def tracking_database(settings: Mapping[str, str]) -> str | None:
    """``server/database`` in lower case out of the harmless settings of a service; None when it does not say so.

    A server is the same with and without its protocol and the usual port (``tcp:sql.example,1433``).
    """
    parts = parts_of(settings.get(TRACKING, "").lower())
    server = "".join((parts.get("data source") or parts.get("server") or "").split())
    server = server.removeprefix("tcp:").removesuffix(",1433").rstrip(".")
    database = parts.get("initial catalog") or parts.get("database")
    return f"{server}/{database}" if server and database else None
