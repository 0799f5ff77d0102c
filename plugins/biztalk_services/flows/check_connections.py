"""Whether everything that a backup and a restore reach can be reached: for a person, before the first night.

Nothing is changed but a probe in the storage, which is deleted again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from biztalk_services.flows.check_queries import Configured, QueryChecks, attempt, wrong
from biztalk_services.flows.find import ListedService
from biztalk_services.model.control_numbers import agreement_key
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.finding import Finding, Verdict
from biztalk_services.model.inventory import PARTNER_MANAGEMENT, Inventory

EXAMPLE = timedelta(days=1)
"""Since when a second source of control numbers is read."""


class ConnectionChecks(QueryChecks):
    """As :class:`biztalk_services.flows.check_queries.QueryChecks`, and beside that storage, alerts, whether it can
    be read what a service holds, and where there is one the second source of its control numbers."""

    def __init__(self, configured: Configured, named: Sequence[str] = ()) -> None:
        super().__init__(configured, named)
        self._configured = configured

    def findings(self) -> Iterator[Finding]:
        yield attempt("storage", lambda: self._configured.archive().check_writable())
        yield attempt("alerts", self._configured.alerts)
        yield from super().findings()

    def of_service(self, service: ListedService) -> Iterator[Finding]:
        yield from super().of_service(service)
        subject = f"contents of service {service}"
        try:
            inventory = self.driver_of(service).inventory(service.service)
        except Exception as error:
            yield wrong(subject, error)
            return
        yield attempt(subject, lambda: _contents(inventory))
        second = f"interchanges that service {service} has sent"
        try:
            report = self.driver_of(service).sent_interchanges(inventory, datetime.now(UTC) - EXAMPLE)
        except Exception as error:
            yield wrong(second, error)
            return
        if report:
            verdict: Verdict = "good" if report.problem is None else "wrong"
            yield Finding(subject=second, verdict=verdict, sentences=(report.sentence(),))


def _contents(inventory: Inventory) -> str:
    if problem := inventory.parts.get(PARTNER_MANAGEMENT):
        raise BackupServiceError(problem)
    sentence = f"{len(inventory.items)} items and {len(inventory.settings)} settings can be read."
    agreements = {agreement_key(item.name) for item in inventory.items if item.kind == "agreement"}
    unknown = {use.agreement for use in inventory.control_numbers if agreement_key(use.agreement) not in agreements}
    if unknown:
        sentence += (
            f" The control number query names agreements that the service does not have: {', '.join(sorted(unknown))}. "
            "Where they were not deleted, return their names as the service has them."
        )
    return sentence
