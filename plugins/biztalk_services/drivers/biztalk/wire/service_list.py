"""The answer to a request for services. It may have thousands, of which one is wanted: each is read when it is asked
for."""

from __future__ import annotations

from collections import defaultdict
from xml.etree.ElementTree import Element

from biztalk_services.drivers.biztalk.wire.messages import (
    Entry,
    Unread,
    UnreadableError,
    is_resource_name,
    parse_list,
    parse_services,
)
from biztalk_services.model.errors import ServiceNotFoundError
from biztalk_services.model.service import Service, ServiceRef

_NAMED = 20
"""How many services an error names."""


class ServiceList:
    """The services in a ``CloudServices`` or ``CloudService`` element.

    :raises UnreadableError: it is another element.
    """

    def __init__(self, root: Element) -> None:
        self._entries = parse_list(root)
        self._by_address: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        self._without_address: list[Entry] = []
        for entry in self._entries:
            if is_resource_name(entry.name):
                self._by_address[entry.scope.lower(), entry.name.lower()].append(entry)
            else:
                self._without_address.append(entry)

    def all(self) -> tuple[list[Service], list[Unread]]:
        """All services, and the entries that cannot be read."""
        unread: list[Unread] = []
        return parse_services(self._entries, unread.append), unread

    def find(self, address: ServiceRef) -> Service:
        """One of them.

        :raises UnreadableError: its entry cannot be read, or one without a usable name may be its own.
        :raises ServiceNotFoundError: there is none.
        """
        scope = address.scope.lower()
        unread: list[Unread] = []
        found = parse_services(self._by_address.get((scope, address.name.lower()), ()), unread.append)
        if not (found or unread):
            others = (each for each in self._without_address if each.resource is None or each.scope.lower() == scope)
            parse_services(others, unread.append)
        if unread:
            raise UnreadableError(str(unread[0]).rstrip("."))
        if found:
            return found[0]
        names = [each.ref.name for each in self.all()[0] if each.ref.scope.lower() == scope]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        raise ServiceNotFoundError(
            f"Cloud service {address.scope} holds no BizTalk service {address.name} (it holds: "
            f"{', '.join(names[:_NAMED]) or 'none'}{more}). Correct the address; the service may also have been "
            "deleted."
        )
