"""How much an edition may hold (editions charts of 2013 and 2015; where they differ, the smaller number)."""

from typing import NamedTuple

from .content import Content


class Quota(NamedTuple):
    """Per scale unit, and the most units; archiving: whether the edition may archive messages."""

    bridges: int
    agreements: int
    units: int
    archiving: bool


QUOTAS = {
    "free": Quota(bridges=0, agreements=0, units=1, archiving=False),
    "developer": Quota(bridges=25, agreements=10, units=1, archiving=True),
    "basic": Quota(bridges=25, agreements=25, units=8, archiving=False),
    "standard": Quota(bridges=125, agreements=250, units=4, archiving=False),
    "premium": Quota(bridges=500, agreements=1000, units=8, archiving=True),
}

_AGREEMENT_BRIDGES = ("EdiSend", "EdiReceive", "As2Send", "As2Receive")


def excesses(content: Content, *, edition: str, units: int) -> list[str]:
    """What exceeds the quota, one sentence each; empty when all fits.

    The bridges of agreements come with the agreement and do not count as bridges.

    :param edition: in any case, as in the setting ``Edition``.
    :raises KeyError: for an unknown edition.
    """
    quota = QUOTAS[edition.lower()]
    application_bridges = [bridge for bridge in content["bridges"] if bridge["Kind"] not in _AGREEMENT_BRIDGES]
    sentences = []
    for kind, held, allowed in (
        ("units", units, quota.units),
        ("bridges", len(application_bridges), quota.bridges * units),
        ("agreements", len(content["agreements"]), quota.agreements * units),
    ):
        if held > allowed:
            sentences.append(
                f"The {edition.lower()} edition allows {allowed} {kind} with {units} unit(s); there are {held}."
            )
    return sentences
