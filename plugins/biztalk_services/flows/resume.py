"""Resumes services and waits for all of them together, for whoever has no Airflow to wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from time import sleep

from biztalk_services.drivers.base import Driver
from biztalk_services.flows.poll_loop import next_interval
from biztalk_services.model.errors import BackupServiceError, OperationNotFoundError
from biztalk_services.model.service import Operation, Phase, Service, ServiceRef

Log = Callable[[str], None]


@dataclass(frozen=True)
class Ending:
    """What became of a service: whether it is running, and what happened."""

    resumed: bool
    sentence: str


def resume_services(
    driver: Driver, services: Sequence[ServiceRef], *, request_id: str, deadline: datetime, log: Log
) -> Iterator[tuple[ServiceRef, Ending]]:
    """Resume services; each ending comes as soon as it is known.

    :param request_id: our name for the requests, to which the service is added.
    :param deadline: until when to wait, aware.
    :param log: takes a sentence for each step on the way.
    """
    pending = [_Resumption(driver, ref, f"{request_id}:{ref}:resume", log) for ref in services]
    since = datetime.now(UTC)
    while pending:
        for each in list(pending):
            ending = each.step() or (each.timed_out(deadline) if datetime.now(UTC) >= deadline else None)
            if ending:
                pending.remove(each)
                yield each.ref, ending
        if pending:
            now = datetime.now(UTC)
            wait = next_interval((now - since).total_seconds(), max(each.retry_after for each in pending))
            sleep(max(0.0, min(wait, (deadline - now).total_seconds())))


class _Resumption:
    """The resumption of one service."""

    def __init__(self, driver: Driver, ref: ServiceRef, request_id: str, log: Log) -> None:
        self.ref = ref
        self.retry_after = 0.0
        self._driver = driver
        self._request_id = request_id
        self._log = log
        self._operation_id: str | None = None
        self._logged: str | None = None

    def step(self) -> Ending | None:
        """Poll the service and do what it needs; None while that goes on."""
        self.retry_after = 0.0
        try:
            return self._step(self._driver.get_service(self.ref))
        except BackupServiceError as error:
            if error.advice == "stop":
                return Ending(False, f"{self.ref} is not resumed: {error}")
            self.retry_after = error.retry_after or 0.0
            self._log_once(str(error))
            return None

    def timed_out(self, deadline: datetime) -> Ending:
        """The ending when the deadline has passed."""
        return Ending(
            False,
            f"Timed out waiting for {self.ref} to be {self._driver.info.running_state} (deadline {deadline:%H:%M:%S} "
            f"UTC). Last known: {(self._logged or 'nothing').rstrip('.')}. Check its operation log, and run this "
            "again.",
        )

    def _step(self, service: Service) -> Ending | None:
        if service.phase is Phase.RUNNING:
            return Ending(True, f"{self.ref} is {service.state}.")
        if service.is_transitional:
            self._log_once(f"{self.ref} is {service.state}; waiting.")
            return None
        if self._operation_id:
            return self._after_request(service, self._operation_id)
        if "resume" not in service.allows:
            return Ending(False, f"{self.ref} cannot be resumed from {service.state}; no request was sent.")
        self._operation_id = self._driver.resume(self.ref, request_id=self._request_id).operation_id
        self._log_once(f"{self.ref} is {service.state}; requested its resumption: operation {self._operation_id}.")
        return None

    def _after_request(self, service: Service, operation_id: str) -> Ending | None:
        """After a resume was accepted, when the service is settled without running."""
        operation: Operation | None = None
        with suppress(OperationNotFoundError):
            operation = self._driver.get_operation(self.ref, operation_id)
        result = operation.result if operation else None
        if result == "InProgress" or (result != "Failed" and service.phase is not Phase.FAILED):
            return None
        reported = operation if result == "Failed" else service.last_operation
        reason = reported.failure if reported and reported.result == "Failed" else "no reason was reported"
        sentence = f"{self.ref} did not resume and is {service.state}: {reason}."
        return Ending(False, f"{sentence} Run this again to request it once more.")

    def _log_once(self, sentence: str) -> None:
        if sentence != self._logged:
            self._logged = sentence
            self._log(sentence)
