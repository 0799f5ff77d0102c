"""EDIFACT interchanges as text: UNB/UNG/UNH envelopes around a BGM segment for each message (ISO 9735, syntax 3)."""

from datetime import UTC, datetime

from .content import Identity
from .envelope import Group, Interchange, TransactionSet
from .errors import TrafficRefused

_DOCUMENT_NAME = {"ORDERS": "220", "ORDRSP": "231", "DESADV": "351", "INVOIC": "380"}
_ANY_DOCUMENT = "ZZZ"


def render(interchange: Interchange, now: datetime) -> str:
    """The interchange as one string of segments, with UNG/UNE where a group has a control number.

    :raises TrafficRefused: when an identity does not fit into UNB.
    """
    moment = now.astimezone(UTC)
    segments = [_unb(interchange, moment)]
    for group in interchange.groups:
        messages = [_message(each, interchange.version) for each in group.transaction_sets]
        body = [segment for message in messages for segment in message]
        segments += _grouped(interchange, group, body, moment) if group.control_number else body
    with_groups = [group for group in interchange.groups if group.control_number]
    total = len(with_groups) or sum(len(group.transaction_sets) for group in interchange.groups)
    segments.append(f"UNZ+{total}+{interchange.control_number}")
    return _join(segments)


def acknowledge(received: Interchange, control_number: str, now: datetime) -> str:
    """The CONTRL message that accepts a received interchange (UCI action 7); its number serves both UNB and UNH."""
    reply = Interchange(received.receiver, received.sender, control_number, received.version, ())
    sender, receiver = _unb_identity(received.sender), _unb_identity(received.receiver)
    return _join(
        [
            _unb(reply, now.astimezone(UTC)),
            f"UNH+{control_number}+CONTRL:D:3:UN",
            f"UCI+{received.control_number}+{sender}+{receiver}+7",
            f"UNT+3+{control_number}",
            f"UNZ+1+{control_number}",
        ]
    )


def _unb(interchange: Interchange, moment: datetime) -> str:
    sender, receiver = _unb_identity(interchange.sender), _unb_identity(interchange.receiver)
    return f"UNB+UNOB:3+{sender}+{receiver}+{moment:%y%m%d}:{moment:%H%M}+{interchange.control_number}"


def _grouped(interchange: Interchange, group: Group, body: list[str], moment: datetime) -> list[str]:
    sender, receiver = _unb_identity(interchange.sender), _unb_identity(interchange.receiver)
    header = (
        f"UNG+{group.functional_id}+{sender}+{receiver}+{moment:%y%m%d}:{moment:%H%M}+{group.control_number}+UN"
        f"+{interchange.version}"
    )
    return [header, *body, f"UNE+{len(group.transaction_sets)}+{group.control_number}"]


def _message(each: TransactionSet, version: str) -> list[str]:
    name = _DOCUMENT_NAME.get(each.document_type, _ANY_DOCUMENT)
    return [
        f"UNH+{each.control_number}+{each.document_type}:{version}:UN",
        f"BGM+{name}+{_escape(each.reference)}+9",
        f"UNT+3+{each.control_number}",
    ]


def _unb_identity(identity: Identity) -> str:
    qualifier, value = identity["Qualifier"], identity["Value"]
    if not 1 <= len(qualifier) <= 4 or not qualifier.isalnum() or not 1 <= len(value) <= 35 or not value.isascii():
        raise TrafficRefused(
            f"The identity '{qualifier}:{value}' does not fit into an EDIFACT interchange: it needs a qualifier of "
            "1 to 4 letters or digits and 1 to 35 plain characters."
        )
    return f"{_escape(value)}:{qualifier}"


def _escape(value: str) -> str:
    for special in "?+:'":
        value = value.replace(special, f"?{special}")
    return value


def _join(segments: list[str]) -> str:
    return "".join(f"{segment}'" for segment in segments)
