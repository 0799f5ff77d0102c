"""Where the driver gets what the management API does not report: partner management, tracking databases, secrets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from biztalk_services.drivers.biztalk.connection_strings import TRACKING
from biztalk_services.drivers.biztalk.values import ACCESS_CONTROL, ARCHIVE, CERTIFICATE, MONITORING, StoredValue, Value

if TYPE_CHECKING:
    from biztalk_services.drivers.biztalk.wire.partner_management import PartnerManagementClient
    from biztalk_services.model.control_numbers import UseReport
    from biztalk_services.model.drain import DrainStatus
    from biztalk_services.model.inventory import Inventory
    from biztalk_services.model.query_check import QueryCheck
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
        """As :meth:`biztalk_services.drivers.base.Driver.drain_status`, so the next one."""

    def drain_source(self, name: str) -> str | None:
        """As :meth:`biztalk_services.drivers.base.Driver.drain_source`."""
        return None

    def check_queries(self, name: str) -> QueryCheck | None:
        """As :meth:`biztalk_services.drivers.base.Driver.check_queries`."""
        return None

    @abstractmethod
    def control_numbers_since(self, name: str, since: datetime) -> UseReport: ...

    def sent_interchanges(self, inventory: Inventory, since: datetime) -> UseReport | None:
        """The control numbers of the interchanges that the customer's own archive has of a service since a moment.

        It is the second source beside the tracking database: what it does not name may have been used all the same.

        :param inventory: of the service; its agreements tell whose an interchange is.
        :param since: aware.
        :returns: None where no such archive is configured.
        """
        return None

    @abstractmethod
    def value(
        self, setting: str, request: RestoreRequest, stored: Mapping[str, str], target: str, services: Sequence[Service]
    ) -> Value:
        """The value of one setting; parameters as :meth:`values`, ``stored`` with an entry for each setting."""

    def values(
        self, request: RestoreRequest, stored: Mapping[str, str], target: str, services: Sequence[Service] = ()
    ) -> list[Value]:
        """Every value that the restored service will work with, in the order of the form.

        :param stored: the backup's settings without secrets, by element name; empty where they are not known.
        :param services: all services of the subscription, for a check that needs one.
        """
        shown = dict.fromkeys(OVERRIDES, "") | {**stored, CERTIFICATE: "certificate and password of the backup"}
        unused = {store for store in (ARCHIVE, MONITORING) if not stored.get(store)}
        if not stored:
            unused.discard(MONITORING)  # every service has one
        values = [self.value(setting, request, shown, target, services) for setting in OVERRIDES]
        return [value for value in values if value.setting not in unused or not isinstance(value, StoredValue)]
