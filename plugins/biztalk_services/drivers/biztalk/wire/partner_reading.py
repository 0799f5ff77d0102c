"""Reads an entity set of partner management to its end, and comes to an end whatever the server says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from biztalk_services.drivers.biztalk.wire.odata import Page, parse_page
from biztalk_services.drivers.biztalk.wire.partner_addresses import PartnerAddresses
from biztalk_services.drivers.biztalk.wire.transport import Response
from biztalk_services.model.errors import InvalidAddressError, UnexpectedResponseError
from biztalk_services.model.redaction import redact

MOST_PAGES = 1000
"""Pages that one reading takes, with those of expanded collections; the service puts 100 entities on a page."""
LARGEST_READING = 64 * 1024 * 1024
"""Bytes of all pages of one reading."""

AskPage = Callable[[str, Callable[[Response], Page]], Page]
"""(path and query, how to read an answer) -> the page that was answered."""


@dataclass(frozen=True)
class _Rest:
    """What is still to be read of a list: the list so far, and path and query of its next page."""

    entities: list[dict[str, Any]]
    path: str
    query: str
    seen: set[str] = field(default_factory=set)


class Reading:
    """One reading.

    :param asked: what is asked of whom, to begin a sentence with (``Asked https://host to read Agreements``).
    :param ask: asks for one page.
    """

    def __init__(self, addresses: PartnerAddresses, asked: str, ask: AskPage) -> None:
        self._addresses = addresses
        self._asked = asked
        self._ask = ask
        self._pages = 0
        self._bytes = 0

    def all(self, entity_set: str, query: str) -> list[dict[str, Any]]:
        """All entities of a set, and all of what is expanded in them.

        :param query: encoded, without question mark; empty for none.
        :raises UnexpectedResponseError: it has no end, gives an entity twice, or leads elsewhere.
        :raises BackupServiceError: a page was refused, or could not be reached or understood.
        """
        found: list[dict[str, Any]] = []
        waiting = [_Rest(found, entity_set, query)]
        while waiting:
            rest = waiting.pop()
            page = self._page(rest)
            self._take(page.entities, rest)
            for more in page.more:
                if more.entities is page.entities:
                    path, query = self._behind(more.link, rest.path)
                    waiting.append(_Rest(rest.entities, path, query, rest.seen))
                else:
                    path, query = self._behind(more.link, None)
                    waiting.append(_Rest(more.entities, path, query, {each["@id"] for each in more.entities}))
        return found

    def _page(self, rest: _Rest) -> Page:
        if self._pages >= MOST_PAGES or self._bytes > LARGEST_READING:
            raise self._nonsense(f"there is no end after {self._pages} pages and {self._bytes} bytes")
        self._pages += 1
        return self._ask(self._addresses.target(rest.path, rest.query), self._parse)

    def _parse(self, answer: Response) -> Page:
        self._bytes += len(answer.body)
        return parse_page(answer.body)

    def _take(self, entities: list[dict[str, Any]], rest: _Rest) -> None:
        for entity in entities:
            if entity["@id"] in rest.seen:
                raise self._nonsense(f"{redact(entity['@id'], limit=200)} comes twice")
            rest.seen.add(entity["@id"])
        rest.entities.extend(entities)

    def _behind(self, link: str, place: str | None) -> tuple[str, str]:
        """Path and query of the next page of a list; it must lie where the list is read."""
        try:
            found = self._addresses.page_of(link)
        except InvalidAddressError:
            found = None
        if found is None or (place and found[0].lower() != place.lower()):
            raise self._nonsense(f"the address of the next page leads elsewhere ({redact(link, limit=200)!r})")
        return found

    def _nonsense(self, reason: str) -> UnexpectedResponseError:
        return UnexpectedResponseError(
            f"{self._asked}; {reason}. Ask again later; if it stays so, check endpoint and proxies."
        )
