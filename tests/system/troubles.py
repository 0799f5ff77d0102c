"""A night in which nearly every service has a fault of its own, and one that fails on refilled batches."""

from __future__ import annotations

from typing import Any

from tests.system.services import FAULTY_SERVICES, RESPONSE_FAULTS, RESTORE_SERVICE, WITH_BACKUPS
from tests.system.world import Night, World, until

BUSY = {"kind": "status", "status": 503}
REFUSALS = {
    "proving-reset": {"kind": "status", "status": 409, "code": "ConflictError", "message": "Operation not allowed."},
    "proving-truncated": {"kind": "status", "status": 429, "retry_after": 1},
    "proving-html": {"kind": "status", "status": 500, "code": "InternalError", "message": "Something broke."},
    "proving-empty": BUSY,
    "proving-malformed": BUSY | {"retry_after": 1},
    "proving-bomb": {"kind": "reset-before"},
}
"""How a request to change something is first refused, once, so that it has no effect."""

BAD_POLLS = {
    "proving-html": [REFUSALS["proving-reset"], REFUSALS["proving-truncated"], REFUSALS["proving-html"]],
    "proving-empty": [{"kind": "html"}, {"kind": "malformed-xml"}, {"kind": "entity-bomb"}],
    "proving-malformed": [{"kind": "empty-body"}, {"kind": "reset-before"}, {"kind": "reset-after"}],
    "proving-bomb": [BUSY, {"kind": "truncated"}, BUSY | {"retry_after": 1}, {"kind": "status", "status": 502}],
}
BAD_READS = [
    REFUSALS["proving-reset"],
    REFUSALS["proving-truncated"],
    REFUSALS["proving-html"],
    BUSY,
    *({"kind": kind} for kind in ("html", "malformed-xml", "entity-bomb", "empty-body", "truncated")),
    *({"kind": kind} for kind in ("reset-before", "reset-after")),
]


