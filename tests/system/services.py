"""Services of the tests: the sample fleet, and the proving ground, whose services fail in one way each."""

from __future__ import annotations

CLOUD_SERVICE = "contoso-west-us"

WITH_BACKUPS = ("contosoorders", "ContosoRetail", "contosonordic", "contosoeurope")
WITHOUT_BACKUPS = ("contosodev", "contosotrial")

RESPONSE_FAULTS = {
    "proving-reset": "reset-after",
    "proving-truncated": "truncated",
    "proving-html": "html",
    "proving-empty": "empty-body",
    "proving-malformed": "malformed-xml",
    "proving-bomb": "entity-bomb",
}
"""Service -> the fault of the response to each change of it, once, after the change was carried out."""

FAULTY_SERVICES = (
    "proving-412-suspend",
    "proving-412-backup",
    "proving-susp-fails",
    "proving-bkup-fails",
    "proving-1-susp-stuck",
    "proving-1-bkup-stuck",
    "proving-forgotten",
    "proving-1-edited",
    "proving-deleted",
    "proving-suspended",
)
"""Each has a fault of its own, some two. Those with a 1 take longest; by their names they get the first slots."""

RESTORE_SERVICE = "proving-restore"
NAMESPACE, NAMESPACE_KEY = "provingrestoreacs", "YSBrZXkgdGhhdCBpcyBtYWRlIHVwIGZvciBhIHRlc3Q="
"""The service that is restored, its Access Control namespace, and the key of that."""

MAX_CONCURRENT = 12
"""How many services are backed up at the same time."""

ENDED_RUN, FAILED_RUN, DELETED_RUN, PAUSED_DAG = (
    "proving-left",
    "proving-marked",
    "proving-deleted-run",
    "proving-paused",
)
WATCHDOG_SERVICES = (ENDED_RUN, FAILED_RUN, DELETED_RUN, PAUSED_DAG)
"""Each is left suspended by a run: one that has ended, one that a person marks as failed, one that a person deletes,
and one whose DAG a person pauses."""

PROVING_GROUND = (*RESPONSE_FAULTS, *FAULTY_SERVICES, "proving-storage", RESTORE_SERVICE, *WATCHDOG_SERVICES)
