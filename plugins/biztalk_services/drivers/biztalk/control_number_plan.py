"""What has to be done about the control numbers of a whole restored service, before it is resumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from biztalk_services.drivers.biztalk.control_number_range import Place, ranges_of
from biztalk_services.drivers.biztalk.control_numbers import Finding, Raise, needed_raise
from biztalk_services.model.control_number_use import UseReport
from biztalk_services.model.inventory import PARTNER_MANAGEMENT, Inventory

ALL = "all"
"""Agreement and kind of a finding on the whole service."""


@dataclass(frozen=True)
class Settlement:
    """What has to be done; nothing, where both are empty.

    :param raises: bounds to set.
    :param findings: what a person has to settle first.
    """

    raises: tuple[Raise, ...] = ()
    findings: tuple[Finding, ...] = ()

    def changes(self) -> dict[str, dict[str, int]]:
        """Agreement -> all properties of its ``ProtocolSettings`` to change, in one go: each change gives them another
        ETag."""
        changes: dict[str, dict[str, int]] = {}
        for each in self.raises:
            changes.setdefault(each.agreement, {}).update(each.changes())
        return changes


def settle(
    restored: Inventory,
    uses: UseReport,
    *,
    margin: int,
    recorded: Inventory | None = None,
    living: Inventory | None = None,
    estimates: Mapping[str, int] | None = None,
) -> Settlement:
    """What :func:`biztalk_services.drivers.biztalk.control_numbers.needed_raise` says of every agreement and kind.

    :param restored: the restored service; before the restore, the backup (``recorded``) stands for it.
    :param uses: what was given out since the backup.
    :param margin: numbers to leave out for what was used without being seen, from 0 on.
    :param recorded: the service at the backup; None when nobody recorded it.
    :param living: the service that was replaced, at its end; None when not known.
    :param estimates: kind -> how many one agreement has used at most, where the use is not known.
    """
    if trouble := restored.parts.get(PARTNER_MANAGEMENT):
        sentence = (
            f"The ranges of control numbers of service {restored.service} could not be read, so nobody knows whether "
            f"they repeat numbers used since the backup: {trouble.rstrip('.')}."
        )
        return Settlement(findings=(Finding(agreement=ALL, kind=ALL, rule="control-numbers-known", sentence=sentence),))
    places = list(ranges_of(restored))
    then = {_key(place): place.range for place in ranges_of(living)} if living else {}
    found: list[Raise | Finding | None] = [
        needed_raise(
            place.range,
            agreement=place.agreement,
            kind=place.kind,
            protocol=place.protocol,
            last=recorded.last_number(place.agreement, place.kind) if recorded else None,
            use=uses.use_of(place.agreement, place.kind),
            margin=margin,
            estimate=(estimates or {}).get(place.kind),
            living=then.get(_key(place)),
        )
        for place in places
    ]
    found += _without_range(places, uses)
    return Settlement(
        tuple(each for each in found if isinstance(each, Raise)),
        tuple(each for each in found if isinstance(each, Finding)),
    )


def _without_range(places: list[Place], uses: UseReport) -> Iterator[Finding]:
    """Numbers used by agreements that the restored service does not have, or that generate none there."""
    known = {_key(place) for place in places}
    for use in uses.uses:
        if use.used and (use.agreement.casefold(), use.kind) not in known:
            numbers = f"{use.kind.replace('_', ' ')} control numbers"
            sentence = (
                f"Agreement {use.agreement} has given out {use.used} {numbers} since the backup, the highest "
                f"{use.highest}, but has no range for them in the restored service. When it is made again, let it "
                "begin beyond them."
            )
            yield Finding(agreement=use.agreement, kind=use.kind, rule="control-number-range", sentence=sentence)


def _key(place: Place) -> tuple[str, str]:
    return place.agreement.casefold(), place.kind
