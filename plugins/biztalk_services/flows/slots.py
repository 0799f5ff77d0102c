"""Which of many services may start: a few at a time, in order, without a lock."""

from __future__ import annotations

from collections.abc import Mapping

_ENDED = {"success", "failed", "upstream_failed", "skipped", "removed"}
_AT_THE_GATE = {"scheduled", "queued", "running", "deferred", "up_for_retry", "restarting"}
"""Also those that are about to poll: between a poll and its effect others poll."""


def may_start(
    map_index: int,
    states: Mapping[str, str | None],
    *,
    gate: str,
    exempt_task_id: str,
    release_task_id: str,
    max_parallel: int,
) -> bool:
    """Whether the service with this index may pass its gate now.

    A service takes a slot from passing its gate to the end of its last task, but not while it waits in its exempt task.
    Services that wait at the gate are let in by index; those before this one count as if they had passed. So all that
    poll the same states come to compatible answers. A service that leaves its exempt task goes on at once, so that for
    a while there may be more than ``max_parallel``; so does one that comes to the gate while one behind it is let in.

    :param states: task instance states of the run by ``<task id>_<map index>``; a missing one has not started.
    :param gate: id of the task at which services wait for a slot.
    """

    def takes_a_slot(index: int) -> bool:
        at_gate, in_exempt, at_release = (
            states.get(f"{task}_{index}") for task in (gate, exempt_task_id, release_task_id)
        )
        if at_release in _ENDED:
            return False
        if at_gate == "success":
            return in_exempt != "deferred"
        return index < map_index and at_gate in _AT_THE_GATE

    indices = {int(name.rpartition("_")[2]) for name in states if name.rpartition("_")[2].isdigit()}
    return sum(takes_a_slot(index) for index in indices - {map_index}) < max_parallel
