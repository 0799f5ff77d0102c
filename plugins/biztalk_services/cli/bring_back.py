"""Brings services back: asks each to resume as the state chart allows, and waits for all of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import sleep

from biztalk_services.drivers.biztalk.state_chart import StateKind, is_moving, state_kind, states_allowing
from biztalk_services.drivers.biztalk.wire.client import BizTalkServicesClient
from biztalk_services.flows.polling import next_interval
from biztalk_services.model.errors import BackupServiceError, OperationNotFoundError
from biztalk_services.model.service import OperationStatus, Service, ServiceRef

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Ending:
    """What became of a service.

    :param back: whether it was seen Active.
    :param sentence: what happened.
    """

    back: bool
    sentence: str


def bring_back(
    client: BizTalkServicesClient,
    services: Sequence[ServiceRef],
    *,
    request_id: str,
    deadline: datetime,
    tell: Tell,
) -> Iterator[tuple[ServiceRef, Ending]]:
    """Bring services back; each ending comes as soon as it is known.

    :param request_id: our name for the requests, to which the service is added.
    :param deadline: until when to wait, aware.
    :param tell: is given a sentence for each step on the way.
    """
    pending = [_Return(client, address, f"{request_id}:{address}:resume", tell) for address in services]
    since = datetime.now(UTC)
    while pending:
        for each in list(pending):
            ending = each.step() or (each.in_vain(deadline) if datetime.now(UTC) >= deadline else None)
            if ending:
                pending.remove(each)
                yield each.address, ending
        if pending:
            now = datetime.now(UTC)
            wait = next_interval((now - since).total_seconds(), max(each.retry_after for each in pending))
            sleep(max(0.0, min(wait, (deadline - now).total_seconds())))


class _Return:
    """One service on its way back."""

    def __init__(self, client: BizTalkServicesClient, address: ServiceRef, request_id: str, tell: Tell) -> None:
        self.address = address
        self.retry_after = 0.0
        self._client = client
        self._request_id = request_id
        self._tell = tell
        self._operation_id: str | None = None
        self._told: str | None = None

    def step(self) -> Ending | None:
        """Look at the service and do what it needs; None while that goes on."""
        self.retry_after = 0.0
        try:
            return self._step(self._client.get_service(self.address))
        except BackupServiceError as trouble:
            if trouble.advice == "stop":
                return Ending(False, f"{self.address} is not back: {trouble}")
            self.retry_after = trouble.retry_after or 0.0
            self._say(str(trouble))
            return None

    def in_vain(self, deadline: datetime) -> Ending:
        """The ending when the time is over."""
        return Ending(
            False,
            f"{self.address} was not Active by {deadline:%H:%M:%S} UTC, when this gave up waiting. The last that is "
            f"known: {(self._told or 'nothing').rstrip('.')}. Look at its operation log, and run this again.",
        )

    def _step(self, service: Service) -> Ending | None:
        if service.state == "Active":
            return Ending(True, f"{self.address} is Active.")
        if is_moving(service.state):
            self._say(f"{self.address} is {service.state}; waiting.")
            return None
        if self._operation_id:
            return self._asked(service, self._operation_id)
        if service.state not in states_allowing("resume"):
            return Ending(
                False,
                f"{self.address} is {service.state}, from where the state chart knows no resumption. Nothing was asked "
                "of it.",
            )
        self._operation_id = self._client.resume(self.address, client_request_id=self._request_id)
        self._say(f"{self.address} is {service.state}; asked it to resume: operation {self._operation_id}.")
        return None

    def _asked(self, service: Service, operation_id: str) -> Ending | None:
        """After a resume was accepted, and the service stands still without being Active."""
        try:
            operation = self._client.operation_status(self.address, operation_id)
        except OperationNotFoundError:
            operation = None
        running = operation is not None and operation.result == "InProgress"
        failed = operation is not None and operation.result == "Failed"
        if failed or (not running and state_kind(service.state) is StateKind.FAILED):
            return Ending(
                False,
                f"{self.address} did not resume and is {service.state}: {_said(operation, service.last_operation)}. "
                "Run this again to ask once more.",
            )
        return None

    def _say(self, sentence: str) -> None:
        if sentence != self._told:
            self._told = sentence
            self._tell(sentence)


def _said(*operations: OperationStatus | None) -> str:
    for operation in operations:
        if operation and operation.result == "Failed":
            parts = [part for part in (operation.code, operation.message) if part]
            return " ".join(parts).rstrip(".") or "it does not say why"
    return "it does not say why"
