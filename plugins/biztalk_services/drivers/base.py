"""What a driver is: everything that this project has to know of one kind of service, behind one protocol.

A driver speaks to the services of one subscription. Adding a kind of service is one folder beside this file and one
line in :mod:`biztalk_services.drivers.registry`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from biztalk_services.archive.storage import StorageAccount
    from biztalk_services.model.backup import BackupContent, BackupReference, NotIncluded
    from biztalk_services.model.checks import Check
    from biztalk_services.model.control_numbers import NumberPlan, UseReport
    from biztalk_services.model.drain import DrainStatus
    from biztalk_services.model.inventory import Inventory
    from biztalk_services.model.plan import PlannedValue, RestorePlan, RestoreTarget
    from biztalk_services.model.query_check import QueryCheck
    from biztalk_services.model.requests import RestoreRequest
    from biztalk_services.model.service import Operation, Service, ServiceRef


class Capability(StrEnum):
    """What not every kind of service can do."""

    CONTROL_NUMBERS = "control numbers"
    """The control numbers of a restored service can be advanced."""


@dataclass(frozen=True)
class DriverInfo:
    """What a kind of service is called, and what it can do.

    :param kind: as in backup references (``biztalk``).
    :param title: what one such service is called.
    :param running_state: the state that a resume leads to.
    :param quiesced_state: the state that a suspend leads to, and in which a restored service arrives.
    :param not_included: what its backups never contain.
    :param overrides: names of the values that a restore may give other than the backup's.
    """

    kind: str
    title: str
    running_state: str
    quiesced_state: str
    capabilities: frozenset[Capability]
    not_included: tuple[NotIncluded, ...]
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class BackupTarget:
    """Where a backup is written; its name is that of its container too, which does not exist yet."""

    account: StorageAccount
    name: str


@dataclass(frozen=True)
class RestoreProposal:
    """What a driver makes of a restore request: every rule with its verdict, every value that the restored service will
    work with; remarks: what else will be lost or has to be done by hand, in sentences."""

    target: RestoreTarget
    checks: tuple[Check, ...]
    values: tuple[PlannedValue, ...]
    remarks: tuple[str, ...] = ()


FindService = Callable[["ServiceRef"], "Service"]
"""Gives a service out of what was read of several, as it was then; raises as :meth:`Driver.get_service`."""


class Driver(Protocol):
    """The services of one subscription. Every method may raise a BackupServiceError; what each says is beyond that."""

    @property
    def info(self) -> DriverInfo: ...

    @property
    def subscription_id(self) -> str: ...

    def check_connection(self) -> str:
        """One sentence on what the connection reaches, out of a real response."""

    def list_services(self, on_unread: Callable[[str], None] | None = None) -> list[Service]:
        """All services of the subscription that can be read, in the order of their addresses.

        :param on_unread: called with one sentence, without secrets, for each entry of the list that cannot be read;
            default: a warning in the log. A list that as a whole cannot be read is an error.
        """

    def get_service(self, ref: ServiceRef) -> Service:
        """The service as it is now.

        :raises ServiceNotFoundError: there is none at this address; never where its entry cannot be read.
        """

    def read_services(self, scope: str | None) -> FindService:
        """All services of a scope, None: of the subscription, read at once. Entries that cannot be read hinder nobody
        but who asks for them.

        :raises ServiceNotFoundError: there is no such scope.
        """

    def get_operation(self, ref: ServiceRef, operation_id: str) -> Operation:
        """The status of a request that was accepted. Only reads.

        :raises OperationNotFoundError: the service does not know it, or does not know it any more.
        """

    # backup

    def check_backup(self, service: Service, target: BackupTarget) -> list[Check]:
        """Every rule of its kind that a backup of this service has to keep, with its verdict."""

    def drain_status(self, name: str) -> DrainStatus:
        """Which batches of a service hold messages now: *empty* or *active*.

        :raises DrainUnknownError: the status is unknown.
        """

    def drain_source(self, name: str) -> str | None:
        """Which connection the batches of a service of this name are read through; None where it needs none. Requests
        nothing."""

    def check_queries(self, name: str) -> QueryCheck | None:
        """What the database of a service answers to every query that a backup or a restore asks it, and what is wrong
        with it; None where no database is asked. Only reads; whatever a database does is in the result."""

    def suspend(self, ref: ServiceRef, *, request_id: str) -> Operation:
        """Request that the service processes no messages. Harmless when it is suspended already.

        :param request_id: our name for the request, the same for every try, here and below.
        :raises OutcomeUnknownError: the request may have been carried out, here and below.
        """

    def resume(self, ref: ServiceRef, *, request_id: str) -> Operation:
        """Request that a suspended service processes messages again."""

    def start_backup(
        self, ref: ServiceRef, target: BackupTarget, *, request_id: str, if_match: str | None
    ) -> Operation:
        """Request a backup into a new container. Where the client writes it: only return the first cursor, and change
        nothing, so that a worker that dies here has begun nothing.

        :param if_match: ETag that the service must still have.
        """

    def advance(self, ref: ServiceRef, operation: Operation, account: StorageAccount) -> Operation:
        """Carry out the next piece of an operation that has a cursor; the result has the cursor behind it, or none at
        the end. Carrying out the same piece twice does no harm. Called on a worker only.

        :param account: storage account of the backup that is written or restored.
        """

    def verify_backup(self, target: BackupTarget, service_name: str) -> BackupContent:
        """Read every blob of a backup back and compare it with what the backup says of itself.

        :raises BackupDamagedError: it is not whole, or of another service.
        """

    def inventory(self, service: Service, overrides: Mapping[str, Any] | None = None) -> Inventory:
        """What a service holds now; parts that cannot be read are named in it.

        :param overrides: of the restore that made the service.
        """

    # restore

    def propose_restore(
        self,
        request: RestoreRequest,
        backup: BackupReference,
        stored: Mapping[str, str],
        target: ServiceRef,
        services: Sequence[Service],
    ) -> RestoreProposal:
        """What a restore would make of the backup: rules and values. Only reads.

        :param stored: the backup's settings without secrets.
        :param services: all of the subscription.
        """

    def start_restore(self, plan: RestorePlan, account: StorageAccount, *, request_id: str) -> Operation:
        """Request the restore of a plan as a service that does not exist; a cursor as :meth:`start_backup`.

        :raises OperationNotAllowedError: the name is taken, or still held after a service was deleted.
        """

    def delete(self, ref: ServiceRef, *, request_id: str, if_match: str | None) -> Operation:
        """Request that a service is deleted with everything that it holds."""

    def expected_differences(self, plan: RestorePlan) -> set[str]:
        """Paths of an inventory that this restore changes on purpose (:attr:`Difference.path`)."""

    def deviations(self, plan: RestorePlan, service: Service) -> list[str]:
        """What the restored service was to be and is not, one sentence each."""

    def same_overrides(self, plan: RestorePlan, settings: Mapping[str, str]) -> dict[str, Any]:
        """The overrides of a plan that lead to what a service with these settings worked with."""

    # control numbers

    def control_numbers_since(self, name: str, since: datetime) -> UseReport:
        """Which control numbers a service has given out since a moment; a report with a ``problem`` when unknown."""

    def sent_interchanges(self, inventory: Inventory, since: datetime) -> UseReport | None:
        """The same by a second source, an archive of what was sent; None where there is none.

        :param inventory: of the service.
        """

    def plan_control_numbers(self, recorded: Inventory, used: UseReport, *, margin: int, apply: bool) -> NumberPlan:
        """What a restore would do about the control numbers of a backup."""

    def advance_control_numbers(
        self, service: Service, plan: RestorePlan, recorded: Inventory | None, used: UseReport, *, apply: bool
    ) -> NumberPlan:
        """Advance the control numbers of a restored service beyond those used, or only say what would be done."""
