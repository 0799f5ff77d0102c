"""Messages in and out of services: which states process them, and the release of due batches."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from biztalk_emulator import times
from biztalk_emulator.business import traffic
from biztalk_emulator.business.errors import TrafficRefused
from biztalk_emulator.business.tracking import TrackingDatabase
from biztalk_emulator.connection_strings import database_name
from biztalk_emulator.failures import OperationFailure
from biztalk_emulator.lifecycle import Lifecycle
from biztalk_emulator.store import Service
from biztalk_emulator.world import World


class NotProcessing(Exception):
    """The service processes no messages in its state."""


class MessageDesk:
    """Passes messages to the business part and stores what it changes.

    :param world: where tracking databases are.
    """

    def __init__(self, lifecycle: Lifecycle, world: World) -> None:
        self._lifecycle = lifecycle
        self._store = lifecycle.store
        self._world = world
        lifecycle.settings_changed = self.try_tracking

    def tracking_path(self, settings: dict[str, Any]) -> Path | None:
        """The file of a service's tracking database; None when it has none."""
        text = settings.get("TrackingStoreConnectionString")
        return self._world.database_path(database_name(text)) if text else None

    def tracking(self, service: Service) -> TrackingDatabase | None:
        """A service's tracking database, logged in; None when it has none.

        :raises TrafficRefused: it does not exist, refuses the login, or cannot be used.
        """
        path = self.tracking_path(service.settings)
        if path is None:
            return None
        try:
            self._world.check_database(service.settings["TrackingStoreConnectionString"])
        except OperationFailure as failure:
            raise TrafficRefused(failure.error["message"]) from None
        with _usable_tracking(service):
            return TrackingDatabase(path)

    def open_tracking(self, service: Service) -> None:
        """Make a service's tracking database agree with the store.

        :raises TrafficRefused: the database cannot be used.
        """
        tracking = self.tracking(service)
        if tracking:
            with _usable_tracking(service):
                tracking.reconcile(service.runtime, now=times.as_datetime(times.now()))

    def duplicates(self, service: Service) -> list[dict[str, Any]]:
        """The rows of :data:`biztalk_emulator.business.tracking.DUPLICATES_QUERY`; empty without tracking database.

        :raises TrafficRefused: the database cannot be used.
        """
        tracking = self.tracking(service)
        with _usable_tracking(service):
            return tracking.duplicates() if tracking else []

    def try_tracking(self, service: Service) -> None:
        """Do as `open_tracking` does; a database that cannot be used is named on stderr and stops messages only."""
        try:
            self.open_tracking(service)
        except TrafficRefused as refused:
            print(refused, file=sys.stderr)

    def send(self, name: str, order: dict[str, Any]) -> dict[str, Any]:
        """Let messages arrive at an agreement of a service.

        :param order: arguments of :func:`biztalk_emulator.business.traffic.send`.
        :raises NotProcessing: the service is not Active.
        :raises TrafficRefused: from the business part.
        """
        return self._work(name, "send", lambda service, **how: traffic.send(service, **order, **how))

    def release(self, name: str, agreement: str, batch: str) -> dict[str, Any]:
        """Send what a batch holds.

        :raises NotProcessing: the service is not Active.
        :raises TrafficRefused: from the business part.
        """
        return self._work(
            name, "release", lambda service, **how: traffic.release(service, agreement=agreement, batch=batch, **how)
        )

    def release_due(self) -> None:
        """Release every due batch of every service that processes messages."""
        now = times.as_datetime(times.now())
        for service in self._store.services_with_messages():
            if not service.processes_messages:
                continue
            due = traffic.next_release(_document(service))
            if due is not None and due <= now:
                with suppress(NotProcessing, TrafficRefused):
                    self._work(service.name, "release due", traffic.release_due)

    def _work(self, name: str, event: str, work: Callable[..., Any]) -> Any:
        with self._store.transaction():
            service = self._store.service(name)
            if service is None or not service.processes_messages:
                state = service.visible_state if service else "deleted"
                raise NotProcessing(f"{name} is {state}, so it processes no messages.")
            tracking = self.tracking(service)
            if tracking is None:
                raise TrafficRefused(f"{service.name} has no tracking database, so it processes no messages.")
            document = _document(service)
            with _usable_tracking(service):
                result = work(document, now=times.as_datetime(times.now()), tracking=tracking)
            if result == []:
                return result
            service.content, service.runtime = document["content"], document["runtime"]
            self._store.save_service(service)
            self._lifecycle.journal.write("traffic", service.name, event=event, result=result)
            return result


@contextmanager
def _usable_tracking(service: Service) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise TrafficRefused(
            f"The tracking database of {service.name} cannot be used ({error}), so it processes no messages."
        ) from error


def _document(service: Service) -> dict[str, Any]:
    return {"name": service.name, "content": service.content, "runtime": service.runtime}
