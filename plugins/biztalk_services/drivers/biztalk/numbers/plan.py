"""What has to be done about the control numbers of a whole restored service, before it is resumed."""

from __future__ import annotations

from dataclasses import dataclass

from biztalk_services.drivers.biztalk.numbers.bounds import NewBounds, OpenNumbers, new_bounds
from biztalk_services.drivers.biztalk.numbers.ranges import Place, ranges_of
from biztalk_services.model.control_numbers import NumberPlan, NumberRow, UseReport
from biztalk_services.model.inventory import PARTNER_MANAGEMENT, Inventory

ALL = "all"
"""Agreement and kind of open numbers of the whole service."""


@dataclass(frozen=True)
class Decision:
    """What has to be done, by itself and by a person first; nothing, where both are empty."""

    bounds: tuple[NewBounds, ...] = ()
    open: tuple[OpenNumbers, ...] = ()

    def changes(self) -> dict[str, dict[str, int]]:
        """Agreement -> all properties of its ``ProtocolSettings`` to change, in one go: each change gives them another
        ETag."""
        changes: dict[str, dict[str, int]] = {}
        for each in self.bounds:
            changes.setdefault(each.agreement, {}).update(each.changes())
        return changes

    def with_applied(self, first: Decision, restored: Inventory) -> Decision:
        """This decision, in which bounds that an earlier try has set already are still shown as set by us.

        Bounds that were set do not differ from others by themselves; where a range starts over, they would even appear
        used up.

        :param first: the decision about the ranges as they were at the backup.
        :param restored: the service as it is now.
        """
        now = {place.key: (place.range.lower, place.range.upper) for place in ranges_of(restored)}
        applied = {
            each.key: each
            for each in first.bounds
            if now.get(each.key) == (each.lower, each.upper or each.restored.upper)
        }
        return Decision(
            (*applied.values(), *(each for each in self.bounds if each.key not in applied)),
            tuple(each for each in self.open if each.key not in applied),
        )


def decide(restored: Inventory, uses: UseReport, *, margin: int, recorded: Inventory | None) -> Decision:
    """What :func:`biztalk_services.drivers.biztalk.numbers.bounds.new_bounds` says of every agreement and kind.

    :param restored: the restored service; before the restore, the backup (``recorded``) stands for it.
    :param margin: numbers to leave out for what was used without being seen, from 0 on.
    :param recorded: the service at the backup; None when it was not recorded.
    """
    if problem := restored.parts.get(PARTNER_MANAGEMENT):
        sentence = (
            f"The ranges of control numbers of service {restored.service} could not be read, so it is unknown whether "
            f"they repeat numbers used since the backup: {problem.rstrip('.')}."
        )
        return Decision(open=(OpenNumbers(ALL, ALL, rule="control-numbers-known", sentence=sentence),))
    places = list(ranges_of(restored))
    decided: list[NewBounds | OpenNumbers | None] = []
    for place in places:
        last = recorded.last_number(*place.key) if recorded else None
        decided.append(new_bounds(place, last=last, use=uses.use_of(*place.key), margin=margin))
    decided += _without_range(places, uses)
    return Decision(
        tuple(each for each in decided if isinstance(each, NewBounds)),
        tuple(each for each in decided if isinstance(each, OpenNumbers)),
    )


def number_plan(
    restored: Inventory, decision: Decision, used: UseReport, recorded: Inventory | None, *, applied: bool
) -> NumberPlan:
    """The decision as a table: one row an agreement and kind that was used since the backup, or that needs a person.

    :param restored: before anything was changed, otherwise as in :func:`decide`.
    :param applied: whether the bounds are set.
    """
    bounds = {each.key: each for each in decision.bounds}
    open_numbers = {each.key: each for each in decision.open}
    rows = []
    for place in ranges_of(restored):
        use, blocked, needed = used.use_of(*place.key), open_numbers.pop(place.key, None), bounds.get(place.key)
        if blocked or needed or (use and use.used):
            last = recorded.last_number(*place.key) if recorded else None
            why = blocked.sentence if blocked else needed.reason if needed else "It is beyond every number used since."
            rows.append(
                NumberRow(
                    *place.key,
                    backup=last,
                    highest=use.highest if use else None,
                    next=needed.lower if needed and applied else place.range.after(last),
                    done=blocked is None and (needed is None or applied),
                    sentence=why,
                )
            )
    rows += [NumberRow(*key, None, None, None, False, each.sentence) for key, each in open_numbers.items()]
    return NumberPlan(tuple(rows), tuple(each.sentence for each in decision.open))


def _without_range(places: list[Place], uses: UseReport) -> list[OpenNumbers]:
    """Numbers used by agreements that the restored service does not have, or that generate none there."""
    known = {(place.agreement.casefold(), place.kind) for place in places}
    missing = []
    for use in uses.uses:
        if use.used and use.key not in known:
            sentence = (
                f"Agreement {use.agreement} has given out {use.used} {use.kind.replace('_', ' ')} control numbers "
                f"since the backup, the highest {use.highest}, but has no range for them in the restored service. "
                "When it is created again, let it begin beyond them."
            )
            missing.append(OpenNumbers(use.agreement, use.kind, rule="control-number-range", sentence=sentence))
    return missing
