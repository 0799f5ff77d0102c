"""Kinds of control numbers as people name them in a database: by the kind, the segment, or the element.

Sources: X12 (ISA13, GS06, ST02; 997 and 999) and EDIFACT (UNB 0020, UNG 0048, UNH 0062; CONTRL).
"""

from __future__ import annotations

import re

from biztalk_services.model.control_numbers import KINDS

_SPELLINGS = {
    "interchange": ("interchanges", "isa", "isa13", "icn", "unb", "unb0020", "0020"),
    "group": ("groups", "functionalgroup", "functionalgroups", "gs", "gs06", "gcn", "ung", "ung0048", "0048"),
    "transaction_set": (
        "transactionset",
        "transactionsets",
        "transaction",
        "transactions",
        "message",
        "messages",
        "st",
        "st02",
        "unh",
        "unh0062",
        "0062",
    ),
    "acknowledgement": (
        "acknowledgements",
        "acknowledgment",
        "acknowledgments",
        "functionalacknowledgement",
        "functionalacknowledgment",
        "ack",
        "997",
        "999",
        "contrl",
    ),
}
_KIND_OF = {spelling: kind for kind, others in _SPELLINGS.items() for spelling in (kind, *others)}


def kind_of(written: str) -> str:
    """One of ``KINDS``, in any case, with or without blank, dash, underscore, and *control number* behind it.

    :raises ValueError: it is none of them.
    """
    bare = re.sub(r"[^a-z0-9]", "", written.casefold())
    for spelling in (bare, re.sub(r"(control)?(number|no|ref|reference)s?$", "", bare)):
        if spelling in _KIND_OF:
            return _KIND_OF[spelling]
    raise ValueError(f"kind is {written[:40]!r}, not one of {', '.join(KINDS)}")
