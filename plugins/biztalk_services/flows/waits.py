"""What a wait waits for: each polls once, and says whether the wait is over. They only read, but for one that closes
the suspension records of its run.

An operation is asked for seldom: while a service is between two states its state says enough, and many waits share one
look at it. A service that settled too soon, or never was between two states, is waited for until its operation ends.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from biztalk_services.drivers.base import Driver
from biztalk_services.flows.first_numbers import Counter, FirstLook
from biztalk_services.flows.job import ServiceAccess
from biztalk_services.model.drain import DrainStatus
from biztalk_services.model.errors import BackupServiceError, OperationNotFoundError, ServiceNotFoundError
from biztalk_services.model.log import Logger
from biztalk_services.model.requests import PROCEED
from biztalk_services.model.run import Run
from biztalk_services.model.service import Operation, Phase, Service, ServiceKey, ServiceRef
from biztalk_services.model.steps import CONFIRMED, NOT_CONFIRMED, UNKNOWN, FirstNumbers, ReachedState

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive

_RELEASE = (
    "Nothing was suspended. Wait until the batches are released, or release them by hand, and run the backup again."
)


@dataclass(frozen=True)
class Succeeded:
    """The wait is over; ``value`` is handed on, plain JSON."""

    value: dict[str, Any]


@dataclass(frozen=True)
class Failed:
    """What is waited for cannot be reached any more; ``message`` says why and what to do."""

    message: str


Ending = Succeeded | Failed


class Services(Protocol):
    """The part of a driver that waits may share (:class:`biztalk_services.flows.shared_look.SharedServices`)."""

    @property
    def subscription_id(self) -> str: ...

    def get_service(self, ref: ServiceRef) -> Service: ...

    def get_operation(self, ref: ServiceRef, operation_id: str) -> Operation: ...


@runtime_checkable
class News(Protocol):
    """Services that others read, too."""

    def has_news(self, ref: ServiceRef) -> bool: ...


class Place(ServiceAccess):
    """What a wait polls. Changes of state are logged.

    :param services: opens what its service and operations are read through; None: the driver.
    """

    def __init__(
        self,
        service: str,
        *,
        driver: Callable[[], Driver],
        archive: Callable[[], Archive],
        log: Logger,
        services: Callable[[], Services] | None = None,
    ) -> None:
        super().__init__(ServiceRef.parse(service), driver, archive, log)
        self._open_services = services
        self._state: str | None = None

    @cached_property
    def services(self) -> Services:
        return self._open_services() if self._open_services else self.driver

    @cached_property
    def key(self) -> ServiceKey:
        return ServiceKey(self.services.subscription_id, self.ref)

    def has_news(self) -> bool:
        """Whether somebody else has read the service since it was read here. Requests nothing."""
        services = self.__dict__.get("services")
        return isinstance(services, News) and services.has_news(self.ref)

    def service(self) -> Service:
        """The service as it is now; a change of its state is logged."""
        service = self.services.get_service(self.ref)
        if service.state != self._state:
            self.log.info("%s is %s", self.ref, service.state)
            self._state = service.state
        return service

    def operation(self, operation_id: str | None) -> Operation | None:
        """The status of an operation; None when there is none, or when the service does not know it any more."""
        if operation_id is None:
            return None
        try:
            return self.services.get_operation(self.ref, operation_id)
        except OperationNotFoundError as error:
            self.log.warning("%s", error)
            return None


class Wait(ABC):
    """One kind of wait. Its fields are plain JSON without secrets, so that another process can go on with it."""

    longest_interval: ClassVar[float] = 30.0
    """Seconds between two polls, at the most."""

    follows_service: ClassVar[bool] = False
    """Whether it is over when the service is in some state, so that it polls whenever somebody has read the service."""

    @property
    def follows_request(self) -> bool:
        """Whether something was requested just now, so that a poll at once would come too early."""
        return False

    @abstractmethod
    def description(self) -> str:
        """What is waited for, to complete the sentence "waiting for ..."."""

    @abstractmethod
    def poll(self, place: Place) -> Ending | None:
        """Whether the wait is over; None when it is not. Blocks.

        :raises BackupServiceError: the poll failed.
        """

    def on_final_error(self, error: BackupServiceError) -> Ending:
        """The ending when a poll failed in a way that another poll will not change."""
        return Failed(str(error))

    def on_poll_errors(self, error: BackupServiceError) -> Ending:
        """The ending when polls failed for too long, or when the one at the deadline failed."""
        return Failed(f"Gave up waiting for {self.description()}: polls failed for too long. The last error: {error}")

    def on_timeout(self, deadline: str) -> Ending:
        """The ending when the poll at the deadline succeeded, and the wait is not over."""
        return Failed(self._timed_out(deadline))

    def _timed_out(self, deadline: str) -> str:
        return f"Timed out waiting for {self.description()} (deadline {deadline})."


class RequestedWait(Wait):
    """A wait for what an operation leads to.

    :param operation_id: None where nothing was requested, or its id is not known.
    """

    follows_service: ClassVar[bool] = True

    operation_id: str | None

    @property
    def follows_request(self) -> bool:
        return self.operation_id is not None


@dataclass
class StateWait(RequestedWait):
    """Waits until the service is in one of the expected states.

    :param expected: states, in the driver's spelling.
    :param operation_id: the operation that leads there; when it fails, so does the wait.
    """

    service: str
    expected: list[str]
    operation_id: str | None = None

    def description(self) -> str:
        return f"service {self.service} to be {' or '.join(self.expected)}"

    def poll(self, place: Place) -> Ending | None:
        service = place.service()
        if service.state in self.expected:
            return Succeeded(_reached(service))
        if service.phase is Phase.FAILED:
            operation = service.last_operation
            reason = operation.failure if operation else "no reason was reported"
            return Failed(
                f"Service {self.service} went to {service.state} while waiting for {self.description()}: {reason}. "
                "Check its operation log; the state chart lists what is allowed from there."
            )
        return None if _is_moving(service) else _failure(self.service, place.operation(self.operation_id))


@dataclass
class ResumedWait(StateWait):
    """Waits until a service is resumed, and closes the suspension records that the run has on it: it does not only
    read. Closing them twice does no harm. ``dag_id``, ``run_id`` and ``airflow`` are of the run that suspended it."""

    dag_id: str = ""
    run_id: str = ""
    airflow: str = ""

    def poll(self, place: Place) -> Ending | None:
        ending = super().poll(place)
        if isinstance(ending, Succeeded):
            run = Run(self.dag_id, self.run_id, self.airflow)
            reason = f"service is {ending.value['state']}"
            try:
                place.archive.suspensions.close_all(place.key, by=str(run), reason=reason, run=run)
            except BackupServiceError as error:
                place.log.warning("%s", error)  # the watchdog closes it
        return ending


@dataclass
class OperationWait(RequestedWait):
    """Waits until an operation has succeeded and the service is settled again.

    :param operation_id: None when it was adopted without its id. Then, and when the service does not know the id any
        more, what the service itself reports of its last operation counts.
    :param operation_type: type of the operation (``Backup``), as the service reports it.
    :param under_way: whether the operation was seen to be under way: then what a settled service reports of its last
        one is of it. Otherwise a settled service may be one that has not begun it.
    """

    service: str
    operation_id: str | None
    operation_type: str
    under_way: bool = False

    def description(self) -> str:
        return f"operation {self.operation_id or self.operation_type} of service {self.service} to end"

    def poll(self, place: Place) -> Ending | None:
        service = self._service(place)
        if service and _is_moving(service):
            self.under_way = True
            return None
        reported = self._reported(service) if service and self.under_way else None
        operation = reported or place.operation(self.operation_id) or self._reported(service or place.service())
        if operation is None or operation.result == "InProgress":
            self.under_way = self.under_way or operation is not None
            return None
        if failure := _failure(self.service, operation):
            return failure
        if service is None or not self.under_way:
            service = place.service()
            self.under_way = _is_moving(service)
        return None if service.is_transitional else Succeeded(_reached(service))

    def _service(self, place: Place) -> Service | None:
        """None where there is no such service yet: its restoration may have just begun."""
        try:
            return place.service()
        except ServiceNotFoundError:
            if self.operation_id is None:
                raise
            return None

    def _reported(self, service: Service) -> Operation | None:
        operation = service.last_operation
        is_ours = operation and self.operation_type.lower() in (operation.operation_type or "").lower()
        return operation if is_ours else None


@dataclass
class DeletedWait(RequestedWait):
    """Waits until the subscription has no such service any more; fails when the deletion fails."""

    service: str
    operation_id: str | None

    def description(self) -> str:
        return f"service {self.service} to be deleted"

    def poll(self, place: Place) -> Ending | None:
        try:
            service = place.service()
        except ServiceNotFoundError as error:
            place.log.info("%s", error)
            return Succeeded(ReachedState(None, None, datetime.now(UTC)).to_xcom())
        if _is_moving(service):
            return None
        return _failure(self.service, place.operation(self.operation_id) or service.last_operation)


@dataclass
class DrainWait(Wait):
    """Waits until no batch of a service holds messages.

    :param unknown_batches_policy: ``refuse`` or ``proceed`` when the batch status is unknown.
    :param confirmed_by: name of the person who confirmed for this run that all batches are empty, or None; counts only
        where the status is unknown, and no batch was seen to hold messages.
    :param active: the last status that showed batches with messages, or None. It passes from the worker to the
        triggerer; what only the triggerer saw is lost when another one goes on.
    """

    service: str
    unknown_batches_policy: str
    confirmed_by: str | None
    active: dict[str, Any] | None = None

    def description(self) -> str:
        return f"the batches of service {self.service} to be empty"

    def poll(self, place: Place) -> Ending | None:
        status = place.driver.drain_status(place.ref.name)
        if status.answer == "empty":
            return Succeeded(status.to_dict())
        active = status.to_dict()
        if self.active is None or active["batches"] != self.active["batches"]:
            place.log.info(status.sentence())
        self.active = active
        return None

    def on_timeout(self, deadline: str) -> Ending:
        return Failed(f"{self._timed_out(deadline)} {self._last_active()} {_RELEASE}")

    def on_final_error(self, error: BackupServiceError) -> Ending:
        """Batches that were seen to hold messages outweigh everything; then a person's confirmation counts, then the
        policy of the run."""
        if self.active:
            return Failed(
                f"The batch status of service {self.service} became unknown while batches held messages, which a "
                f"backup would leave out. {self._last_active()} {error} {_RELEASE}"
            )
        if self.confirmed_by:
            return _without_status("empty", f"confirmation of {self.confirmed_by} for this run", error)
        if self.unknown_batches_policy == PROCEED:
            return _without_status("unknown", "no source", error)
        return Failed(
            f"It is unknown whether batches of service {self.service} hold messages, which a backup would leave out. "
            f"{error} Nothing was suspended. Repair the source of the batch status, or start a run by hand that "
            "confirms that the batches are empty or accepts the loss."
        )

    on_poll_errors = on_final_error

    def _last_active(self) -> str:
        return DrainStatus.from_dict(self.active).sentence() if self.active else ""


class NumbersUnknownError(BackupServiceError):
    """Which control numbers were given out is unknown now."""

    default_advice = "retry"


@dataclass
class FirstNumbersWait(Wait):
    """Waits until each counter of a restored service has given out as many numbers as there are to look at, and fails
    when one of them was used before. It never fails for what it could not see: then nothing is confirmed.

    :param counters: fields of :class:`biztalk_services.flows.first_numbers.Counter`.
    :param since: moment at which the service was restored, ISO 8601 with offset.
    :param count: how many numbers of each counter there are to look at.
    :param later: what is said where something is not confirmed: how to look at it later.
    :param confirmed: what the last look confirmed, a sentence; None before the first one.
    """

    service: str
    counters: list[dict[str, Any]]
    since: str
    count: int
    later: str
    confirmed: str | None = None

    def description(self) -> str:
        return f"the first {self.count} control numbers of each agreement of service {self.service}"

    def poll(self, place: Place) -> Ending | None:
        report = place.driver.control_numbers_since(place.ref.name, datetime.fromisoformat(self.since))
        if report.problem is not None:
            raise NumbersUnknownError(report.sentence())
        look = FirstLook.at(map(Counter.from_dict, self.counters), report, self.count)
        if look.alarms:
            return Failed(look.alarm(self.service))
        sentence = look.sentence(self.count, self.later)
        if sentence != self.confirmed:
            place.log.info(look.sentence(self.count, "The look goes on.") if look.open else sentence)
        self.confirmed = sentence
        return None if look.open else Succeeded(FirstNumbers(CONFIRMED, sentence).to_xcom())

    def on_timeout(self, deadline: str) -> Ending:
        return Succeeded(FirstNumbers(NOT_CONFIRMED, self.confirmed or self.later).to_xcom())

    def on_final_error(self, error: BackupServiceError) -> Ending:
        seen = f"Before that: {self.confirmed}" if self.confirmed else self.later
        sentence = f"Whether the first control numbers were used before is unknown: {error} {seen}"
        return Succeeded(FirstNumbers(UNKNOWN, sentence).to_xcom())

    on_poll_errors = on_final_error


WAITS: dict[str, type[Any]] = {
    each.__name__: each for each in (StateWait, ResumedWait, OperationWait, DeletedWait, DrainWait, FirstNumbersWait)
}
"""The waits that a trigger can go on with, by name."""


def _is_moving(service: Service) -> bool:
    """Whether the service is on its way, as far as documents have its state."""
    return service.phase is Phase.TRANSITIONAL


def _reached(service: Service) -> dict[str, Any]:
    return ReachedState(service.state, service.etag, datetime.now(UTC), service).to_xcom()


def _failure(service: str, operation: Operation | None) -> Failed | None:
    if operation is None or operation.result != "Failed":
        return None
    which = operation.operation_id or operation.operation_type
    return Failed(f"Operation {which} of service {service} failed: {operation.failure}.")


def _without_status(answer: Any, source: str, error: BackupServiceError) -> Succeeded:
    status = DrainStatus(answer=answer, source=source, reason=str(error), checked_at=datetime.now(UTC))
    return Succeeded(status.to_dict())