def run_night_with_faults(world: World) -> tuple[Night, list[dict[str, Any]]]:
    """Request the faults, run the night, and restore the services' states.

    :returns: the night, and the faults that were requested with the number of times each happened.
    """
    emulator = world.emulator

    def trouble(name: str, operation: str, kind: str, count: int | None = 1, **order: object) -> dict:
        return emulator.fault(kind, operation, service=name, **({"count": count} if count else {}), **order)

    # Every change is refused once, and when it is carried out its response is spoiled.
    for name, spoiled in RESPONSE_FAULTS.items():
        for operation in ("suspend", "backup", "resume"):
            trouble(name, operation, **REFUSALS[name])
            trouble(name, operation, spoiled)
        for bad in BAD_POLLS.get(name, []):
            trouble(name, "poll", **bad)
    for bad in BAD_READS[2:6]:
        emulator.fault(operation="list", count=1, **bad)

    def reads_go_wrong(run_id: str) -> None:
        world.reaches("proving-reset", "Suspending")
        for bad in BAD_READS:
            emulator.fault(operation="get_cloud_service", count=1, **bad)

    # One case a service.
    trouble("proving-412-suspend", "suspend", "status", status=412, code="PreconditionFailed", message="Changed.")
    trouble("proving-412-backup", "backup", **BUSY, retry_after=2)
    trouble("proving-412-backup", "resume", **BUSY, count=3)
    trouble("proving-susp-fails", "suspend", "operation-fails", message="The deployment cannot be suspended.")
    trouble("proving-bkup-fails", "backup", "operation-fails", message="The store is full.")
    trouble("proving-1-susp-stuck", "suspend", "stuck")
    trouble("proving-1-susp-stuck", "resume", "operation-fails", message="The deployment does not start.")
    trouble("proving-1-bkup-stuck", "backup", "stuck")
    trouble("proving-forgotten", "suspend", "operation-forgotten")
    trouble("proving-forgotten", "backup", "operation-forgotten")
    trouble("proving-forgotten", "resume", **BUSY, count=None)
    trouble("proving-1-edited", "backup", "stuck")
    trouble("proving-1-edited", "resume", "stuck")
    poll_fault = trouble("proving-deleted", "poll", **BUSY, count=None)
    emulator.admin("POST", "/services/proving-suspended/actions", {"action": "suspend"})
    world.reaches("proving-suspended", "Suspended")

    def changed_between(run_id: str) -> None:
        world.await_entry("proving-412-backup", operation="backup", status=503)
        world.edit("proving-412-backup")

    def changed_in_mid_backup(run_id: str) -> None:
        world.reaches("proving-1-edited", "BackingUp")
        world.edit("proving-1-edited")
        world.release("proving-1-edited")

    def deleted(run_id: str) -> None:
        world.await_entry("proving-deleted", event="ended", operation="backup")
        world.is_at(run_id, "proving-deleted", "record_inventory", "success")
        assert emulator.request("DELETE", emulator.path("proving-deleted", through=False)).status_code == 202
        world.reaches("proving-deleted", None)
        emulator.admin("DELETE", f"/faults/{poll_fault['id']}")

    def given_up_by_a_person(run_id: str) -> None:
        until(lambda: len(resume_requests("proving-forgotten")) >= 2)
        world.mark_failed(run_id, "proving-forgotten", "resume")

    def resume_requests(name: str) -> list[dict]:
        return [each for each in emulator.journal(service=name, kind="request") if each["operation"] == "resume"]

    def comes_back_late(run_id: str) -> None:
        world.is_at(run_id, "proving-1-edited", "resume", "up_for_retry")
        world.release("proving-1-edited")

    def released_late(name: str):
        def action(run_id: str) -> None:
            world.await_entry(name, operation="resume", status=409)
            world.release(name)

        return action

    def triggers_are_seen(run_id: str) -> None:
        world.is_at(run_id, "proving-1-bkup-stuck", "wait_for_backup", "deferred")
        world.see_triggers()

    # Batches, on the services that have some.
    agreements = {
        "contosoorders": world.fill_batch("contosoorders", "Count"),
        "ContosoRetail": world.fill_batch("ContosoRetail", "Size"),
    }
    trouble("contosoeurope", "suspend", **BUSY, retry_after=2)

    def released_in_time(run_id: str) -> None:
        world.is_at(run_id, "contosoorders", "wait_until_drained", "deferred")
        world.release_batch("contosoorders", agreements["contosoorders"])

    def refills(run_id: str) -> None:
        world.await_entry("contosoeurope", operation="suspend", status=503)
        agreements["contosoeurope"] = world.fill_batch("contosoeurope", "Size")

    actions = [
        reads_go_wrong,
        changed_between,
        changed_in_mid_backup,
        deleted,
        given_up_by_a_person,
        comes_back_late,
        released_late("proving-1-susp-stuck"),
        released_late("proving-1-bkup-stuck"),
        triggers_are_seen,
        released_in_time,
        refills,
    ]
    try:
        with world.without_tracking("contosonordic"):
            night = world.night([*RESPONSE_FAULTS, *FAULTY_SERVICES, *WITH_BACKUPS], actions, drain_deadline_minutes=1)
        ordered = emulator.admin("GET", "/faults")["faults"]
    finally:
        emulator.admin("DELETE", "/faults")
        for name, agreement in agreements.items():
            world.release_batch(name, agreement)
    for name in ("forgotten", "suspended"):
        emulator.force(f"proving-{name}", "Active")
    assert emulator.create("proving-deleted", Edition="basic").status_code == 202
    return night, ordered


def run_strict_night(world: World) -> Night:
    """The night proceeds where batches are unknown, and fails where a batch is refilled."""
    agreement = ""

    def refills(run_id: str) -> None:
        nonlocal agreement
        world.await_entry("contosoeurope", after=began, operation="suspend", status=503)
        agreement = world.fill_batch("contosoeurope", "Size")

    with world.without_tracking("contosonordic"):
        began = world.last_seq()
        world.emulator.fault("status", "suspend", service="contosoeurope", count=1, retry_after=2)
        night = world.night(
            ["contosonordic", "contosoeurope", RESTORE_SERVICE],
            [refills],
            unknown_batches_policy="proceed",
            refilled_batches_policy="fail",
        )
    world.release_batch("contosoeurope", agreement)
    return night
