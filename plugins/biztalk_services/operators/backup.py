"""Checks that a backup is allowed, and has it taken."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk.execution_time.context import NEVER_EXPIRE

from biztalk_services.drivers.biztalk.backup_rules import backup_checks
from biztalk_services.drivers.biztalk.state_chart import may_be
from biztalk_services.flows.backup import record_violations
from biztalk_services.hooks.biztalk_services import hook_for
from biztalk_services.hooks.storage import storage_account, taken
from biztalk_services.links.backup import BackupContainerLink
from biztalk_services.model.backup import is_backup_name
from biztalk_services.model.checks import Check, refuse_if_broken
from biztalk_services.model.service import ServiceRef
from biztalk_services.operators.catalog_step import CatalogStep, ChangingStep
from biztalk_services.operators.claim import claim
from biztalk_services.operators.step import request_id
from biztalk_services.settings import Settings
from biztalk_services.triggers.wait import told

if TYPE_CHECKING:
    from airflow.sdk import Context


class BizTalkCheckBackupOperator(CatalogStep):
    """
    Checks every rule that a backup and its record must keep, before anything is done: edition, state, name, storage
    account and its key, name not taken, label and catalog fit for the record. Then claims the service for this run, so
    that no other run works on it.

    XCom: ``service``, ``cloud_service``, ``name``, ``subscription_id``, ``edition``, ``product_version``, ``region``,
    ``state``.

    **Idempotency:** reads, and claims the service for this run. A name that this run has found free stays its own, so
    that the step can be cleared.

    :param backup_name: name of the backup, which becomes the name of its container
    :param backup_label: what a person wants to say about the backup
    """

    template_fields = (*CatalogStep.template_fields, "backup_name", "backup_label")

    def __init__(self, *, backup_name: str, backup_label: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backup_name = backup_name
        self.backup_label = backup_label

    def run_step(self, context: Context) -> dict[str, Any]:
        hook, address, store = hook_for(self.conn_id), ServiceRef.parse(self.service), context["task_state_store"]
        service = hook.get_service(address)
        account = storage_account(self.storage_conn_id)
        account.connection_string()
        account.check()
        violations = [
            *backup_checks(service, backup_name=self.backup_name),
            *record_violations(
                service, catalog_container=self.catalog_container, backup_label=self.backup_label or None
            ),
        ]
        if is_backup_name(self.backup_name) and store.get("name_found_free") != self.backup_name:
            if why := taken(account, self.backup_name):
                violations.append(Check("backup-name-free", False, why, "Backup BizTalk Service (dn232427)"))
            else:
                store.set("name_found_free", self.backup_name, retention=NEVER_EXPIRE)
        refuse_if_broken(violations, f"the backup of service {self.service}")
        claim(
            context,
            address.name,
            purpose="backup",
            hold=Settings.load().longest_way_to_suspension,
            storage_conn_id=self.storage_conn_id,
            catalog_container=self.catalog_container,
        )
        return {
            "service": self.service,
            "cloud_service": address.cloud_service,
            "name": address.name,
            "subscription_id": hook.subscription_id,
            "edition": service.edition,
            "product_version": service.version,
            "region": service.region,
            "state": service.state,
        }


class BizTalkBackupOperator(ChangingStep):
    """
    Asks a service to back itself up into a new container.

    XCom: ``operation_id`` (null when it was adopted without one), ``account``, ``container``, ``container_url``,
    ``backup_name``, ``etag`` (of the service before), ``requested_at``.

    **Idempotency:** the intent is stored before the request is sent, the operation after; the container's name follows
    from the run and is never overwritten. **On retry** and when the task is cleared, a backup that was begun is
    adopted, never begun again: for another backup start another run.

    :param backup_name: name of the backup, which becomes the name of its container
    :param still: XCom of the wait until the service stood still; when its ``state`` is not the service's any more,
        nothing is asked; when its ``etag`` is not, the service refuses
    """

    template_fields = (*ChangingStep.template_fields, "backup_name", "still")
    operator_extra_links = (BackupContainerLink(),)
    purpose = "backup"

    def __init__(self, *, backup_name: str, still: Any, **kwargs: Any) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        self.backup_name = backup_name
        self.still = still

    def run_step(self, context: Context) -> dict[str, Any]:
        hook, address, store = hook_for(self.conn_id), ServiceRef.parse(self.service), context["task_state_store"]
        begun, intent = (self._own(store.get(key)) for key in ("begun", "intent"))
        if begun:
            self.log.info(
                "Backup %s was begun by an earlier try: operation %s.", self.backup_name, begun["operation_id"]
            )
            return begun
        account, still, state = storage_account(self.storage_conn_id), told(self.still), hook.get_service(address).state
        if intent and (may_be(state, "BackingUp") or taken(account, self.backup_name)):
            self.log.info("An earlier try began backup %s; going on with it.", self.backup_name)
            return self._begun(store, intent, None)
        self.require_still(state, still)
        if intent is None:
            intent = {
                "account": account.name,
                "container": self.backup_name,
                "container_url": account.container_url(self.backup_name),
                "backup_name": self.backup_name,
                "etag": still["etag"],
                "requested_at": datetime.now(UTC).isoformat(),
            }
            store.set("intent", intent, retention=NEVER_EXPIRE)
        operation_id = hook.begin_backup(
            address,
            store_connection_string=account.connection_string(),
            backup_name=self.backup_name,
            client_request_id=request_id(context, "backup"),
            if_match=still["etag"],
        )
        self.log.info("Asked %s for backup %s: operation %s.", self.service, self.backup_name, operation_id)
        return self._begun(store, intent, operation_id)

    def _own(self, stored: dict[str, Any] | None) -> dict[str, Any] | None:
        """What an earlier try stored; not what another service stored that had this task's place before."""
        return stored if stored and stored["container"] == self.backup_name else None

    @staticmethod
    def _begun(store: Any, intent: dict[str, Any], operation_id: str | None) -> dict[str, Any]:
        begun = {"operation_id": operation_id, **intent}
        store.set("begun", begun, retention=NEVER_EXPIRE)
        return begun
