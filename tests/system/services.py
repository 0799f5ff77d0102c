"""Services of the tests: the sample fleet, and the proving ground on which things go wrong, one service a story."""

from __future__ import annotations

CLOUD_SERVICE = "contoso-west-us"

WITH_BACKUPS = ("contosoorders", "ContosoRetail", "contosonordic", "contosoeurope")
WITHOUT_BACKUPS = ("contosodev", "contosotrial")

SURVIVES = {
    "proving-reset": "reset-after",
    "proving-truncated": "truncated",
    "proving-html": "html",
    "proving-empty": "empty-body",
    "proving-malformed": "malformed-xml",
    "proving-bomb": "entity-bomb",
}
"""Service -> how every answer to a change of it is spoiled, once, after the change was carried out."""

STORIES = (
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
"""Each has a trouble of its own, some two. Those with a 1 take longest; their names give them the first turns."""

RESTORED = "proving-restore"
NAMESPACE, NAMESPACE_KEY = "provingrestoreacs", "YSBrZXkgdGhhdCBpcyBtYWRlIHVwIGZvciBhIHRlc3Q="
"""The service that is restored, its Access Control namespace, and the key of that."""

AT_ONCE = 12
"""How many services are backed up at the same time."""

LEFT, MARKED, DELETED, PAUSED = "proving-left", "proving-marked", "proving-deleted-run", "proving-paused"
ABANDONED = (LEFT, MARKED, DELETED, PAUSED)
"""Each is left suspended by a run: one that has ended, one that a person marks as failed, one that a person deletes,
and one whose DAG a person pauses."""

PROVING_GROUND = (*SURVIVES, *STORIES, "proving-storage", RESTORED, *ABANDONED)
