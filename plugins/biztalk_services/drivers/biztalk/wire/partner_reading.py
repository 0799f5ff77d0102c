"""Reads all pages of an entity set of partner management, within fixed limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from biztalk_services.drivers.biztalk.wire.odata import Page, parse_page
from biztalk_services.drivers.biztalk.wire.partner_addresses import PartnerAddresses
from biztalk_services.drivers.biztalk.wire.transport import Response
from biztalk_services.model.errors import InvalidAddressError, UnexpectedResponseError
from biztalk_services.model.redaction import redact

MAX_PAGES = 1000
"""Maximum number of pages, including those of expanded collections; the service returns 100 entities per page."""
MAX_TOTAL_BYTES = 64 * 1024 * 1024
"""Maximum size of all pages together."""

FetchPage = Callable[[str, Callable[[Response], Page]], Page]
"""(path and query, parser) -> page."""


@dataclass(frozen=True)
class _Pending:
    """A page to read: the list to extend, path and query, ids of the entities read so far."""

    entities: list[dict[str, Any]]
    path: str
    query: str
    ids: set[str] = field(default_factory=set)


class EntitySetReader:
    """Reads one entity set once.

    :param request: subject of error messages (``Request to https://host to read Agreements``).
    """

    def __init__(self, addresses: PartnerAddresses, request: str, fetch: FetchPage) -> None:
        self._addresses = addresses
        self._request = request
        self._fetch = fetch
        self._pages = 0
        self._bytes = 0

    def read_all(self, entity_set: str, query: str) -> list[dict[str, Any]]:
        """All entities of a set, with all entities of their expanded links.

        :param query: encoded, without question mark; empty for none.
        :raises UnexpectedResponseError: a limit is exceeded, an entity is repeated, or a link leaves the set.
        :raises BackupServiceError: a request was rejected, the service is unreachable or a page unreadable.
        """
        entities: list[dict[str, Any]] = []
        queue = [_Pending(entities, entity_set, query)]
        while queue:
            pending = queue.pop()
            page = self._page(pending)
            self._append(page.entities, pending)
            for following in page.next_pages:
                same_list = following.entities is page.entities
                path, query = self._location(following.link, pending.path if same_list else None)
                ids = pending.ids if same_list else {entity["@id"] for entity in following.entities}
                queue.append(_Pending(pending.entities if same_list else following.entities, path, query, ids))
        return entities

    def _page(self, pending: _Pending) -> Page:
        if self._pages >= MAX_PAGES or self._bytes > MAX_TOTAL_BYTES:
            raise self._error(f"the list has no end after {self._pages} pages and {self._bytes} bytes")
        self._pages += 1
        return self._fetch(self._addresses.target(pending.path, pending.query), self._parse)

    def _parse(self, response: Response) -> Page:
        self._bytes += len(response.body)
        return parse_page(response.body)

    def _append(self, entities: list[dict[str, Any]], pending: _Pending) -> None:
        for entity in entities:
            if entity["@id"] in pending.ids:
                raise self._error(f"entity {redact(entity['@id'], limit=200)} is repeated")
            pending.ids.add(entity["@id"])
        pending.entities.extend(entities)

    def _location(self, link: str, required_path: str | None) -> tuple[str, str]:
        """Path and query of a next page; the path is fixed for a list that was requested by path."""
        try:
            path, query = self._addresses.page_of(link)
            if required_path is None or path.lower() == required_path.lower():
                return path, query
        except InvalidAddressError:
            pass
        raise self._error(f"the link to the next page leaves the entity set ({redact(link, limit=200)!r})")

    def _error(self, reason: str) -> UnexpectedResponseError:
        return UnexpectedResponseError(
            f"{self._request} failed: {reason}. Retry later; if the error persists, check endpoint and proxies."
        )
