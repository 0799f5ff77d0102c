"""Answers with a body (REST reference, sections 3 and 4)."""

from __future__ import annotations

import uuid
from typing import Any

from biztalk_emulator import connection_strings, state_chart, times
from biztalk_emulator.management.errors import ManagementError
from biztalk_emulator.management.xml import document, element, text
from biztalk_emulator.operations import KINDS
from biztalk_emulator.store import CloudService, Operation, Service

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


def cloud_services(groups: list[tuple[CloudService, list[Service]]]) -> bytes:
    """``CloudServices``."""
    return document("CloudServices", *(element("CloudService", *_cloud_service(*group)) for group in groups))


def cloud_service(group: CloudService, services: list[Service]) -> bytes:
    """``CloudService``."""
    return document("CloudService", *_cloud_service(group, services))


def resource(service: Service) -> bytes:
    """``Resource``."""
    return document("Resource", *_resource(service))


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
    return document("OperationStatus", *_operation_status(operation))


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


def _cloud_service(group: CloudService, services: list[Service]) -> list[str]:
    return [
        text("Name", group.name),
        text("Label", group.label),
        text("Description", group.description),
        text("GeoRegion", group.geo_region),
        element("Resources", *(element("Resource", *_resource(service)) for service in services)),
    ]


def state_element(state: str) -> str:
    """The element that holds the state of a service."""
    return text("SubState", state)


def _resource(service: Service) -> list[str]:
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
        element("IntrinsicSettings", element("ServiceSettings", *_settings(service.settings), xmlns="")),
        element(
            "OutputItems",
            element(
                "OutputItem",
                text("Key", "CreationDate"),
                text("Value", f"{created.month}/{created.day}/{created.year} {clock}"),
            ),
        ),
    ]
    if service.last_operation:
        kind = KINDS[service.last_operation.kind]
        status = [text("Type", kind.resource_type), *_operation_status(service.last_operation)]
        parts.append(element("OperationStatus", *status))
    parts.append(element("Label"))
    return parts


def _settings(settings: dict[str, Any]) -> list[str]:
    parts = []
    for name, value in visible_settings(settings).items():
        if name != "ServiceCertificate":
            parts.append(text(name, value))
    return parts


def _operation_status(operation: Operation) -> list[str]:
    parts = [text("Result", operation.status)]
    if operation.error:
        parts.append(
            element(
                "Error",
                text("HttpCode", operation.error["http_code"]),
                text("Message", operation.error["message"]),
                text("ExtendedCode", operation.error["extended_code"]),
            )
        )
    return parts
