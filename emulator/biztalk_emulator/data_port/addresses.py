"""Which host a request is for: by its name, as for the real hosts, or by the first segment of the path."""

from __future__ import annotations

from dataclasses import dataclass

from biztalk_emulator.http_server import Request

SERVICE_DOMAIN = ".biztalk"
NAMESPACE_DOMAIN = ".accesscontrol"
CLOUDS = (".windows.net", ".chinacloudapi.cn", ".usgovcloudapi.net", ".cloudapi.de")
"""What the domains end with: the public cloud, and the sovereign ones."""


@dataclass(frozen=True)
class Address:
    """A host and the path requested of it.

    :param domain: `SERVICE_DOMAIN`, `NAMESPACE_DOMAIN`, or empty for a host that is not here.
    :param name: first label of the host's name.
    :param parts: segments of the path on that host, without empty ones.
    :param root: URI of that host as the caller reaches it, without a slash at its end.
    """

    domain: str
    name: str
    parts: tuple[str, ...]
    root: str


def parse(request: Request) -> Address:
    """Read the host from the header ``Host``, or else from the first segment of the path, as Azurite does."""
    authority = request.headers.get("host", "")
    parts = tuple(part for part in request.path.split("/") if part)
    domain, name = _split(authority.rpartition(":")[0] if ":" in authority else authority)
    if domain:
        return Address(domain, name, parts, f"https://{authority}")
    if not parts:
        return Address("", "", (), f"https://{authority}")
    domain, name = _split(parts[0])
    return Address(domain, name, parts[1:], f"https://{authority}/{parts[0]}")


def service_of(uri: str) -> str | None:
    """The name of the service on whose host a URI is, http or https; None when it is on another host."""
    scheme, _, rest = uri.partition("://")
    domain, name = _split(rest.split("/")[0])
    return name if scheme.lower() in ("http", "https") and domain == SERVICE_DOMAIN else None


def _split(host: str) -> tuple[str, str]:
    cloud = next((cloud for cloud in CLOUDS if host.lower().endswith(cloud)), None)
    host = host[: -len(cloud)] if cloud else ""
    for domain in (SERVICE_DOMAIN, NAMESPACE_DOMAIN):
        name = host[: -len(domain)]
        if host.lower().endswith(domain) and name and "." not in name:
            return domain, name
    return "", ""
