"""Reads all entities of an entity set of partner management, page by page, within fixed limits.

Pages are requested with ``$top``, ``$skip`` and ``$inlinecount`` (URI conventions of OData 2); links to next pages,
which the service may give in place of a larger page, are followed. A service that ignores or refuses these options is
read as it responds. Each page but the first begins with the last entity of the page before, so that a set that changes
meanwhile is noticed, and read again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from biztalk_services.drivers.biztalk.wire.odata import Page, parse_page
from biztalk_services.drivers.biztalk.wire.partner_addresses import PartnerAddresses
from biztalk_services.drivers.biztalk.wire.transport import Response
from biztalk_services.model.errors import BackupServiceError, InvalidAddressError, UnexpectedResponseError
from biztalk_services.model.redaction import redact

log = logging.getLogger(__name__)

PAGE_SIZE = 100
"""Number of entities that a request asks for."""
MAX_PAGES = 1000
"""Maximum number of pages, including those of expanded collections."""
MAX_PAGE_BYTES = 32 * 1024 * 1024
"""Maximum size of one page; a service that ignores ``$top`` returns the whole set as one."""
MAX_TOTAL_BYTES = 64 * 1024 * 1024
"""Maximum size of all pages together."""
MAX_READS = 3
"""How often a set is read that changes while it is read."""

_REFUSED = (400, 501)
"""Statuses of a service that does not offer a query option."""

FetchPage = Callable[[str, Callable[[Response], Page]], Page]
"""(path and query, parser) -> page."""


class _ChangedError(Exception):
    """The set changed while it was read; the message is a clause."""


@dataclass(frozen=True)
class _Pending:
    """A page to read: the list to extend, path and query, ids of the entities read so far."""

    entities: list[dict[str, Any]]
    path: str
    query: str
    ids: set[str] = field(default_factory=set)


class EntitySetReader:
    """Reads one entity set.

    :param request: subject of error messages (``Request to https://host to read Agreements``).
    """

    def __init__(self, addresses: PartnerAddresses, request: str, fetch: FetchPage) -> None:
        self._addresses = addresses
        self._request = request
        self._fetch = fetch
        self._pages = 0
        self._bytes = 0

    def read_all(self, entity_set: str, query: str) -> list[dict[str, Any]]:
        """All entities of a set, with all entities of their expanded links; each once.

        :param query: encoded, without question mark; empty for none.
        :raises UnexpectedResponseError: a limit is exceeded, a link leaves the set, or the set changes with each read.
        :raises BackupServiceError: a request was rejected, the service is unreachable or a page unreadable.
        """
        for attempt in range(1, MAX_READS + 1):
            self._pages = self._bytes = 0
            try:
                return self._in_pages(entity_set, query)
            except _ChangedError as change:
                log.info("%s: %s (read %s of %s)", self._request, change, attempt, MAX_READS)
                reason = str(change)
        raise self._error(f"{reason}; {entity_set} changed during each of {MAX_READS} reads")

    def _in_pages(self, entity_set: str, query: str) -> list[dict[str, Any]]:
        entities: list[dict[str, Any]] = []
        total: int | None = None
        while True:
            try:
                page, count = self._window(entity_set, query, len(entities))
            except BackupServiceError as error:
                if entities or error.status not in _REFUSED:
                    raise
                return self._as_it_comes(entity_set, query)
            if entities and count != total:
                raise _ChangedError(f"the service counted {total} entities, then {count}")
            total = count
            if entities and _ids(page) == _ids(entities):
                return self._as_it_comes(entity_set, query)
            if entities and _ids(page[:1]) != _ids(entities[-1:]):
                raise _ChangedError("a page does not begin with the last entity of the page before")
            fresh = page[1:] if entities else page
            entities += fresh
            last = len(page) != PAGE_SIZE and (total is None or len(entities) >= total)
            if last or not fresh:
                return _complete(entities, total)

    def _window(self, entity_set: str, query: str, known: int) -> tuple[list[dict[str, Any]], int | None]:
        """The entities from the last known one on, and how many the set has in all where the service counts them."""
        options = [query, f"$top={PAGE_SIZE}", f"$skip={known - 1}" if known else "", "$inlinecount=allpages"]
        return self._follow(entity_set, "&".join(option for option in options if option))

    def _as_it_comes(self, entity_set: str, query: str) -> list[dict[str, Any]]:
        """All entities without asking for pages; for a service that does not offer that."""
        entities, total = self._follow(entity_set, query)
        return _complete(entities, total)

    def _follow(self, path: str, query: str) -> tuple[list[dict[str, Any]], int | None]:
        """The entities of a page and of all that its links lead to, and how many the set has in all."""
        entities: list[dict[str, Any]] = []
        total: int | None = None
        queue = [_Pending(entities, path, query)]
        while queue:
            pending = queue.pop()
            page = self._page(pending)
            total = page.count if pending.entities is entities and page.count is not None else total
            self._append(page.entities, pending)
            for following in page.next_pages:
                same_list = following.entities is page.entities
                path, query = self._location(following.link, pending.path if same_list else None)
                ids = pending.ids if same_list else set(_ids(following.entities))
                queue.append(_Pending(pending.entities if same_list else following.entities, path, query, ids))
        return entities, total

    def _page(self, pending: _Pending) -> Page:
        if self._pages >= MAX_PAGES or self._bytes > MAX_TOTAL_BYTES:
            raise UnexpectedResponseError(
                f"{self._request} failed: the list has no end after {self._pages} pages and {self._bytes} bytes, which "
                "is more than this project reads. Trying again does not help; check that the endpoint is that of the "
                "service.",
                advice="stop",
            )
        self._pages += 1
        return self._fetch(self._addresses.target(pending.path, pending.query), self._parse)

    def _parse(self, response: Response) -> Page:
        self._bytes += len(response.body)
        return parse_page(response.body)

    def _append(self, entities: list[dict[str, Any]], pending: _Pending) -> None:
        for entity in entities:
            if entity["@id"] in pending.ids:
                raise _ChangedError(f"entity {redact(entity['@id'], limit=200)} is repeated")
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


def _complete(entities: list[dict[str, Any]], total: int | None) -> list[dict[str, Any]]:
    """The entities, each of which has to be there once, and all that the service counted."""
    seen: set[str] = set()
    for each in _ids(entities):
        if each in seen:
            raise _ChangedError(f"entity {redact(each, limit=200)} is repeated")
        seen.add(each)
    if total is not None and len(entities) != total:
        raise _ChangedError(f"the service counted {total} entities and returned {len(entities)}")
    return entities


def _ids(entities: list[dict[str, Any]]) -> list[str]:
    return [entity["@id"] for entity in entities]
