"""Requests a change once, whatever dies in between: the intent is stored before the request is sent, its operation
after; a retry checks before it sends again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from biztalk_services.flows.job import Journal
from biztalk_services.model.errors import NOT_STARTED, BackupServiceError
from biztalk_services.model.service import Operation

Entry = dict[str, Any]


def submit_once(
    journal: Journal,
    key: str,
    *,
    prepare: Callable[[], Entry],
    adopt: Callable[[Entry], bool],
    submit: Callable[[Entry], Operation],
    forget: Callable[[BackupServiceError], bool] = lambda error: isinstance(error, NOT_STARTED),
    recheck: bool = False,
) -> Entry:
    """The entry of a request in the journal, with its ``operation_id`` (None when it was adopted) and ``cursor``.

    :param prepare: checks what has to be so before the request, and makes the intent. Raises when it is not so.
    :param adopt: whether the request of an earlier try has arrived. Raises when it must not be sent again.
    :param forget: whether an error of the first request shows that it was certainly not taken, so that the intent is
        deleted.
    :param recheck: whether a request that is known to be sent has to be adopted, too, because it may have failed since.
    """
    entry = journal.get(key)
    if entry and entry.get("submitted") and not recheck:
        return entry
    is_first = entry is None
    if entry is None:
        entry = prepare()
        journal.set(key, entry)
    elif adopt(entry):
        return _submitted(journal, key, entry, Operation(None, cursor=entry.get("cursor")))
    try:
        operation = submit(entry)
    except BackupServiceError as error:
        if is_first and forget(error):
            journal.delete(key)
        raise
    return _submitted(journal, key, entry, operation)


def _submitted(journal: Journal, key: str, entry: Entry, operation: Operation) -> Entry:
    done = entry | {"submitted": True, "operation_id": operation.operation_id, "cursor": operation.cursor}
    journal.set(key, done)
    return done
