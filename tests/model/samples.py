"""A plan of a restore with everything in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from biztalk_services.model.checks import Check
from biztalk_services.model.control_numbers import NumberRow
from biztalk_services.model.plan import ExistingService, PlannedValue, RestorePlan, RestoreTarget
from biztalk_services.model.requests import RestoreRequest

from tests.archive.samples import reference

SEED = "BizTalk Services: Backup and Restore"


def plan(**changes: Any) -> RestorePlan:
    complete = RestorePlan(
        made_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        conn_id="biztalk_default",
        request=RestoreRequest(service="orders", backup=reference().container, existing_service_policy="replace"),
        backup=reference(),
        stored={"Edition": "Premium", "UnitCount": "2"},
        target=RestoreTarget("contoso-west/orders", "premium, scale units: 2", {"edition": "premium", "unit_count": 2}),
        existing=ExistingService("Active", "2f2f"),
        replaces=True,
        safety_backup="orders-20260102-030405",
        rules=(
            Check("same-version", True, "It is.", SEED),
            Check("one-run", True, "No other run.", "rule of this project"),
        ),
        values=(PlannedValue("AccessControlNamespace", "contosoacs", "connection acs", "passed", "It gives a token."),),
        losses=("The backup is 25 h old.",),
        differences=("Agreement A was added.", "Agreement B was added."),
        control_numbers=(
            NumberRow("Fabrikam", "interchange", 10, 20, 121, True, "It has given out 10.", 20, "seen by us"),
        ),
        steps=("Delete it.", "Restore it.", "Leave it suspended."),
        expected_seconds=90.0,
    )
    return replace(complete, **changes)
