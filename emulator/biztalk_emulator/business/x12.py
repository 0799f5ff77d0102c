"""X12 interchanges as text: ISA/GS/ST envelopes around the beginning segment of each document (X12.5, X12.6, 004010).

Element separator ``*``, component separator ``:``, segment terminator ``~``.
"""

from datetime import UTC, datetime

from .content import Identity
from .envelope import Group, Interchange, TransactionSet
from .errors import TrafficRefused

_BEGINNING = {
    "850": "BEG*00*SA*{reference}**{date}",
    "855": "BAK*00*AD*{reference}*{date}",
    "856": "BSN*00*{reference}*{date}*{time}",
    "810": "BIG*{date}*{reference}",
}
_ANY_BEGINNING = "REF*ZZ*{reference}"


def render(interchange: Interchange, now: datetime) -> str:
    """The interchange as one string of segments.

    :raises TrafficRefused: when an identity does not fit into ISA05 to ISA08.
    """
    groups = [(group, [_transaction_set(each, now) for each in group.transaction_sets]) for group in interchange.groups]
    return _envelope(interchange, groups, now)


def acknowledge(received: Interchange, control_number: str, now: datetime) -> str:
    """The functional acknowledgement (997, accepted) of a received interchange; its number serves at every level."""
    segments = []
    for group in received.groups:
        sets = len(group.transaction_sets)
        segments += [
            f"AK1*{group.functional_id}*{_numeric(group.control_number)}",
            *(
                segment
                for each in group.transaction_sets
                for segment in (f"AK2*{each.document_type}*{each.control_number}", "AK5*A")
            ),
            f"AK9*A*{sets}*{sets}*{sets}",
        ]
    answer = Group("FA", control_number, (TransactionSet("997", control_number, ""),))
    reply = Interchange(received.receiver, received.sender, control_number, received.version, (answer,))
    return _envelope(reply, [(answer, [_wrap("997", control_number, segments)])], now)


def _envelope(interchange: Interchange, groups: list[tuple[Group, list[list[str]]]], now: datetime) -> str:
    moment = now.astimezone(UTC)
    sender, receiver = _isa_identity(interchange.sender), _isa_identity(interchange.receiver)
    segments = [
        f"ISA*00*{'':10}*00*{'':10}*{sender}*{receiver}*{moment:%y%m%d}*{moment:%H%M}*U*00401*{interchange.control_number}*0*P*:"
    ]
    for group, sets in groups:
        number = _numeric(group.control_number)
        segments.append(
            f"GS*{group.functional_id}*{interchange.sender['Value']}*{interchange.receiver['Value']}*{moment:%Y%m%d}*{moment:%H%M}"
            f"*{number}*X*{interchange.version}"
        )
        segments += [segment for each in sets for segment in each]
        segments.append(f"GE*{len(sets)}*{number}")
    segments.append(f"IEA*{len(groups)}*{interchange.control_number}")
    return "".join(f"{segment}~" for segment in segments)


def _transaction_set(each: TransactionSet, now: datetime) -> list[str]:
    moment = now.astimezone(UTC)
    beginning = _BEGINNING.get(each.document_type, _ANY_BEGINNING)
    segment = beginning.format(reference=each.reference, date=f"{moment:%Y%m%d}", time=f"{moment:%H%M}")
    return _wrap(each.document_type, each.control_number, [segment])


def _wrap(document_type: str, control_number: str, segments: list[str]) -> list[str]:
    return [f"ST*{document_type}*{control_number}", *segments, f"SE*{len(segments) + 2}*{control_number}"]


def _numeric(control_number: str) -> str:
    return control_number.lstrip("0")


def _isa_identity(identity: Identity) -> str:
    qualifier, value = identity["Qualifier"], identity["Value"]
    if len(qualifier) != 2 or not 1 <= len(value) <= 15 or not value.isascii() or set(value) & set("*:~"):
        raise TrafficRefused(
            f"The identity '{qualifier}:{value}' does not fit into an X12 interchange: it needs a two-character "
            "qualifier and 1 to 15 plain characters without * : ~."
        )
    return f"{qualifier}*{value:15}"
