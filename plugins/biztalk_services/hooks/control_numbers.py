"""Settles the control numbers of a restored service through its partner management."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from biztalk_services.drivers.biztalk.control_number_plan import Settlement, settle
from biztalk_services.drivers.biztalk.control_number_range import ranges_of
from biztalk_services.drivers.biztalk.entities import ENTITY_SETS, inventory_of, protocol_settings_of
from biztalk_services.drivers.biztalk.numbers_table import rows_of
from biztalk_services.hooks.inventory import partner_management
from biztalk_services.model.control_number_use import UseReport

if TYPE_CHECKING:
    from biztalk_services.model.inventory import Inventory
    from biztalk_services.model.restore_request import RestoreRequest
    from biztalk_services.model.service import Service
    from biztalk_services.settings import Settings


def settle_control_numbers(
    service: Service,
    request: RestoreRequest,
    recorded: Inventory | None,
    used: UseReport,
    settings: Settings,
    *,
    apply: bool,
) -> tuple[list[dict[str, Any]], list[str]]:
    """
    Raise what has to be raised in a restored service, or only say so.

    :param service: the restored service as it is now.
    :param request: the choices of the restore.
    :param recorded: inventory of the backup; None when nobody recorded one.
    :param used: what was given out since the backup.
    :param settings: how connections are found.
    :param apply: whether to change the service.
    :returns: rows as :class:`biztalk_services.operators.settle.BizTalkSettleControlNumbersOperator` tells them, and
        sentences on what a person has to settle.
    :raises BackupServiceError: partner management did not answer or refused.
    """
    with partner_management(service, request.acs_conn_id or settings.acs_conn_id) as client:
        entities = client.all_entities(ENTITY_SETS)
        restored = inventory_of(service, entities, taken_at=datetime.now(UTC))
        settlement = settle(restored, used, margin=request.margin, recorded=recorded)
        if recorded:
            settlement = _with_done(
                settlement, settle(recorded, used, margin=request.margin, recorded=recorded), restored
            )
        if apply:
            for agreement, changes in settlement.changes().items():
                found = protocol_settings_of(entities, agreement) or {}
                if any(str(found.get(name)) != str(value) for name, value in changes.items()):
                    client.merge(found["@id"], changes, found.get("@etag"))
    return rows_of(restored, settlement, used, recorded, raised=apply), [each.sentence for each in settlement.findings]


def _with_done(settlement: Settlement, first: Settlement, restored: Inventory) -> Settlement:
    """The settlement, in which what an earlier try has raised already is still told as that raise.

    Raised bounds cannot be told from others by themselves; where a range starts over, they would even look used up.

    :param first: what had to be done about the ranges as they were at the backup.
    """
    now = {(place.agreement, place.kind): (place.range.lower, place.range.upper) for place in ranges_of(restored)}
    done = {
        (each.agreement, each.kind): each
        for each in first.raises
        if now.get((each.agreement, each.kind)) == (each.new_lower, each.new_upper or each.restored.upper)
    }
    return Settlement(
        (*done.values(), *(each for each in settlement.raises if (each.agreement, each.kind) not in done)),
        tuple(each for each in settlement.findings if (each.agreement, each.kind) not in done),
    )
