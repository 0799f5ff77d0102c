"""Answers with a body (REST reference, sections 3 and 4)."""

from __future__ import annotations

import json
import uuid
from functools import lru_cache
from typing import Any

from biztalk_emulator import connection_strings, state_chart, times
from biztalk_emulator.management.errors import ManagementError
from biztalk_emulator.management.xml import document, element, text
from biztalk_emulator.operations import KINDS
from biztalk_emulator.store import CloudService, ListedService, Operation

_FRONT_STATE = {
    state_chart.SUSPENDED: "Paused",
    state_chart.STOPPED: "Stopped",
    state_chart.DISABLED: "Stopped",
}
CONNECTION_STRINGS = (
    "TrackingStoreConnectionString",
    "ArchiveStoreConnectionString",
    "MonitoringStoreConnectionString",
)
PLAIN_SETTINGS = ("CustomDomainUrl", "ServiceVersion", "Edition", "UnitCount")


def error(refusal: ManagementError) -> bytes:
    """``Error``."""
    return document("Error", text("Code", refusal.code), text("Message", refusal.message))


def cloud_services(groups: list[tuple[CloudService, list[ListedService]]]) -> bytes:
    """``CloudServices``."""
    return document("CloudServices", *(element("CloudService", *_cloud_service(*group)) for group in groups))


def cloud_service(group: CloudService, services: list[ListedService]) -> bytes:
    """``CloudService``."""
    return document("CloudService", *_cloud_service(group, services))


def resource(service: ListedService) -> bytes:
    """``Resource``."""
    return document("Resource", _resource(service))


def envelope_operation(operation: Operation) -> bytes:
    """``Operation``, as ``/operations/{id}`` reports it."""
    status = operation.envelope_status()
    parts = [text("ID", uuid.UUID(operation.id)), text("Status", status)]
    if status == "Succeeded":
        parts.append(text("HttpStatusCode", 200))
    if status == "Failed" and operation.error:
        parts.append(text("HttpStatusCode", operation.error["http_code"]))
        parts.append(
            element("Error", text("Code", operation.error["code"]), text("Message", operation.error["message"]))
        )
    return document("Operation", *parts)


def operation_status(operation: Operation) -> bytes:
    """``OperationStatus``, as the resource provider reports it."""
    return document("OperationStatus", *_operation_status(operation.status, operation.error))


def visible_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The Create tree without passwords and keys."""
    visible = {name: settings[name] for name in PLAIN_SETTINGS if settings.get(name) is not None}
    certificate = settings.get("ServiceCertificate") or {}
    if certificate.get("Data"):
        visible["ServiceCertificate"] = {"Data": "(not shown)"}
    for name in CONNECTION_STRINGS:
        if settings.get(name):
            visible[name] = connection_strings.without_secrets(settings[name])
    if settings.get("AccessControlNamespace"):
        visible["AccessControlNamespace"] = settings["AccessControlNamespace"]
    return visible


def _cloud_service(group: CloudService, services: list[ListedService]) -> list[str]:
    return [
        text("Name", group.name),
        text("Label", group.label),
        text("Description", group.description),
        text("GeoRegion", group.geo_region),
        element("Resources", *(element("Resource", _resource(service)) for service in services)),
    ]


def state_element(state: str) -> str:
    """The element that holds the state of a service."""
    return text("SubState", state)


@lru_cache(maxsize=10_000)
def _resource(service: ListedService) -> str:
    """What is inside of ``Resource``; kept, as a list is long, read often, and little of it changes in between."""
    created = times.as_datetime(service.created_at)
    clock = f"{created.hour % 12 or 12}:{created:%M:%S %p} +00:00"
    parts = [
        text("ResourceProviderNamespace", "biztalkservices"),
        text("Type", "biztalk"),
        text("Name", service.name),
        element("Plan"),
        text("SchemaVersion", "1.0"),
        text("ETag", service.etag),
        text("State", _FRONT_STATE.get(service.visible_state, "Started")),
        state_element(service.visible_state),
        element("UsageMeters"),
        element("IntrinsicSettings", element("ServiceSettings", *_settings(json.loads(service.settings)), xmlns="")),
        element(
            "OutputItems",
            element(
                "OutputItem",
                text("Key", "CreationDate"),
                text("Value", f"{created.month}/{created.day}/{created.year} {clock}"),
            ),
        ),
    ]
    if service.kind:
        error = json.loads(service.error) if service.error else None
        status = [text("Type", KINDS[service.kind].resource_type), *_operation_status(service.status, error)]
        parts.append(element("OperationStatus", *status))
    parts.append(element("Label"))
    return "".join(parts)


def _settings(settings: dict[str, Any]) -> list[str]:
    parts = []
    for name, value in visible_settings(settings).items():
        if name != "ServiceCertificate":
            parts.append(text(name, value))
    return parts


def _operation_status(status: str | None, error: dict[str, Any] | None) -> list[str]:
    parts = [text("Result", status)]
    if error:
        parts.append(
            element(
                "Error",
                text("HttpCode", error["http_code"]),
                text("Message", error["message"]),
                text("ExtendedCode", error["extended_code"]),
            )
        )
    return parts
