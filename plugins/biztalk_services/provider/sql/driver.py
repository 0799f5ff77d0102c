"""The driver of a database connection, as PEP 249 describes it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from biztalk_services.drivers.sql.errors import QueryRefusedError

_KEEP_PERCENT = ("pymssql", "mysql.connector")
"""Drivers that put parameters in by looking for their marks, and leave every other % alone. The others use Python's
operator %, or do as it does."""


@dataclass(frozen=True)
class Driver:
    """What is to be known of a driver.

    :param name: of its module (``psycopg2``).
    :param version: as it says it; empty where it does not.
    :param paramstyle: PEP 249's word for how it takes parameters.
    """

    name: str
    version: str
    paramstyle: str

    @property
    def doubles_percent(self) -> bool:
        """Whether it reads ``%%`` as ``%`` once parameters are given."""
        return self.paramstyle in ("format", "pyformat") and self.name not in _KEEP_PERCENT

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip()


def driver_of(conn: Any) -> Driver:
    """The driver behind an open connection.

    :raises QueryRefusedError: it is none of PEP 249.
    """
    for kind in type(conn).__mro__:
        parts = kind.__module__.split(".")
        for end in range(1, len(parts) + 1):  # pymssql._pymssql has one as well, and is not the driver's name
            name = ".".join(parts[:end])
            module = sys.modules.get(name)
            if isinstance(style := getattr(module, "paramstyle", None), str):
                return Driver(name, _version_of(module), style)
    raise QueryRefusedError(
        f"The database's driver, {type(conn).__module__}, does not say how it takes parameters (paramstyle of PEP 249)."
    )


def _version_of(module: Any) -> str:
    """:param module: ``sqlite3`` has only the version of its library worth telling."""
    for name in ("sqlite_version", "__version__", "version"):
        if isinstance(version := getattr(module, name, None), str):
            return version.split(" ")[0]
    return ""
