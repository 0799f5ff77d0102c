"""Messages through the agreements of a service.

A *service* here is a document ``{"name", "content", "runtime"}`` (:mod:`.content`). Every function either writes the
tracking and changes the document, or raises and leaves the document as it was. The caller checks whether the service
processes messages in its state (a suspended one does not).
"""

from datetime import datetime, timedelta
from typing import Any

from . import batches
from .clock import from_text, to_text
from .content import Agreement, BatchDescription
from .control_numbers import HIGHEST
from .directory import agreement_named
from .errors import TrafficRefused
from .journey import Journey
from .tracking import TrackingDatabase

DEFAULT_SIZE = 2048
MOST_MESSAGES = 10_000
LARGEST = 2**31 - 1
RETRY = timedelta(seconds=60)
"""When a release that failed is tried again."""

Service = dict[str, Any]


def send(
    service: Service,
    *,
    agreement: str,
    messages: int = 1,
    size: int = DEFAULT_SIZE,
    document_type: str | None = None,
    control_number: int | None = None,
    now: datetime,
    tracking: TrackingDatabase,
) -> dict[str, Any]:
    """Let messages arrive at an agreement: from the application on a send agreement, else from the partner.

    On a send agreement a message enters the first batch whose filter takes it, else it leaves at once as an interchange
    of its own. On a receive agreement each message comes as an interchange of its own, numbered on from the last one.

    :param messages: how many, 1 to 10 000.
    :param size: bytes of each message.
    :param document_type: one of the agreement's; by default its first.
    :param control_number: receive agreements of X12 and EDIFACT: the interchange control number of the first message.
    :param now: when, aware.
    :return: ``agreement``, ``direction``, ``messages``, ``interchanges`` (sent or received, each ``interchange_id``,
        ``control_number``, ``group_control_numbers``, ``transaction_set_control_numbers``, ``messages``, ``size``,
        ``sha256``,
        ``as2_message_id``, ``mic``), ``releases`` (as :func:`release`), ``batch`` (``batch``, ``messages`` waiting now;
        or ``None``),
        ``acknowledgements`` (control numbers), ``rejected`` (duplicate interchange control numbers).
    :raises TrafficRefused: unknown or disabled agreement, bad argument, no document type or mapping.
    :raises ControlNumbersExhausted: nothing was sent and no number consumed.
    """
    if isinstance(messages, bool) or not isinstance(messages, int) or not 1 <= messages <= MOST_MESSAGES:
        raise TrafficRefused(f"The number of messages must be a whole number from 1 to {MOST_MESSAGES}.")
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= LARGEST:
        raise TrafficRefused(f"The size of a message must be a whole number of bytes from 1 to {LARGEST}.")
    journey = Journey(service, now)
    chosen = _usable_agreement(service, agreement, now)
    kind = _document_type(chosen, document_type)
    result = {
        "agreement": agreement,
        "direction": chosen["Direction"],
        "messages": messages,
        "interchanges": [],
        "releases": [],
        "batch": None,
        "acknowledgements": [],
        "rejected": [],
    }
    if chosen["Direction"] == "Receive":
        _receive(journey, chosen, kind, messages, size, control_number, tracking, result)
    elif control_number is not None:
        raise TrafficRefused(f"Agreement '{agreement}' sends, so its control numbers come from its own range.")
    elif batch := _batch_for(chosen, kind, size):
        _fill(journey, chosen, batch, kind, messages, size, result)
    else:
        for _ in range(messages):
            result["interchanges"].append(journey.send(chosen, [journey.new_message(chosen, kind, size)]))
    journey.commit(tracking)
    return result


def release(
    service: Service, *, agreement: str, batch: str, now: datetime, tracking: TrackingDatabase
) -> dict[str, Any]:
    """Send what a batch holds now as one interchange, by hand; also what is left of a batch no longer described.

    :return: ``agreement``, ``batch``, ``reason`` (``Manual``), ``messages``, ``interchange`` (as in :func:`send`).
    :raises TrafficRefused: unknown or disabled agreement, unknown or empty batch.
    :raises ControlNumbersExhausted: the batch keeps its messages.
    """
    chosen = _usable_agreement(service, agreement, now)
    if not batches.waiting_in(service["runtime"], agreement, batch):
        known = batch in [each["Name"] for each in chosen.get("Batches", [])]
        raise TrafficRefused(
            f"Batch '{batch}' of agreement '{agreement}' holds no messages, so there is nothing to release."
            if known
            else f"Agreement '{agreement}' has no batch '{batch}'."
        )
    return _release(service, chosen, batch, "Manual", now, tracking)


def release_due(service: Service, *, now: datetime, tracking: TrackingDatabase) -> list[dict[str, Any]]:
    """Release every batch whose criterion is met now, each in a step of its own.

    :return: the releases as :func:`release` returns them, ``reason`` being the criterion. A batch that cannot be
        released keeps its messages, is in the list with ``interchange: None`` and an ``error`` sentence, and is
        tried again after :data:`RETRY`.
    """
    released = []
    for agreement, batch, due in _releases_to_come(service):
        if due > now:
            continue
        name, reason = batch["Name"], batch["ReleaseCriteriaType"]
        try:
            released.append(_release(service, agreement, name, reason, now, tracking))
        except TrafficRefused as error:
            _postpone(service, agreement["Name"], name, now + RETRY)
            waiting = batches.waiting_in(service["runtime"], agreement["Name"], name)
            failure = {"agreement": agreement["Name"], "batch": name, "reason": reason, "messages": len(waiting)}
            released.append({**failure, "interchange": None, "error": str(error)})
    return released


