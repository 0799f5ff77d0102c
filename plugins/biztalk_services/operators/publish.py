"""Reads a backup back, and publishes its reference."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from biztalk_services.assets import BACKUPS
from biztalk_services.hooks.runs import run_of
from biztalk_services.hooks.storage import storage_account
from biztalk_services.links.backup import CatalogEntryLink
from biztalk_services.model.drain import DrainStatus
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.service import ServiceRef
from biztalk_services.operators.catalog_step import CatalogStep
from biztalk_services.triggers.wait import told

if TYPE_CHECKING:
    from airflow.sdk import Context

    from biztalk_services.archive.backups import Catalog
    from biztalk_services.model.backup import BackupReference


class BackupInconsistentError(BackupServiceError):
    """The service was changed while it was being backed up."""


class BizTalkVerifyBackupOperator(CatalogStep):
    """
    Reads a backup back: every blob there, with the size and hash that the descriptor says.

    XCom: ``blobs`` (name, size, sha256), ``items`` (kind -> count), ``level``, ``checked``, ``checked_at``.

    **Idempotency:** only reads.

    :param backup_name: name of the backup and its container
    """

    template_fields = (*CatalogStep.template_fields, "backup_name")

    def __init__(self, *, backup_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backup_name = backup_name

    def run_step(self, context: Context) -> dict[str, Any]:
        from biztalk_services.drivers.biztalk.verification import read_back

        backup = read_back(
            storage_account(self.storage_conn_id).client,
            self.backup_name,
            self.backup_name,
            service_name=ServiceRef.parse(self.service).name,
        )
        against = (
            "have the size and SHA-256 that the descriptor says"
            if backup.level == "matched"
            else ("could be read, but the descriptor does not list them")
        )
        checked = f"All {len(backup.blobs)} blobs ({backup.size} bytes) were read back and {against}."
        self.log.info("Backup %s: %s", self.backup_name, checked)
        return {
            "blobs": [asdict(blob) for blob in backup.blobs],
            "items": backup.items,
            "level": backup.level,
            "checked": checked,
            "checked_at": datetime.now(UTC).isoformat(),
        }


class BizTalkPublishBackupOperator(CatalogStep):
    """
    Writes the backup reference into the catalog, the last step that makes a backup valid, and pushes it. Just before
    that the backup is read back once more, now by the reference.

    XCom ``return_value``: the reference (:class:`biztalk_services.model.backup.BackupReference`);
    ``reference_url``: where it lies. The asset ``biztalk-services-backups`` gets an event with the reference's place.

    A backup during which the service was changed (its ETag differs) is set aside in the catalog, and the step fails.

    **Idempotency:** a reference is never overwritten; publishing the same again changes nothing.

    :param backup_name: name of the backup
    :param evidence: ids of the steps whose XComs make up the reference, by what they say: ``checked``, ``drained``,
        ``still``, ``looked_again``, ``begun``, ``ended``, ``recorded``, ``verified``
    :param backup_label: what a person wanted to say about the backup
    """

    template_fields = (*CatalogStep.template_fields, "backup_name", "backup_label")
    operator_extra_links = (CatalogEntryLink(),)

    def __init__(
        self, *, backup_name: str, evidence: dict[str, str], backup_label: str | None = None, **kwargs: Any
    ) -> None:
        kwargs.setdefault("outlets", [BACKUPS])
        super().__init__(**kwargs)
        self.backup_name = backup_name
        self.evidence = evidence
        self.backup_label = backup_label

    def run_step(self, context: Context) -> dict[str, Any]:
        from biztalk_services.archive.verification import compare_with_reference
        from biztalk_services.model.backup import BackupReference, Drain, StoredBlob, Verification

        ti = context["ti"]
        said = {
            what: told(ti.xcom_pull(task_ids=task_id, map_indexes=ti.map_index))
            for what, task_id in self.evidence.items()
        }
        checked, begun, ended, verified = (said[what] for what in ("checked", "begun", "ended", "verified"))
        etags = [said[what]["etag"] for what in ("begun", "ended", "recorded")]
        before, after = (DrainStatus.from_dict(said[what]) for what in ("drained", "looked_again"))
        reference = BackupReference(
            account=begun["account"],
            container=begun["container"],
            blobs=tuple(StoredBlob(**blob) for blob in verified["blobs"]),
            service=checked["name"],
            cloud_service=checked["cloud_service"],
            subscription_id=checked["subscription_id"],
            edition=checked["edition"],
            product_version=checked["product_version"],
            region=checked["region"],
            etag=begun["etag"],
            created_at=datetime.fromisoformat(verified["checked_at"]),
            started_at=datetime.fromisoformat(begun["requested_at"]),
            finished_at=datetime.fromisoformat(ended["seen_at"]),
            run=run_of(ti),
            operation_id=begun["operation_id"],
            label=self.backup_label or None,
            drain=Drain(before, after, drained=before.answer == "empty" and after.answer == "empty"),
            items=verified["items"],
            verification=Verification(
                verified["level"], datetime.fromisoformat(verified["checked_at"]), verified["checked"]
            ),
        )
        catalog = self.catalog
        if None in etags or len(set(etags)) > 1:
            self._set_aside(catalog, reference, etags)
        # The storage may have lost since what was read back then.
        self.log.info(compare_with_reference(storage_account(self.storage_conn_id).client, reference))
        reference, url = catalog.publish(reference)
        ti.xcom_push(key="reference_url", value=url)
        self.log.info("The reference of %s is published at %s.", reference.place, url)
        context["outlet_events"][BACKUPS].extra = {
            "service": reference.service,
            "account": reference.account,
            "container": reference.container,
            "drained": reference.drain.drained,
        }
        return reference.to_dict()

    def _set_aside(self, catalog: Catalog, reference: BackupReference, etags: list[str | None]) -> NoReturn:
        before, after, recorded = (etag or "not told" for etag in etags)
        reason = (
            f"Nobody can say that service {self.service} was not changed while it was being backed up: its ETag was "
            f"{before} before, {after} after, and {recorded} when its inventory was taken."
        )
        url = catalog.quarantine(reference, reason)
        raise BackupInconsistentError(
            f"{reason} Backup {reference.place} is inconsistent and does not count; it is noted at {url}. Keep "
            "management operations away from the service during the night, and run the backup again."
        )
