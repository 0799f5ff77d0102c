"""Which resource a path names (REST reference, section 1.2)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Route:
    """What a path names.

    :param kind: ``cloud_services``, ``cloud_service``, ``service``, ``operation``, ``subscription`` or ``unknown``.
    :param passed_through: the path has the ``~`` that passes a request through to the resource provider.
    """

    kind: str
    subscription: str = ""
    cloud_service: str = ""
    service: str = ""
    operation: str = ""
    passed_through: bool = False


def parse(path: str) -> Route:
    """Read a decoded path; names keep their case, fixed parts are compared in any case."""
    parts = path.strip("/").split("/")
    fixed = [part.lower() for part in parts]
    subscription = parts[0]
    if fixed[1:] == ["cloudservices"]:
        return Route("cloud_services", subscription)
    if fixed[1:] == ["services"]:
        return Route("subscription", subscription)
    if len(parts) == 3 and fixed[1] == "cloudservices" and parts[2]:
        return Route("cloud_service", subscription, parts[2])
    if len(parts) == 3 and fixed[1] == "operations" and parts[2]:
        return Route("operation", subscription, operation=parts[2])
    if len(parts) > 5 and fixed[1] == "cloudservices" and fixed[3:5] == ["resources", "biztalkservices"]:
        passed_through = parts[5] == "~"
        rest = parts[6:] if passed_through else parts[5:]
        if len(rest) == 2 and rest[0].lower() == "biztalk" and rest[1]:
            return Route("service", subscription, parts[2], rest[1], passed_through=passed_through)
    return Route("unknown", subscription)
