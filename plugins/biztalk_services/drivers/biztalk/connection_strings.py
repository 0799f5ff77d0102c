"""Connection strings without secrets: what they lead to."""

from __future__ import annotations

import re
from collections.abc import Mapping

from biztalk_services.model.connection_strings import join, pairs, parse
from biztalk_services.model.redaction import redact

TRACKING = "TrackingStoreConnectionString"
"""Element name of the setting that leads to a service's tracking database."""

_PUBLIC_PARTS = ("data source", "server", "initial catalog", "database", "accountname", "blobendpoint")


def parts_of(connection_string: str) -> Mapping[str, str]:
    """Name (lower case) -> value of the parts of a connection string; none where it cannot be read."""
    try:
        return parse(connection_string)
    except ValueError:
        return {}


def shown(connection_string: str) -> str:
    """What a connection string leads to, without secrets; empty where it cannot be read."""
    try:
        public = {name: value for name, value in pairs(connection_string) if name.lower() in _PUBLIC_PARTS}
        # Sorted: the order of the parts is not significant, and equal stores must compare equal.
        return join({name: without_user(redact(public[name])) for name in sorted(public)})
    except ValueError:
        return ""


def without_user(text: str) -> str:
    """A text with or without an address: user, password and query removed."""
    return re.sub(r"(//)[^/@\s]*@", r"\1", text).partition("?")[0]


def tracking_database(settings: Mapping[str, str]) -> str | None:
    """``server/database`` in lower case out of the harmless settings of a service; None when it does not say so.

    A server is the same with and without its protocol and the usual port (``tcp:sql.example,1433``).
    """
    parts = parts_of(settings.get(TRACKING, "").lower())
    server = "".join((parts.get("data source") or parts.get("server") or "").split())
    server = server.removeprefix("tcp:").removesuffix(",1433").rstrip(".")
    database = parts.get("initial catalog") or parts.get("database")
    return f"{server}/{database}" if server and database else None
