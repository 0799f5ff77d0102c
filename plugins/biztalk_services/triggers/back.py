"""Wait until a service that we suspended is back."""

from __future__ import annotations

from typing import Any

from biztalk_services.hooks.tickets import close_tickets
from biztalk_services.model.run import Run
from biztalk_services.triggers.service import StateTrigger
from biztalk_services.triggers.wait import Missed, Reached


class BackTrigger(StateTrigger):
    """
    Waits until a service is back, and closes the suspension tickets that the run has on it.

    :param storage_conn_id: connection to the storage account of the catalog
    :param catalog_container: container of the catalog, which holds the tickets too
    :param dag_id: DAG of the run that suspended the service
    :param run_id: id of that run
    """

    fields = (*StateTrigger.fields, "storage_conn_id", "catalog_container", "dag_id", "run_id")

    def __init__(self, *, storage_conn_id: str, catalog_container: str, dag_id: str, run_id: str, **wait: Any) -> None:
        super().__init__(**wait)
        self.storage_conn_id = storage_conn_id
        self.catalog_container = catalog_container
        self.dag_id = dag_id
        self.run_id = run_id

    def look(self) -> Reached | Missed | None:
        ending = super().look()
        if isinstance(ending, Reached):
            close_tickets(
                self.service,
                Run(self.dag_id, self.run_id),
                how=f"seen {ending.value['state']}",
                storage_conn_id=self.storage_conn_id,
                catalog_container=self.catalog_container,
            )
        return ending
