"""When a batch takes a message and when it releases what it holds (MSDN dn232373, BatchDescription).

Nothing is kept between calls: the next release follows from the description and the messages that wait.
"""

import sqlite3
from datetime import datetime, timedelta
from typing import Any

from .clock import from_text, to_text
from .content import Agreement, BatchDescription, BatchMessage
from .errors import TrafficRefused

_FILTER_STEPS = 100_000


def accepts(batch: BatchDescription, **properties: Any) -> bool:
    """Does the filter, an SQL-92 condition, hold for a message with these properties?

    :raises TrafficRefused: for a filter that is no condition over these properties.
    """
    columns = ", ".join(f":{name} AS {name}" for name in properties)
    connection = sqlite3.connect(":memory:")
    try:
        connection.set_progress_handler(lambda: 1, _FILTER_STEPS)
        query = f"SELECT 1 FROM (SELECT {columns}) WHERE ({batch['FilterExpression']})"
        return connection.execute(query, properties).fetchone() is not None
    except sqlite3.Error as error:
        raise TrafficRefused(
            f"The filter of batch '{batch['Name']}' is no SQL-92 condition over {', '.join(properties)}: {error}."
        ) from None
    finally:
        connection.close()


def due_at(batch: BatchDescription, waiting: list[BatchMessage]) -> datetime | None:
    """When the messages that wait are to be released; ``None`` if only further messages can bring that about.

    Timeout counts from the oldest message. A schedule releases at the first of its points after the oldest message
    entered. Count and Size are due since the newest message, once they are met.
    """
    if not waiting:
        return None
    oldest = min(from_text(message["when"]) for message in waiting)
    criterion = batch["ReleaseCriteriaType"]
    if criterion == "Timeout":
        return oldest + timedelta(seconds=batch["TimeoutInSeconds"])
    if criterion == "Schedule":
        return _schedule_point_after(oldest, batch)
    if is_full(batch, len(waiting), sum(message["size"] for message in waiting)):
        return max(from_text(message["when"]) for message in waiting)
    return None


def _schedule_point_after(moment: datetime, batch: BatchDescription) -> datetime | None:
    first = from_text(batch["FirstRelease"])
    if moment < first:
        return first
    if batch.get("RecurrenceType", 0) == 0:
        return None
    period = timedelta(seconds=batch["RecurrencePeriodInSeconds"])
    return first + ((moment - first) // period + 1) * period


def is_full(batch: BatchDescription, messages: int, size: int) -> bool:
    """Do so many messages of so many bytes together meet a Count or Size criterion?"""
    if batch["ReleaseCriteriaType"] == "Count":
        return messages >= batch["MessageCount"]
    if batch["ReleaseCriteriaType"] == "Size":
        return size >= batch["InterchangeSize"]
    return False


def waiting_in(runtime: dict[str, Any], agreement: str, batch: str) -> list[BatchMessage]:
    """The messages that wait in one batch, in the order in which they came."""
    return [each for each in runtime["batch_messages"] if (each["agreement"], each["batch"]) == (agreement, batch)]


def status(service: dict[str, Any]) -> list[dict[str, Any]]:
    """One entry a batch of the service, in the words of BizTalk Server's batch status.

    Keys: AgreementName, BatchName, Protocol, ReleaseCriteriaType, Status (``Active`` while messages wait, else
    ``Defined``), ActiveMessageCount, ActiveSizeInBytes, OldestMessageTime, NextReleaseTime (text or ``None``).
    """
    return [
        _status_of(agreement, batch, waiting_in(service["runtime"], agreement["Name"], batch["Name"]))
        for agreement in service["content"]["agreements"]
        for batch in agreement.get("Batches", [])
    ]


def _status_of(agreement: Agreement, batch: BatchDescription, waiting: list[BatchMessage]) -> dict[str, Any]:
    due = due_at(batch, waiting)
    return {
        "AgreementName": agreement["Name"],
        "BatchName": batch["Name"],
        "Protocol": agreement["Protocol"],
        "ReleaseCriteriaType": batch["ReleaseCriteriaType"],
        "Status": "Active" if waiting else "Defined",
        "ActiveMessageCount": len(waiting),
        "ActiveSizeInBytes": sum(message["size"] for message in waiting),
        "OldestMessageTime": min((message["when"] for message in waiting), default=None),
        "NextReleaseTime": to_text(due) if due else None,
    }
