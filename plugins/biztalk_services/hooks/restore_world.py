"""What the plan of a restore looks at, through Airflow's connections."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from biztalk_services.drivers.biztalk.tracking import DEFAULT_DRAIN_QUERY
from biztalk_services.flows.archived_plan_inputs import StoredWorld
from biztalk_services.hooks.biztalk_services import hook_for
from biztalk_services.hooks.inventory import inventory_now
from biztalk_services.hooks.restore_values import restore_values
from biztalk_services.hooks.runs import has_ended, run_of
from biztalk_services.hooks.storage import storage_account
from biztalk_services.hooks.tracking import read_batches, used_since
from biztalk_services.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from biztalk_services.drivers.biztalk.values import Value
    from biztalk_services.hooks.biztalk_services import BizTalkServicesHook
    from biztalk_services.model.control_number_use import UseReport
    from biztalk_services.model.drain import DrainStatus
    from biztalk_services.model.inventory import Inventory
    from biztalk_services.model.records import Lock
    from biztalk_services.model.restore_request import RestoreRequest
    from biztalk_services.model.service import Service


class AirflowWorld(StoredWorld):
    """
    The :class:`biztalk_services.flows.plan_restore.World` of a run.

    :param context: of the task
    :param conn_id: connection to the subscription
    :param storage_conn_id: connection to the storage account of backups and catalog
    :param catalog_container: container of the catalog
    """

    def __init__(self, context: Context, conn_id: str, storage_conn_id: str, catalog_container: str) -> None:
        super().__init__(storage_account(storage_conn_id), catalog_container, context["ti"].dag_id)
        self._ti = context["ti"]
        self._conn_id = conn_id
        self._settings = Settings.load()

    @cached_property
    def _hook(self) -> BizTalkServicesHook:
        return hook_for(self._conn_id)

    @property
    def subscription_id(self) -> str:
        return self._hook.subscription_id

    def services(self) -> Sequence[Service]:
        return self._hook.list_services()

    def inventory_now(self, service: Service) -> Inventory:
        return inventory_now(service, self._settings)

    def control_numbers_since(self, service: str, since: datetime) -> UseReport:
        return used_since(service, since, self._settings)

    def batches(self, service: str) -> DrainStatus:
        query = self._settings.drain_query or DEFAULT_DRAIN_QUERY
        return read_batches(self._settings.tracking_conn_id_of(service), query, service)

    def values(
        self, request: RestoreRequest, stored: dict[str, str], target: str, living: Sequence[Service]
    ) -> Sequence[Value]:
        return restore_values(request, stored, target, self._settings, living)

    def claim(self, service: str) -> Lock | None:
        """That of a run that has ended, or of this one, is in nobody's way."""
        claim = super().claim(service)
        return None if claim is None or claim.run == run_of(self._ti) or has_ended(self._ti, claim.run) else claim
