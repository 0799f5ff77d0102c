"""Where the driver gets what the management API does not report: partner management, tracking databases, secrets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from biztalk_services.drivers.biztalk.connection_strings import TRACKING
from biztalk_services.drivers.biztalk.values import (
    ACCESS_CONTROL,
    ARCHIVE,
    CERTIFICATE,
    CERTIFICATE_OF_BACKUP,
    MONITORING,
    Value,
    needed,
)

if TYPE_CHECKING:
    from biztalk_services.drivers.biztalk.wire.partner_management import PartnerManagementClient
    from biztalk_services.model.control_numbers import UseReport
    from biztalk_services.model.drain import DrainStatus
    from biztalk_services.model.requests import RestoreRequest
    from biztalk_services.model.service import Service

OVERRIDES = {
    ACCESS_CONTROL: "acs_conn_id",
    TRACKING: "tracking_conn_id",
    ARCHIVE: "archive_conn_id",
    MONITORING: "monitoring_conn_id",
    CERTIFICATE: "certificate_conn_id",
}
"""Setting -> the override that names the connection with its value."""


class Sources(ABC):
    """What surrounds the services of a subscription."""

    @abstractmethod
    def partner_management(self, service: Service, override: str | None = None) -> PartnerManagementClient:
        """The client for the partner management of an existing service.

        :param override: id of the connection to its Access Control namespace, None for the one that its name leads to.
        :raises AccessControlError: there is no key of its Access Control namespace.
        """

    @abstractmethod
    def drain_status(self, name: str) -> DrainStatus:
        """Which batches of a service hold messages now.

        :raises DrainUnknownError: the status is unknown.
        """

    @abstractmethod
    def control_numbers_since(self, name: str, since: datetime) -> UseReport:
        """Which control numbers a service has given out since a moment; a report with a ``problem`` when unknown."""

    @abstractmethod
    def is_given(self, setting: str, request: RestoreRequest) -> bool:
        """Whether a value of this setting other than the backup's was chosen."""

    @abstractmethod
    def value(
        self,
        setting: str,
        request: RestoreRequest,
        stored: Mapping[str, str],
        target: str,
        services: Sequence[Service],
    ) -> Value:
        """The value of one setting; parameters as :meth:`values`, ``stored`` with an entry for each setting."""

    def values(
        self, request: RestoreRequest, stored: Mapping[str, str], target: str, services: Sequence[Service] = ()
    ) -> list[Value]:
        """Every value that the restored service will work with, in the order of the form.

        :param request: the choices of the restore.
        :param stored: the backup's settings without secrets, by element name; empty where they are not known.
        :param target: name of the restored service.
        :param services: all services of the subscription, for a check that needs one.
        """
        given = [setting for setting in OVERRIDES if self.is_given(setting, request)]
        shown = dict.fromkeys(OVERRIDES, "") | {**stored, CERTIFICATE: CERTIFICATE_OF_BACKUP}
        return [self.value(setting, request, shown, target, services) for setting in needed(stored, given)]
