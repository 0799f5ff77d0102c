"""Host names as people write them in connections and as services report them."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from biztalk_services.model.errors import InvalidAddressError
from biztalk_services.model.redaction import redact

ACS_HOST = "accesscontrol.windows.net"
SERVICE_HOST = "biztalk.windows.net"

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
HOST_NAME = rf"(?i)(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*"
"""Pattern of a host name, without a dot at its end."""


class Host(NamedTuple):
    """A host name or IP address in lower case, without brackets and dot at its end, and the port if one is named."""

    name: str
    port: int | None

    def origin(self) -> str:
        """``https://host``, with the port if one is named."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return f"https://{name}" + (f":{self.port}" if self.port else "")


def read_host(text: str, what: str, port: int | None = None) -> Host:
    """The host in a text such as ``host``, ``host:443``, ``https://host:443/``.

    :param what: what it is the host of, for messages (``the management API``).
    :param port: a port that is named beside it.
    :raises InvalidAddressError: it is no host, has another scheme, a user or a path, or two ports are named.
    """
    scheme, host, rest = _split(text)
    # Not printed with a user: the text may contain a password.
    shown = "A text with a user" if "@" in text else repr(redact(text, limit=200))
    if host is None or rest or scheme not in ("", "https") or "@" in text:
        raise InvalidAddressError(
            f"{shown} is not the host of {what}: write it as 'host', or as 'https://host:port', without user, path and "
            "query."
        )
    if port and host.port and port != host.port:
        raise InvalidAddressError(
            f"The host of {what} is given with port {host.port}, and the port as {port}; give one of them."
        )
    return Host(host.name, port or host.port)


def reported_host(text: str) -> str:
    """The host name in an address that a service reports, with or without scheme, port and path; empty when it has
    none."""
    host = _split(text)[1]
    return host.name if host else ""


def read_namespace(text: str, host: str = ACS_HOST) -> tuple[str, str]:
    """Name and host of an Access Control namespace, which may be given with its host (``contoso.accesscontrol...``).

    :param host: of the Access Control Service, where the text names none.
    """
    found = _split(text)[1]
    name, _, own = (found.name if found else text).partition(".")
    return (name, own) if found and own else (text, host)


def platform_host(service: str, service_host: str = SERVICE_HOST) -> str:
    """The host name that the platform gives a service."""
    return f"{service.lower()}.{service_host}"


def custom_domain(settings_value: str, service_host: str = SERVICE_HOST) -> str:
    """The custom domain in the setting ``CustomDomainUrl``; empty where it is none, or the platform's own name."""
    host = reported_host(settings_value)
    return "" if host.endswith(f".{service_host}") else host


def read_subscription(text: str) -> str:
    """A subscription id as people copy it (with blanks, quotes, braces, in upper case), in its usual form.

    :raises InvalidAddressError: it is not the id of a subscription.
    """
    bare = text.strip(" \t\r\n\"'{}")
    if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", bare):
        raise InvalidAddressError(
            f"{redact(text, limit=64)!r} is not a subscription id: use the GUID from the portal's dashboard."
        )
    return bare.lower() if re.fullmatch(r"(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", bare) else bare


def _split(text: str) -> tuple[str, Host | None, str]:
    """Scheme, host and the rest of an address; no host where the text has none."""
    text = text.strip().strip("\"'").strip()
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    bare_address = rest.count(":") > 1 and "[" not in rest
    name, port, path = "", None, ""
    with suppress(ValueError):
        parts = urlsplit(f"//[{rest}]" if bare_address else f"//{rest}")
        path = parts.path.strip("/") + parts.query + parts.fragment
        name, port = (parts.hostname or "").rstrip("."), parts.port
        with suppress(UnicodeError):
            name = name.encode("idna").decode()
    is_host = re.fullmatch(HOST_NAME, name) or _is_address(name)
    if not is_host or port == 0 or re.search(r"\s", text):
        return scheme.lower(), None, path
    return scheme.lower(), Host(name.lower(), port), path


def _is_address(text: str) -> bool:
    with suppress(ValueError):
        return bool(ip_address(text))
    return False
