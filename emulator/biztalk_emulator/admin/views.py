"""What the admin port shows of services and operations; no secret is among it."""

from __future__ import annotations

from typing import Any

from biztalk_emulator import times
from biztalk_emulator.business import batches, traffic
from biztalk_emulator.business.content import counts
from biztalk_emulator.management.envelopes import visible_settings
from biztalk_emulator.message_desk import MessageDesk
from biztalk_emulator.operations import KINDS
from biztalk_emulator.store import CloudService, Operation, Service


def service(each: Service, group: CloudService, desk: MessageDesk) -> dict[str, Any]:
    """A service in short."""
    tracking = desk.tracking_path(each.settings)
    due = traffic.next_release({"name": each.name, "content": each.content, "runtime": each.runtime})
    return {
        "name": each.name,
        "cloud_service": group.name,
        "region": group.geo_region,
        "edition": each.edition,
        "state": each.visible_state,
        "settled_state": each.state,
        "processes_messages": each.processes_messages,
        "etag": each.etag,
        "created_at": times.iso(each.created_at),
        "operation": operation(each.last_operation) if each.last_operation else None,
        "items": counts(each.content),
        "waiting_messages": len(each.runtime["batch_messages"]),
        "next_release": due.isoformat().replace("+00:00", "Z") if due else None,
        "tracking_database": str(tracking) if tracking else None,
    }


def whole_service(each: Service, group: CloudService, desk: MessageDesk) -> dict[str, Any]:
    """A service with its settings, content, batches and waiting messages."""
    document = {"name": each.name, "content": each.content, "runtime": each.runtime}
    return service(each, group, desk) | {
        "settings": visible_settings(each.settings),
        "content": _without_keys(each.content),
        "batches": batches.status(document),
        "runtime": each.runtime,
    }


def duplicates(each: Service, desk: MessageDesk) -> list[dict[str, Any]]:
    """The control numbers that a partner received more than once over all histories of the service, with the partner.

    The partner is None for an agreement that the service has no longer.

    :raises TrafficRefused: the tracking database cannot be used.
    """
    partners = {
        agreement["Name"]: agreement["Receiver" if agreement["Direction"] == "Send" else "Sender"]["Partner"]
        for agreement in each.content["agreements"]
    }
    return [{"partner": partners.get(row["agreement"])} | row for row in desk.duplicates(each)]


def operation(each: Operation) -> dict[str, Any]:
    """An operation without its payload."""
    return {
        "id": each.id,
        "kind": each.kind,
        "log_name": KINDS[each.kind].log_name or None,
        "cloud_service": each.cloud_service,
        "service": each.service or None,
        "status": each.status,
        "envelope_status": each.envelope_status(),
        "started_at": times.iso(each.started_at),
        "due_at": times.iso(each.due_at) if each.due_at is not None else None,
        "ended_at": times.iso(each.ended_at) if each.ended_at is not None else None,
        "error": each.error,
        "forgotten": each.forgotten,
    }


def _without_keys(content: dict[str, Any]) -> dict[str, Any]:
    """Certificates with a private key stay inside."""
    hidden = {"Data": "(not shown)", "Password": "(not shown)"}
    certificates = [each | hidden if each["Kind"] == "Private" else each for each in content["certificates"]]
    return content | {"certificates": certificates}
