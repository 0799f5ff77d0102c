"""Reads the envelopes of EDI interchanges, X12 and EDIFACT, and nothing of what is in them.

Each interchange has delimiters of its own: X12 names them by the fixed places of its ISA segment, EDIFACT by UNA, or
they are those of its syntax. Sources: X12.5 and X12.6 (ISA, GS, ST, BIN, BDS), ISO 9735 (UNA, UNB, UNG, UNH, UNZ; its
level B for the separators that are control characters).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple

from biztalk_services.drivers.biztalk.interchanges.text import EdiText, ends_released

X12, EDIFACT = "X12", "EDIFACT"

_START = re.compile(
    rb"ISA(?P<x12>[^A-Za-z0-9 \r\n])[0-9A-Z]{2}(?P=x12)"
    rb"|(?:UNA(?P<una>[^A-Za-z0-9]{6})\s{0,8})?UNB(?P<edifact>[^A-Za-z0-9 \r\n])[A-Z]{4}(?P<component>[^A-Za-z0-9 ])\d"
)
_ISA_SIZE = 106
_ISA_SEPARATORS = (3, 6, 17, 20, 31, 34, 50, 53, 69, 76, 81, 83, 89, 99, 101, 103)
_SYNTAX = {(b":", b"+"): (b"'", b"?"), (b"\x1f", b"\x1d"): (b"\x1c", b"")}
"""Without UNA: separators of components and elements -> segment terminator and release character (level B has none)."""
_ACKNOWLEDGEMENTS = {X12: {"997", "999"}, EDIFACT: {"CONTRL"}}


class Identity(NamedTuple):
    """Who sends or receives: X12 ISA05/06 and ISA07/08, EDIFACT 0007 and 0004; without blanks at the ends."""

    qualifier: str
    value: str

    def __str__(self) -> str:
        return f"{self.qualifier}:{self.value}"


@dataclass
class Interchange:
    """The envelopes of one interchange. All numbers are text as it stands there.

    :param standard: ``X12`` or ``EDIFACT``.
    :param place: bytes before it in its text.
    :param dated: its date, in the time zone of its sender; None when that is no date.
    :param number: ISA13 or UNB 0020.
    :param groups: each GS06 or UNG 0048.
    :param transaction_sets: each ST02 or UNH 0062.
    :param types: each ST01 or UNH 0065 that occurs, and ``TA1``.
    :param damage: why it is not whole, to follow "The interchange"; empty when it is.
    """

    standard: str
    place: int
    sender: Identity
    receiver: Identity
    dated: date | None
    number: str
    groups: list[str] = field(default_factory=list)
    transaction_sets: list[str] = field(default_factory=list)
    types: set[str] = field(default_factory=set)
    damage: str = ""

    @property
    def is_acknowledgement(self) -> bool:
        """Whether it only acknowledges others: 997, 999, TA1 or CONTRL."""
        return bool(self.types) and self.types <= _ACKNOWLEDGEMENTS[self.standard] | {"TA1"}


@dataclass(frozen=True)
class Unreadable:
    """What begins as an interchange and is none.

    :param place: bytes before it in its text.
    :param reason: to follow "The interchange".
    """

    place: int
    reason: str


def interchanges_in(pieces: Iterator[bytes]) -> Iterator[Interchange | Unreadable]:
    """What a text holds, in its order; nothing where it is no EDI. Whatever stands around interchanges is passed over.

    Memory is bounded by a piece, a segment and the numbers of one interchange.

    :param pieces: the bytes of the text, in pieces of any size.
    """
    text = EdiText(pieces)
    while start := text.find(_START):
        place = text.place
        found = _x12(text, place) if start["x12"] else _edifact(text, place, start)
        if text.place == place:
            text.skip(3)
        yield found


def _x12(text: EdiText, place: int) -> Interchange | Unreadable:
    header = text.peek(_ISA_SIZE)
    element = header[3:4]
    if len(header) < _ISA_SIZE or any(header[at : at + 1] != element for at in _ISA_SEPARATORS):
        return Unreadable(place, "has an ISA segment that is not of its fixed width of 106 characters")
    text.skip(_ISA_SIZE)
    fields, terminator = header[:105].split(element), header[105:106]
    found = Interchange(
        X12,
        place,
        Identity(_text(fields[5]), _text(fields[6])),
        Identity(_text(fields[7]), _text(fields[8])),
        _date(_text(fields[9])),
        _text(fields[13]),
    )
    binary = re.compile(rb"(?:BIN|BDS%b[^%b]{0,3})%b(\d{1,15})%b" % ((re.escape(element),) * 4))
    while True:
        segment = text.segment(terminator)
        head = text.peek(64) if segment is None else segment[:64]
        if head[:3] in (b"BIN", b"BDS") and (match := binary.match(head)):
            rest = match.end() + int(match[1]) - (0 if segment is None else len(segment) + 1)
            if rest >= 0:
                text.skip(rest)
            if rest != -1 and (rest < 0 or text.peek(1) != terminator):
                return _damaged(found, "has a binary segment of another length than it states")
            continue
        if segment is None or _holds_start(segment):
            text.back()
            return _damaged(found, "has no end (IEA)")
        tag, _, rest_of_it = segment.partition(element)
        if tag == b"ST":
            fields = rest_of_it.split(element)
            found.types.add(_text(fields[0]))
            found.transaction_sets.append(_text(_at(fields, 1)))
        elif tag == b"GS":
            found.groups.append(_text(_at(rest_of_it.split(element), 5)))
        elif tag == b"TA1":
            found.types.add("TA1")
        elif tag == b"IEA":
            return _closed(found, _text(_at(rest_of_it.split(element), 1)), text)


def _edifact(text: EdiText, place: int, start: re.Match[bytes]) -> Interchange | Unreadable:
    element, component = start["edifact"], start["component"]
    if una := start["una"]:
        if (component, element) != (una[:1], una[1:2]):
            return Unreadable(place, "has other separators in UNB than its UNA segment states")
        terminator, release = una[5:6], una[3:4].strip()
        text.skip(start[0].index(b"UNB"))
    elif (component, element) in _SYNTAX:
        terminator, release = _SYNTAX[component, element]
    else:
        return Unreadable(place, "has separators of its own, and no UNA segment that states them")
    header = text.segment(terminator, release)
    fields = _split(header or b"", element, release)
    if header is None or len(fields) < 6 or _START.search(header, 3):
        text.back()
        return Unreadable(place, "has a UNB segment without end, or without a control reference")

    def components(part: bytes) -> list[str]:
        return [_text(_unreleased(each, release)) for each in _split(part, component, release)]

    def first(parts: list[bytes], at: int) -> str:
        return _text(_unreleased(_split(_at(parts, at), component, release)[0], release))

    sender, receiver, moment = (components(fields[at]) for at in (2, 3, 4))
    found = Interchange(EDIFACT, place, _party(sender), _party(receiver), _date(moment[0]), first(fields, 5))
    while True:
        segment = text.segment(terminator, release)
        if segment is None or _holds_start(segment):
            text.back()
            return _damaged(found, "has no end (UNZ)")
        tag = segment[:3]
        if tag == b"UNH":
            fields = _split(segment, element, release)
            found.types.add(first(fields, 2))
            found.transaction_sets.append(first(fields, 1))
        elif tag == b"UNG":
            found.groups.append(first(_split(segment, element, release), 5))
        elif tag == b"UNZ":
            return _closed(found, first(_split(segment, element, release), 2), text)


def _holds_start(segment: bytes) -> bool:
    """Whether another interchange begins in a segment, since the one before it was cut."""
    begun = b"ISA" in segment or b"UNB" in segment
    return segment.startswith(b"UNA") or (begun and _START.search(segment) is not None)


def _closed(found: Interchange, number: str, text: EdiText) -> Interchange:
    """The interchange whose trailer was read."""
    if number.lstrip("0") != found.number.lstrip("0"):
        text.back()  # it may be cut, and another one begin in it
        return _damaged(found, f"ends with another control number, {number[:14]!r}")
    return found


def _damaged(found: Interchange, damage: str) -> Interchange:
    found.damage = damage
    return found


def _split(segment: bytes, separator: bytes, release: bytes) -> list[bytes]:
    """The parts of a segment, with their release characters."""
    parts: list[bytes] = []
    for part in segment.split(separator):
        if parts and ends_released(parts[-1], release):
            parts[-1] += separator + part
        else:
            parts.append(part)
    return parts


def _unreleased(part: bytes, release: bytes) -> bytes:
    return re.sub(rb"(?s)%b(.)" % re.escape(release), rb"\1", part) if release and release in part else part


def _at(fields: list[bytes], place: int) -> bytes:
    return fields[place] if place < len(fields) else b""


def _party(components: list[str]) -> Identity:
    return Identity(components[1] if len(components) > 1 else "", components[0])


def _text(value: bytes) -> str:
    try:
        return value.decode().strip()
    except UnicodeDecodeError:
        return value.decode("latin-1").strip()


def _date(text: str) -> date | None:
    """YYMMDD, of this century, or CCYYMMDD."""
    if not re.fullmatch(r"\d{6}|\d{8}", text):
        return None
    try:
        return datetime.strptime(text if len(text) == 8 else f"20{text}", "%Y%m%d").date()
    except ValueError:
        return None
