"""What a use case works with: one service seen through its driver, the archive, and the run that it is done for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from biztalk_services.drivers.base import Driver
from biztalk_services.model.log import Logger
from biztalk_services.model.records import Lock
from biztalk_services.model.run import Run, RunState
from biztalk_services.model.service import Service, ServiceKey, ServiceRef

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive


class Journal(Protocol):
    """What a step has stored so as not to request a change twice. It survives retries and clears of the step."""

    def get(self, key: str) -> dict[str, Any] | None: ...

    def set(self, key: str, entry: dict[str, Any]) -> None: ...

    def delete(self, key: str) -> None: ...


def take_lock(
    archive: Archive,
    service: ServiceKey,
    purpose: str,
    *,
    run: Run,
    lasts: timedelta,
    run_state: Callable[[Run], RunState],
) -> None:
    """Lock a service for a run; the same run may lock it again.

    :param purpose: ``backup`` or ``restore``.
    :param lasts: how long the lock lasts unless it is released.
    :raises ServiceLockedError: another run that has not ended holds the lock.
    """
    lock = Lock(str(service.ref), service.subscription_id, run, purpose, datetime.now(UTC) + lasts)
    archive.locks.take(lock, has_ended=lambda other: run_state(other) is RunState.ENDED)


class ServiceAccess:
    """Access to one service through its driver, and to the archive; each is opened when it is first needed."""

    def __init__(
        self, ref: ServiceRef, driver: Callable[[], Driver], archive: Callable[[], Archive], log: Logger
    ) -> None:
        self.ref = ref
        self.log = log
        self._open_driver = driver
        self._open_archive = archive

    @cached_property
    def driver(self) -> Driver:
        return self._open_driver()

    @cached_property
    def key(self) -> ServiceKey:
        """What the records know the service by."""
        return ServiceKey(self.driver.subscription_id, self.ref)

    @cached_property
    def archive(self) -> Archive:
        return self._open_archive()


class Job(ServiceAccess):
    """
    :param run: the run that works on the service.
    :param run_state: what is known of a run.
    :param request_id: our name for a request of this kind (``suspend``), the same for every try of the step.
    :param lock_lasts: how long a lock lasts unless it is released.
    """

    def __init__(
        self,
        *,
        driver: Callable[[], Driver],
        archive: Callable[[], Archive],
        ref: ServiceRef,
        run: Run,
        run_state: Callable[[Run], RunState],
        journal: Journal,
        request_id: Callable[[str], str],
        log: Logger,
        lock_lasts: timedelta,
    ) -> None:
        super().__init__(ref, driver, archive, log)
        self.run = run
        self.run_state = run_state
        self.journal = journal
        self.request_id = request_id
        self._lock_lasts = lock_lasts

    def service(self) -> Service:
        """The service as it is now.

        :raises ServiceNotFoundError: there is none.
        """
        return self.driver.get_service(self.ref)

    def lock(self, purpose: str) -> None:
        """Lock the service for this run, as :func:`take_lock`."""
        take_lock(self.archive, self.key, purpose, run=self.run, lasts=self._lock_lasts, run_state=self.run_state)
