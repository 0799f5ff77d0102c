"""The control numbers of a restore as a table: what was used since the backup, and what comes next."""

from __future__ import annotations

from typing import Any

from biztalk_services.drivers.biztalk.control_number_plan import Settlement
from biztalk_services.drivers.biztalk.control_number_range import ranges_of
from biztalk_services.model.control_number_use import UseReport
from biztalk_services.model.inventory import Inventory


def rows_of(
    restored: Inventory, settlement: Settlement, used: UseReport, recorded: Inventory | None, *, raised: bool
) -> list[dict[str, Any]]:
    """One row an agreement and kind whose control numbers were used since the backup, or that need a person.

    :param restored: the restored service before anything was raised; before the restore, the backup.
    :param settlement: what has to be done.
    :param used: what was given out since the backup.
    :param recorded: inventory of the backup.
    :param raised: whether what has to be raised is raised.
    """
    raises = {(each.agreement, each.kind): each for each in settlement.raises}
    findings = {(each.agreement, each.kind): each for each in settlement.findings}
    rows = []
    for place in ranges_of(restored):
        key = (place.agreement, place.kind)
        use, finding, needed = used.use_of(*key), findings.pop(key, None), raises.get(key)
        if not (finding or needed or (use and use.used)):
            continue
        last = recorded.last_number(*key) if recorded else None
        told = (
            finding.sentence if finding else needed.reason if needed else "It goes on beyond every number used since."
        )
        rows.append(
            {
                "agreement": place.agreement,
                "kind": place.kind,
                "backup": last,
                "highest": use.highest if use else None,
                "next": needed.new_lower if needed and raised else place.range.after(last),
                "done": finding is None and (needed is None or raised),
                "sentence": told,
            }
        )
    rest = {"backup": None, "highest": None, "next": None, "done": False}
    return rows + [
        {"agreement": agreement, "kind": kind, **rest, "sentence": finding.sentence}
        for (agreement, kind), finding in findings.items()
    ]
