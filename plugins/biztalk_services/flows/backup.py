"""Takes a backup of one service: checks the rules, requests it, records what the service holds, reads the backup back,
publishes its reference."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NoReturn

from biztalk_services.drivers.base import BackupTarget
from biztalk_services.flows.job import Job
from biztalk_services.flows.submit_once import Entry, submit_once
from biztalk_services.model.backup import BackupKind, BackupReference, Drain, Verification, is_backup_name
from biztalk_services.model.checks import Check, refuse_if_broken
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.redaction import looks_secret
from biztalk_services.model.service import Operation, Service
from biztalk_services.model.steps import (
    BackupEvidence,
    CheckedBackup,
    ReachedState,
    RecordedInventory,
    StartedBackup,
    VerifiedBackup,
)

_BACKUP, _NAME = "backup", "backup-name"

_FRESH = timedelta(seconds=10)
"""As old may a look at a service be that a backup is requested by; a look and its request are that far apart anyhow."""


class NotQuiescedError(BackupServiceError):
    """The service is not quiesced any more; no request was sent."""

    default_advice = "check"


class BackupInconsistentError(BackupServiceError):
    """The service was changed while it was being backed up."""


def check_backup(job: Job, name: str, *, label: str | None, problem: str = "") -> CheckedBackup:
    """Check every rule that a backup and its record have to keep, and try what it has to write; then lock the service.

    :param problem: what is known against the backup already, a sentence; empty: nothing.
    :raises StorageError: the archive cannot be written.
    :raises RefusedError: a rule is broken; the message lists all that are.
    """
    service = job.service()
    of_driver = job.driver.check_backup(service, BackupTarget(job.archive.account, name))
    job.archive.account.check()
    of_record = record_checks(service, container=job.archive.container, label=label)
    told_apart = Check("batches-told-apart", not problem, problem, "configuration")
    refuse_if_broken([*of_driver, *of_record, _name_free(job, name), told_apart], f"the backup of service {job.ref}")
    job.log.info(job.archive.check_writable())
    job.lock("backup")
    return CheckedBackup(
        str(job.ref), job.driver.subscription_id, service.edition or "", service.version, service.region, service.state
    )


def record_checks(service: Service, *, container: str, label: str | None) -> list[Check]:
    """Every rule that the record of a backup has to keep, checked before the backup instead of after it."""
    fits, is_secret = is_backup_name(container), bool(label and looks_secret(label))
    starts_well = service.ref.name[0].isalnum()
    verb, fix = ("is", "") if fits else ("is not", "; fix option catalog_container")
    about_label = (
        "looks like a secret; labels are stored in plain text. Change it."
        if is_secret
        else "does not look like a secret."
    )
    begins = "begins" if starts_well else "does not begin"
    about_name = f"The name of service {service.ref} {begins} with a letter or digit, as its record requires."
    return [
        Check("catalog-container", fits, f"{container!r} {verb} a valid container name{fix}.", "container naming rule"),
        Check("label-without-secret", not is_secret, f"The label {about_label}", "backup reference"),
        Check("service-name", starts_well, about_name, "backup reference"),
    ]


def start_backup(job: Job, name: str, quiesced: ReachedState) -> StartedBackup:
    """Request a backup into a new container; one that was started is adopted.

    :param quiesced: the service when it was quiesced; the service itself refuses when its ETag is another one now.
    :raises NotQuiescedError: its state is another one now.
    """
    job.lock("backup")
    target = BackupTarget(job.archive.account, name)

    def prepare() -> Entry:
        if datetime.now(UTC) - quiesced.reached_at > _FRESH:
            require_quiesced(job, job.service().state, quiesced)
        return {
            "account": target.account.name,
            "container": name,
            "container_url": target.account.container_url(name),
            "etag": quiesced.etag,
            "requested_at": datetime.now(UTC).isoformat(),
        }

    def adopt(entry: Entry) -> bool:
        service = job.service()
        if service.may_be_under("backup") or target.account.container_exists(name):
            job.log.info("An earlier try started backup %s; adopting it.", name)
            return True
        require_quiesced(job, service.state, quiesced)
        return False

    def submit(entry: Entry) -> Operation:
        operation = job.driver.start_backup(job.ref, target, request_id=job.request_id(_BACKUP), if_match=quiesced.etag)
        job.log.info("Requested backup %s of %s: operation %s.", name, job.ref, operation.operation_id)
        return operation

    entry = submit_once(job.journal, _BACKUP, prepare=prepare, adopt=adopt, submit=submit, forget=lambda error: False)
    advance(job, _BACKUP, entry)
    return StartedBackup.from_xcom(entry)


def advance(job: Job, key: str, entry: Entry) -> None:
    """Carry out what the client has to do of an operation, piece by piece; each piece is stored in the journal, so that
    a retry goes on behind it. Nothing is left to do of an operation that the service carries out."""
    while (cursor := entry.get("cursor")) is not None:
        operation = job.driver.advance(job.ref, Operation(entry["operation_id"], cursor=cursor), job.archive.account)
        entry["cursor"] = operation.cursor
        job.journal.set(key, entry)


def require_quiesced(job: Job, state: str, quiesced: ReachedState) -> None:
    """What follows was decided while the service was quiesced, and is wrong once it processes messages again.

    :raises NotQuiescedError: the state is another one now.
    """
    if state != quiesced.state:
        raise NotQuiescedError(
            f"Service {job.ref} was {quiesced.state} and is {state} now, so no request was sent: its state was changed "
            "meanwhile, and messages may have passed through it. Start another run."
        )


def record_inventory(job: Job, name: str, quiesced: ReachedState | None = None) -> RecordedInventory:
    """Record in the catalog what the service holds; a part that cannot be read is named in the inventory.

    :param quiesced: the service when it was quiesced; None: it is read now.
    """
    service = (quiesced and quiesced.service) or job.service()
    inventory = job.driver.inventory(service)
    unread = {part: why for part, why in inventory.parts.items() if why}
    for part, why in unread.items():
        job.log.warning("The inventory of %s lacks its %s: %s", job.ref, part, why)
    inventory, url = job.archive.catalog.record_inventory(name, inventory)
    job.log.info("Recorded %s items of %s: %s", len(inventory.items), job.ref, url)
    return RecordedInventory(len(inventory.items), unread, url, service.etag, datetime.now(UTC))


def verify_backup(job: Job, name: str) -> VerifiedBackup:
    """Read a backup back.

    :raises BackupDamagedError: it is not whole.
    """
    content = job.driver.verify_backup(BackupTarget(job.archive.account, name), job.ref.name)
    against = (
        "have the size and SHA-256 that the descriptor records"
        if content.level == "matched"
        else "could be read, but the descriptor does not list them"
    )
    checked = f"All {len(content.blobs)} blobs ({content.size} bytes) were read back and {against}."
    job.log.info("Backup %s: %s", name, checked)
    return VerifiedBackup(content.blobs, dict(content.items), content.level, checked, datetime.now(UTC))


def publish_backup(
    job: Job, evidence: BackupEvidence, *, kind: BackupKind, label: str | None
) -> tuple[BackupReference, str]:
    """Write the backup reference into the catalog, after the backup was read back by it; returns it and its URL.

    :raises BackupInconsistentError: the service was changed, or that cannot be verified; the backup is in quarantine.
    :raises BackupDamagedError: the backup is not whole any more.
    """
    checked, started, verified = evidence.checked, evidence.started, evidence.verified
    before, after = evidence.drained, evidence.rechecked
    reference = BackupReference(
        account=started.account,
        container=started.container,
        blobs=verified.blobs,
        service_kind=job.driver.info.kind,
        service=job.ref.name,
        scope=job.ref.scope,
        subscription_id=checked.subscription_id,
        edition=checked.edition,
        product_version=checked.product_version,
        region=checked.region,
        etag=started.etag,
        created_at=verified.checked_at,
        started_at=started.requested_at,
        finished_at=evidence.finished.reached_at,
        kind=kind,
        run=job.run,
        operation_id=started.operation_id,
        label=label,
        drain=Drain(before, after, drained=before.answer == "empty" and after.answer == "empty"),
        items=dict(verified.items),
        verification=Verification(verified.level, verified.checked_at, verified.checked),
        not_included=job.driver.info.not_included,
    )
    if (changed := _changed(job, evidence)) is not None:
        _quarantine(job, reference, changed)
    job.log.info(job.archive.verify(reference))
    reference, url = job.archive.catalog.publish(reference)
    job.log.info("Published the reference of %s: %s", reference.place, url)
    return reference, url


def _name_free(job: Job, name: str) -> Check:
    """A backup becomes a container of its name, which must not exist."""
    is_new = is_backup_name(name) and job.journal.get(_NAME) != {"name": name}
    taken = is_new and job.archive.account.container_exists(name)
    if is_new and not taken:
        job.journal.set(_NAME, {"name": name})
    message = (
        f"Container {name} exists already in storage account {job.archive.account.name}; a backup never overwrites "
        "another. Choose another backup name."
        if taken
        else f"No container {name} exists."
    )
    return Check("backup-name-free", not taken, message, "container naming rule")


def _changed(job: Job, evidence: BackupEvidence) -> str | None:
    """How a service changed while it was backed up and its inventory read, a sentence; None when it did not."""
    quiesced, finished, recorded = evidence.quiesced, evidence.finished, evidence.recorded
    if finished.state != quiesced.state:
        return (
            f"Service {job.ref} was {quiesced.state} before the backup and {finished.state} after it: messages "
            "may have passed through it meanwhile."
        )
    etags = {"before": evidence.started.etag, "after": finished.etag, "inventory": recorded.etag}
    if recorded.recorded_at > finished.reached_at:
        etags["later"] = job.service().etag
    if len(set(etags.values())) == 1 and None not in etags.values():
        return None
    shown = "; ".join(f"{what}: {etag or 'not reported'}" for what, etag in etags.items())
    if None in etags.values():
        return f"It cannot be verified that service {job.ref} did not change during the backup (ETag {shown})."
    return f"Service {job.ref} changed during the backup (ETag {shown})."


def _quarantine(job: Job, reference: BackupReference, reason: str) -> NoReturn:
    url = job.archive.catalog.quarantine(reference, reason)
    raise BackupInconsistentError(
        f"{reason} Backup {reference.place} is inconsistent and not valid; it is in quarantine at {url}. Keep "
        "management operations away from the service during the night, and run the backup again."
    )