def next_release(service: Service) -> datetime | None:
    """When the next batch is to be released, maybe in the past; ``None`` if no batch waits for the clock."""
    return min((due for _, _, due in _releases_to_come(service)), default=None)


def _releases_to_come(service: Service) -> list[tuple[Agreement, BatchDescription, datetime]]:
    runtime = service["runtime"]
    postponed = {(each["agreement"], each["batch"]): from_text(each["until"]) for each in runtime["postponed"]}
    to_come = []
    for agreement in service["content"]["agreements"]:
        for batch in agreement.get("Batches", []):
            due = batches.due_at(batch, batches.waiting_in(runtime, agreement["Name"], batch["Name"]))
            if due is None or not agreement["EnabledInternal"]:
                continue
            due = max(due, from_text(agreement["StartDateInternal"]))
            to_come.append((agreement, batch, max(due, postponed.get((agreement["Name"], batch["Name"]), due))))
    return to_come


def _postpone(service: Service, agreement: str, batch: str, until: datetime) -> None:
    runtime = service["runtime"]
    others = [each for each in runtime["postponed"] if (each["agreement"], each["batch"]) != (agreement, batch)]
    service["runtime"] = {
        **runtime,
        "postponed": [*others, {"agreement": agreement, "batch": batch, "until": to_text(until)}],
    }


def _release(
    service: Service, agreement: Agreement, batch: str, reason: str, now: datetime, tracking: TrackingDatabase
) -> dict[str, Any]:
    journey = Journey(service, now)
    result = journey.release(agreement, batch, reason)
    journey.commit(tracking)
    return result


def _fill(
    journey: Journey,
    agreement: Agreement,
    batch: BatchDescription,
    kind: str,
    messages: int,
    size: int,
    result: dict[str, Any],
) -> None:
    name = batch["Name"]
    waiting = batches.waiting_in(journey.runtime, agreement["Name"], name)
    held, held_size = len(waiting), sum(message["size"] for message in waiting)
    for _ in range(messages):
        journey.enter(name, journey.new_message(agreement, kind, size))
        held, held_size = held + 1, held_size + size
        if batches.is_full(batch, held, held_size):
            result["releases"].append(journey.release(agreement, name, batch["ReleaseCriteriaType"]))
            held, held_size = 0, 0
    result["batch"] = {"batch": name, "messages": held}


def _receive(
    journey: Journey,
    agreement: Agreement,
    kind: str,
    messages: int,
    size: int,
    control_number: int | None,
    tracking: TrackingDatabase,
    result: dict[str, Any],
) -> None:
    if control_number is None:
        control_number = journey.next_received(agreement, tracking.last_received(agreement["Name"]))
    elif agreement["Protocol"] == "AS2":
        raise TrafficRefused(f"Agreement '{agreement['Name']}' is AS2, which has no control numbers.")
    elif isinstance(control_number, bool) or not isinstance(control_number, int) or not 1 <= control_number <= HIGHEST:
        raise TrafficRefused(f"A control number is a whole number from 1 to {HIGHEST}.")
    for offset in range(messages):
        arrival = journey.receive(agreement, journey.new_message(agreement, kind, size), control_number + offset)
        if arrival["rejected"]:
            result["rejected"].append(arrival["interchange"]["control_number"])
        else:
            result["interchanges"].append(arrival["interchange"])
        if arrival["acknowledgement"]:
            result["acknowledgements"].append(arrival["acknowledgement"])


def _usable_agreement(service: Service, name: str, now: datetime) -> Agreement:
    agreement = agreement_named(service["content"], name)
    if agreement is None:
        raise TrafficRefused(f"Service '{service['name']}' has no agreement '{name}'.")
    if not _runs(agreement, now):
        raise TrafficRefused(
            f"Agreement '{name}' is not in force: it is disabled or starts only at {agreement['StartDateInternal']}."
        )
    return agreement


def _runs(agreement: Agreement, now: datetime) -> bool:
    return agreement["EnabledInternal"] and from_text(agreement["StartDateInternal"]) <= now


def _document_type(agreement: Agreement, wanted: str | None) -> str:
    known = agreement["DocumentTypes"]
    if not known or (wanted is not None and wanted not in known):
        raise TrafficRefused(
            f"Agreement '{agreement['Name']}' carries {', '.join(known) or 'no document type'}, not '{wanted}'."
        )
    return wanted or known[0]


def _batch_for(agreement: Agreement, document_type: str, size: int) -> BatchDescription | None:
    properties = {
        "DocumentType": document_type,
        "Size": size,
        "Agreement": agreement["Name"],
        "Sender": agreement["Sender"]["Partner"],
        "Receiver": agreement["Receiver"]["Partner"],
    }
    return next((batch for batch in agreement.get("Batches", []) if batches.accepts(batch, **properties)), None)
