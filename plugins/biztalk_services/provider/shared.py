"""What the waits of a triggerer share: one reader of services for each subscription, the slots of each archive."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Generic, TypeVar

from airflow.sdk import Connection

from biztalk_services.flows.shared_look import SharedServices
from biztalk_services.flows.slots import Slots
from biztalk_services.provider.connections import AirflowConnections, open_archive
from biztalk_services.provider.hook import driver_for

T = TypeVar("T")


class Shared(Generic[T]):
    """One thing for each name that leads to a connection. It is made anew when the connection was changed: seen by the
    next wait that begins, while those before it go on with the old one until a call fails.

    :param make: makes it by its name, which begins with the id of the connection.
    """

    def __init__(self, make: Callable[[str], T]) -> None:
        self._make = make
        self._made: dict[str, tuple[Connection | None, T]] = {}
        self._lock = Lock()

    def of(self, name: str) -> T:
        """The one for this name; blocks while the connection is looked up."""
        connection = AirflowConnections().get(name.partition("/")[0])
        with self._lock:
            known = self._made.get(name)
            if known is None or known[0] != connection:
                known = self._made[name] = (connection, self._make(name))
            return known[1]


SERVICES = Shared(lambda conn_id: SharedServices(partial(driver_for, conn_id)))
"""By the id of the connection to the subscription."""

SLOTS = Shared(lambda archive: Slots(partial(open_archive, archive)))
"""By the archive, as operators name it."""
