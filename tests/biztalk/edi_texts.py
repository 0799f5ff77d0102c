"""EDI interchanges as text, with delimiters of any kind."""

from __future__ import annotations

from collections.abc import Sequence

US, THEM = ("01", "079928354"), ("01", "060704780")
OUR_GLN, THEIR_GLN = ("14", "7300010000001"), ("14", "4012345000009")
ORDER = "BEG*00*SA*1"

Groups = Sequence[tuple[str, str, Sequence[tuple[str, str]]]]
"""GS01, GS06, and of each transaction set ST01 and ST02."""


def x12(
    number: str,
    groups: Groups = (("PO", "1", [("850", "0001")]),),
    *,
    sender: tuple[str, str] = US,
    receiver: tuple[str, str] = THEM,
    date: str = "260103",
    body: str = ORDER,
    delimiters: str = "*~:",
    newline: str = "",
    trailer: str | None = None,
) -> str:
    """One interchange.

    :param body: of each transaction set, with ``*`` between its elements.
    :param delimiters: of elements, segments, components.
    :param newline: behind each segment.
    :param trailer: IEA02; None: as ISA13.
    """
    element, terminator, component = delimiters
    segments = [
        f"ISA*00*{'':10}*00*{'':10}*{sender[0]}*{sender[1]:15}*{receiver[0]}*{receiver[1]:15}*{date}*1200*U*00401"
        f"*{number}*0*P*{component}"
    ]
    for function, group, sets in groups:
        segments.append(f"GS*{function}*A*B*20{date}*1200*{group}*X*004010")
        for document, transaction_set in sets:
            segments += [f"ST*{document}*{transaction_set}", body, f"SE*3*{transaction_set}"]
        segments.append(f"GE*{len(sets)}*{group}")
    segments.append(f"IEA*{len(groups)}*{number if trailer is None else trailer}")
    return "".join(segment.replace("*", element) + terminator + newline for segment in segments)


def edifact(
    number: str,
    messages: Sequence[tuple[str, str]] = (("1", "ORDERS"),),
    *,
    sender: tuple[str, str] = OUR_GLN,
    receiver: tuple[str, str] = THEIR_GLN,
    group: str = "",
    date: str = "260103",
    syntax: str = "UNOC:3",
    una: str = "",
    delimiters: str = "+':?",
    newline: str = "",
) -> str:
    """One interchange.

    :param messages: of each UNH 0062 and 0065.
    :param group: UNG 0048; empty: no group.
    :param una: what stands before it.
    :param delimiters: of elements, segments, components, and the release character.
    """
    element, terminator, component, release = delimiters
    ends = f"{sender[1]}:{sender[0]}+{receiver[1]}:{receiver[0]}+{date}:1200"
    segments = [f"UNB+{syntax}+{ends}+{number}"]
    if group:
        segments.append(f"UNG+ORDERS+{ends}+{group}+UN+D:96A")
    for message, kind in messages:
        segments += [f"UNH+{message}+{kind}:D:96A:UN", "BGM+220+it?'s UNZ??+9", f"UNT+3+{message}"]
    if group:
        segments.append(f"UNE+{len(messages)}+{group}")
    segments.append(f"UNZ+{len(messages)}+{number}")
    text = "".join(f"{segment}\0{newline}" for segment in segments)
    swapped = str.maketrans({"+": element, ":": component, "'": terminator, "?": release, "\0": terminator})
    return una + text.translate(swapped)
