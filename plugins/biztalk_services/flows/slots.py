"""Who of many services may start: a few at a time, in order, without a lock."""

from __future__ import annotations

from collections.abc import Mapping

_ENDED = {"success", "failed", "upstream_failed", "skipped", "removed"}
_AT_THE_GATE = {"scheduled", "queued", "running", "deferred", "up_for_retry", "restarting"}
"""Also those that are about to look: between a look and its effect others look."""


def may_start(
    map_index: int, states: Mapping[str, str | None], *, gate: str, excused: str, last: str, at_once: int
) -> bool:
    """
    Whether the service with this index may pass its gate now.

    A service takes up a turn from passing its gate to the end of its last task, but not while it waits in its excused
    task. Services that wait at the gate are let in by index; those before this one count as if they had passed. So all
    that look at the same states come to compatible answers. A service that comes out of its excused task goes on at
    once, so that for a while there may be more than ``at_once``; so does one that comes to the gate while one behind it
    is being let in.

    :param map_index: index of the service that asks
    :param states: task instance states of the run by ``<task id>_<map index>``; a missing one has not started
    :param gate: task at which services wait for their turn
    :param excused: task during which a service takes up no turn
    :param last: task with which a service gives up its turn
    :param at_once: how many services may be at it
    """

    def takes_a_turn(index: int) -> bool:
        at_gate, in_excused, at_last = (states.get(f"{task}_{index}") for task in (gate, excused, last))
        if at_last in _ENDED:
            return False
        if at_gate == "success":
            return in_excused != "deferred"
        return index < map_index and at_gate in _AT_THE_GATE

    indices = {int(name.rpartition("_")[2]) for name in states if name.rpartition("_")[2].isdigit()}
    return sum(takes_a_turn(index) for index in indices - {map_index}) < at_once
