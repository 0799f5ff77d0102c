"""A night in which the storage account becomes unreachable."""

from __future__ import annotations

SERVICE = "proving-storage"


def test_storage_lost_during_a_backup_fails_it_and_resumes(world):
    world.emulator.fault("stuck", "backup", service=SERVICE, count=1)

    def end_storage(run_id: str) -> None:
        world.await_entry(SERVICE, kind="blob", event="payload", after=before)
        world.end_storage()
        world.release(SERVICE)
        world.await_entry(SERVICE, event="ended", operation="backup", after=before)
        world.stack.revive()

    before = world.last_seq()
    night = world.night([SERVICE], [end_storage])
    row = night.report[SERVICE]
    assert night.state == "failed"
    assert (row["failed_step"], row["backup"], row["state"]) == ("wait_for_backup", None, "Active")
    assert "could not be reached" in row["reason"] or "unreachable" in row["reason"].lower()
    assert night.operations(SERVICE) == [("suspend", "Succeeded"), ("backup", "Failed"), ("resume", "Succeeded")]
    assert world.state(SERVICE) == "Active"
    assert world.catalog("references", SERVICE) == {}
