"""Addresses inside one service's partner management: made for requests, and read from what others say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from biztalk_services.model.errors import InvalidAddressError
from biztalk_services.model.redaction import redact

ACS_HOST = "accesscontrol.windows.net"
SERVICE_HOST = "biztalk.windows.net"

_ROOT = "default/$PartnerManagement"
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SET = r"[A-Za-z][A-Za-z0-9_]{0,127}"
_ENTITY = rf"{_SET}\([A-Za-z0-9'_-]{{1,128}}\)"
_FORMS = {"entity": re.compile(_ENTITY), "entity set": re.compile(rf"{_SET}|{_ENTITY}/{_SET}")}
_QUERY = re.compile(r"[\x21\x24-\x7e]{1,2000}")


@dataclass(frozen=True)
class PartnerAddresses:
    """Where the partner management of one service and its access control answer.

    :param service: name of the BizTalk service.
    :param namespace: its Access Control Service namespace.
    :param endpoint: None for the real hosts; else an origin under which the name of the real host is the first segment
        of the path.
    :raises InvalidAddressError: one of them cannot stand in an address.
    """

    service: str
    namespace: str
    endpoint: str | None = None

    def __post_init__(self) -> None:
        for what, text in (("a BizTalk service", self.service), ("an ACS namespace", self.namespace)):
            if not _LABEL.fullmatch(text or ""):
                raise InvalidAddressError(
                    f"{redact(text or '', limit=64)!r} is not the name of {what}: it takes letters, digits and dashes, "
                    "without the rest of the host name."
                )
        if self.endpoint is not None and not _is_origin(self.endpoint):
            # Not shown: what was pasted here may hold a password.
            raise InvalidAddressError(
                "The endpoint of partner management is not an origin: write it as 'https://host:port', without user, "
                "path and query, or leave it out for the real hosts."
            )

    @property
    def host(self) -> str:
        """The service's host name."""
        return f"{self.service}.{SERVICE_HOST}"

    @property
    def acs_host(self) -> str:
        """The namespace's host name."""
        return f"{self.namespace}.{ACS_HOST}"

    @property
    def origin(self) -> str:
        """What answers for the service, ``https://host:port``."""
        return self.endpoint.rstrip("/") if self.endpoint else f"https://{self.host}"

    @property
    def acs_origin(self) -> str:
        """What gives tokens; the same as ``origin`` where there is an endpoint."""
        return self.endpoint.rstrip("/") if self.endpoint else f"https://{self.acs_host}"

    @property
    def acs_target(self) -> str:
        """Path at which tokens are asked for (WRAP v0.9)."""
        return f"/{self.acs_host}/WRAPv0.9/" if self.endpoint else "/WRAPv0.9/"

    @property
    def scope(self) -> str:
        """What a token is for."""
        return f"http://{self.host}/{_ROOT}/"

    def target(self, path: str, query: str = "") -> str:
        """Path and query of a request.

        :param path: behind the root of partner management.
        :param query: encoded, without question mark.
        """
        base = f"/{self.host}" if self.endpoint else ""
        return f"{base}/{_ROOT}/{quote(path, safe='/()')}" + (f"?{query}" if query else "")

    def path_of(self, address: str, what: Literal["entity", "entity set"]) -> str:
        """The part of an address behind the root of this service's partner management.

        Nothing else of what a server or a caller says is ever used, so that no token goes elsewhere.

        :param address: absolute address, absolute path, or the part itself.
        :raises InvalidAddressError: of another service, or of something else.
        """
        try:
            parts = urlsplit(address)
            path, hostname = unquote(parts.path), (parts.hostname or "").lower()
        except ValueError:
            path = hostname = ""
        rooted = re.fullmatch(rf"(?i)/({re.escape(self.host)}/)?{re.escape(_ROOT)}/(.*)", path)
        elsewhere = hostname and not (rooted and (rooted[1] or hostname == self.host.lower()))
        behind = rooted[2] if rooted else path
        if elsewhere or not _FORMS[what].fullmatch(behind):
            raise InvalidAddressError(
                f"{redact(address, limit=200)!r} is not the address of an {what} in the partner management of service "
                f"{self.service}. Take it from what was read of this service, or write it as 'ProtocolSettings(7)'."
            )
        return behind

    def page_of(self, link: str) -> tuple[str, str]:
        """Path and query of a next page, of its address as it came.

        :raises InvalidAddressError: of another service, or of something else.
        """
        path = self.path_of(link, "entity set")
        query = urlsplit(link).query
        if not _QUERY.fullmatch(query):
            raise InvalidAddressError(
                f"{redact(link, limit=200)!r} is not the address of a next page: it has no usable query. Ask for the "
                "first page again."
            )
        return path, query


def _is_origin(endpoint: str) -> bool:
    origin = re.fullmatch(r"https://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?/?", endpoint)
    return bool(origin) and (origin[1] is None or 0 < int(origin[1]) < 65536)
