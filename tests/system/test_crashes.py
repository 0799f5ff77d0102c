"""Airflow's own parts are killed while a backup is under way: the run goes on, and nothing is done twice."""

from __future__ import annotations

import os
import signal

import pytest

from tests.system.world import DONE, Night, World, fits_descriptor, until

SERVICE = "proving-crashes"


pytestmark = pytest.mark.usefixtures("abandoned")


@pytest.fixture(scope="module")
def crashes(world: World) -> tuple[Night, dict[str, set[str]]]:
    """The worker dies with the answer to its request under way; triggerer and scheduler die in mid-backup.

    :returns: the night, and which parts were started anew after the death of one.
    """
    world.emulator.fault("slow", "suspend", service=SERVICE, count=1, seconds=4)
    world.emulator.fault("stuck", "backup", service=SERVICE, count=1)
    before, renewed = world.last_seq(), {}

    def start_again(killed: str) -> None:
        lives = world.stack.running()
        assert lives[killed] is None
        world.stack.start()
        renewed[killed] = {name for name, process in world.stack.running().items() if process != lives[name]}

    def deaths(run_id: str) -> None:
        world.tells(SERVICE, event="started", operation="suspend", after=before)
        os.kill(world.step(run_id, SERVICE, "suspend")["pid"], signal.SIGKILL)

        world.is_at(run_id, SERVICE, "wait_for_backup", "deferred")
        waiting = until(lambda: world.step(run_id, SERVICE, "wait_for_backup")["triggerer_job"])
        world.stack.kill("triggerer")
        start_again("triggerer")
        taken_over = lambda: world.step(run_id, SERVICE, "wait_for_backup")["triggerer_job"]  # noqa: E731
        until(lambda: (job := taken_over()) and job["id"] != waiting["id"])

        world.stack.kill("scheduler")
        world.release(SERVICE)
        world.reaches(SERVICE, "Suspended")
        start_again("scheduler")

    return world.night([SERVICE], [deaths]), renewed


@pytest.fixture(scope="module")
def night(crashes) -> Night:
    return crashes[0]


def test_the_run_ends_green(night):
    assert night.state == "success"
    assert night.report[SERVICE]["outcome"] == "backed up"


def test_a_killed_part_is_started_again_and_the_others_are_left_alone(crashes):
    _, renewed = crashes
    assert renewed == {"triggerer": {"triggerer"}, "scheduler": {"scheduler"}}


def test_nothing_is_asked_for_twice(night):
    assert night.operations(SERVICE) == DONE
    assert [night.asked(SERVICE, operation) for operation in ("suspend", "backup", "resume")] == [[202], [202], [202]]


def test_the_step_that_died_was_tried_again_and_the_waits_were_not(night):
    assert night.step(SERVICE, "suspend")["try_number"] == 2
    assert night.step(SERVICE, "wait_for_backup")["try_number"] == 1


def test_the_service_is_active_again_and_the_backup_whole(night, world):
    assert world.state(SERVICE) == "Active"
    assert fits_descriptor(world.content(night.backup(SERVICE)), night.backup(SERVICE))
    assert list(world.catalog("references", SERVICE)) == [night.backup(SERVICE)]
