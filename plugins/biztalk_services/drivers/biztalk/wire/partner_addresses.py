"""Addresses in the partner management of one service: built for requests, validated when received."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from biztalk_services.drivers.biztalk.wire.hosts import ACS_HOST, SERVICE_HOST, platform_host
from biztalk_services.model.errors import InvalidAddressError
from biztalk_services.model.redaction import redact

_ROOT = "default/$PartnerManagement"
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SET = r"[A-Za-z][A-Za-z0-9_]{0,127}"
_ENTITY = rf"{_SET}\([A-Za-z0-9'_-]{{1,128}}\)"
_FORMS = {"entity": re.compile(_ENTITY), "entity set": re.compile(rf"{_SET}|{_ENTITY}/{_SET}")}
_QUERY = re.compile(r"[\x21\x24-\x7e]{1,2000}")


@dataclass(frozen=True)
class PartnerAddresses:
    """Addresses of the partner management of one service and of its Access Control Service (ACS).

    :param endpoint: None for the real hosts; else an origin where the name of the real host is the first path segment.
    :param access_control_host: host of the Access Control Service, below which a namespace is.
    :param service_host: what a service's host name ends with.
    :param custom_domain: of the service, empty for none. Requests go to the name that the platform gives the service,
        because the custom domain may lead to another one, for example after a restore under another name.
    :raises InvalidAddressError: a value is invalid in an address.
    """

    service: str
    namespace: str
    endpoint: str | None = None
    access_control_host: str = ACS_HOST
    service_host: str = SERVICE_HOST
    custom_domain: str = ""

    def __post_init__(self) -> None:
        for what, text in (("a BizTalk service", self.service), ("an ACS namespace", self.namespace)):
            if not _LABEL.fullmatch(text or ""):
                raise InvalidAddressError(
                    f"{redact(text or '', limit=64)!r} is not the name of {what}: use letters, digits and dashes, "
                    "without the rest of the host name."
                )
        if self.endpoint is not None and not _is_origin(self.endpoint):
            # Not printed: the text may contain a password.
            raise InvalidAddressError(
                "The endpoint of partner management is not an origin: write it as 'https://host:port', without user, "
                "path and query, or omit it for the real hosts."
            )

    @property
    def host(self) -> str:
        return platform_host(self.service, self.service_host)

    @property
    def acs_host(self) -> str:
        return f"{self.namespace}.{self.access_control_host}"

    @property
    def origin(self) -> str:
        """Origin of the service, ``https://host:port``."""
        return self.endpoint.rstrip("/") if self.endpoint else f"https://{self.host}"

    @property
    def acs_origin(self) -> str:
        """Origin of ACS; equals ``origin`` when an endpoint is set."""
        return self.endpoint.rstrip("/") if self.endpoint else f"https://{self.acs_host}"

    @property
    def acs_target(self) -> str:
        """Path of the token request (WRAP v0.9)."""
        return f"/{self.acs_host}/WRAPv0.9/" if self.endpoint else "/WRAPv0.9/"

    @property
    def scope(self) -> str:
        """Scope of a token."""
        return f"http://{self.host}/{_ROOT}/"

    def target(self, path: str, query: str = "") -> str:
        """Path and query of a request, out of a path relative to the root, and an encoded query."""
        base = f"/{self.host}" if self.endpoint else ""
        return f"{base}/{_ROOT}/{quote(path, safe='/()')}" + (f"?{query}" if query else "")

    def path_of(self, address: str, what: Literal["entity", "entity set"]) -> str:
        """The path of an address relative to the root of this service's partner management.

        Host and port of the address are not used, so that no token is sent to another server.

        :param address: absolute address, absolute path, or relative path.
        :raises InvalidAddressError: the address belongs to another service or is not of this kind.
        """
        try:
            parts = urlsplit(address)
            path, hostname = unquote(parts.path), (parts.hostname or "").lower()
        except ValueError:
            path = hostname = ""
        rooted = re.fullmatch(rf"(?i)/({re.escape(self.host)}/)?{re.escape(_ROOT)}/(.*)", path)
        foreign = hostname and not (rooted and (rooted[1] or hostname in (self.host, self.custom_domain)))
        relative = rooted[2] if rooted else path
        if foreign or not _FORMS[what].fullmatch(relative):
            raise InvalidAddressError(
                f"{redact(address, limit=200)!r} is not the address of an {what} in the partner management of service "
                f"{self.service}. Use the '@id' of an entity of this service, or write it as 'ProtocolSettings(7)'."
            )
        return relative

    def page_of(self, link: str) -> tuple[str, str]:
        """Path and query of a next page from its link.

        :raises InvalidAddressError: the link belongs to another service or is not a page of an entity set.
        """
        path = self.path_of(link, "entity set")
        query = urlsplit(link).query
        if not _QUERY.fullmatch(query):
            raise InvalidAddressError(
                f"{redact(link, limit=200)!r} is not the address of a next page: it has no valid query. Request the "
                "first page again."
            )
        return path, query


def _is_origin(endpoint: str) -> bool:
    origin = re.fullmatch(r"https://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?/?", endpoint)
    return origin is not None and (origin[1] is None or 0 < int(origin[1]) < 65536)
