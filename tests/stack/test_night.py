"""The runs of a night: where each service is, and what is done, at work and waiting."""

from __future__ import annotations

import pytest

from stack.night import MOST_ROWS, Look, Night
from tests.stack import nights
from tests.stack.nights import FLEET, RUN_ID, Airflow, instance, jobs, recorded, run


def look(*states: nights.Look, page: int = 100) -> Look:
    """The last of these moments, as a night sees it that has seen the others."""
    airflow = Airflow(list(states), page=page)
    night, seen = Night(airflow, RUN_ID), None
    for _ in states:
        airflow.run("", "")
        seen = night.look()
    assert seen
    return seen


def shown(seen: Look) -> dict[str, tuple[str, str]]:
    return {step.service: (step.task, step.state) for step in seen.steps}


# A recorded night


def test_before_the_services_are_found_nothing_is_said():
    seen = look(recorded()[0])
    assert (seen.services, seen.sentence(), list(seen.steps)) == (None, "", [])


def test_a_recorded_night_from_its_beginning_to_its_end():
    airflow = Airflow(recorded())
    night, seen = Night(airflow, RUN_ID), []
    for _ in airflow.looks:
        airflow.run("", "")
        seen.append(night.look())
    found = [each for each in seen if each.services]
    assert {each.services for each in found} == {4}
    assert all([step.service for step in each.steps] == FLEET for each in found)
    assert [each.done for each in found] == sorted(each.done for each in found)
    assert all(each.done + each.at_work + each.waiting == 4 for each in found)
    tasks = {step.task for each in found for step in each.steps}
    assert {"biztalk_backup", "wait_for_slot", "suspend", "wait_for_backup"} <= tasks
    assert shown(found[-1]) == dict.fromkeys(FLEET, ("biztalk_backup", "done"))
    assert found[-1].sentence() == "4 of 4 services done, 0 at work, 0 waiting."
    assert night.failed_tasks() == []


# States


def test_each_service_is_where_it_is():
    seen = look(
        nights.Look(
            jobs(5),
            runs=[run(0, "success"), run(1, "running"), run(2, "queued"), run(3, "failed")],
            instances=[
                instance(1, "back_up", "running", "2026-11-29T02:00:07Z"),
                instance(1, "record_inventory", "deferred", "2026-11-29T02:00:05Z"),
                instance(3, "suspend", "failed"),
            ],
        )
    )
    assert shown(seen) == {
        "service000": ("biztalk_backup", "done"),
        "service001": ("record_inventory + back_up", "waiting + running"),
        "service002": ("biztalk_backup", "not begun"),
        "service003": ("biztalk_backup", "failed"),
        "service004": ("biztalk_backup", "not begun"),
    }
    (step,) = [step for step in seen.steps if step.service == "service001"]
    assert f"{step.since:%H:%M:%S}" == "02:00:05"
    assert seen.sentence() == "2 of 5 services done (1 failed), 1 at work, 2 waiting."


def test_between_two_steps_a_service_is_where_it_was():
    at_work = nights.Look(jobs(1), runs=[run(0, "running")], instances=[instance(0, "suspend", "running")])
    between = nights.Look(jobs(1), runs=[run(0, "running")])
    assert shown(look(between)) == {"service000": ("biztalk_backup", "about to start")}
    assert shown(look(at_work, between)) == {"service000": ("suspend", "running")}


def test_services_of_one_name_are_told_apart():
    found = [
        {"conn_id": "biztalk_default", "service": "east/Orders"},
        {"conn_id": "biztalk_default", "service": "west/orders"},
        {"conn_id": "biztalk_default", "service": "west/billing"},
    ]
    runs = [run(0, "running", service="west/orders"), run(1, "success", service="west/billing")]
    assert shown(look(nights.Look(found, runs=runs))) == {
        "biztalk_default/east/Orders": ("biztalk_backup", "not begun"),
        "biztalk_default/west/orders": ("biztalk_backup", "about to start"),
        "billing": ("biztalk_backup", "done"),
    }


def test_a_run_that_is_begun_before_its_service_is_known():
    assert look(nights.Look(jobs(1), runs=[run(7, "running")])).steps[-1].service == "service000"


# Many services


def large_night(services: int, at_work: int, done: int) -> nights.Look:
    return nights.Look(
        jobs(services),
        runs=[
            *(run(number, "success") for number in range(done)),
            *(run(number, "running") for number in range(done, done + at_work)),
        ],
        instances=[
            instance(number, "back_up", "running", f"2026-11-29T02:{number % 60:02}:00Z")
            for number in range(done, done + at_work)
        ],
    )


def test_of_many_services_only_those_at_work_have_a_row():
    seen = look(large_night(500, at_work=10, done=180))
    assert list(shown(seen).values()) == [("back_up", "running")] * 10
    assert seen.sentence() == "180 of 500 services done, 10 at work, 310 waiting."


def test_there_are_never_more_rows_than_fit():
    seen = look(large_night(500, at_work=89, done=180))
    assert (len(seen.steps), seen.at_work) == (MOST_ROWS, 89)
    assert [step.since for step in seen.steps] == sorted(step.since for step in seen.steps)


@pytest.mark.parametrize("services", [100, 2500])
def test_the_requests_of_a_look_follow_from_what_is_at_work(services):
    airflow = Airflow([large_night(services, at_work=40, done=50)])
    night = Night(airflow, RUN_ID)
    night.look()
    airflow.requests.clear()
    night.look()
    assert [(kind, state.split(",")[0]) for kind, state in airflow.requests] == [
        ("dagRuns", "running"),
        ("dagRuns", "success"),
        ("dagRuns", "failed"),
        ("dagRuns/~/taskInstances", "awaiting_input"),
    ]


def test_no_steps_are_asked_for_where_nothing_is_at_work():
    airflow = Airflow([large_night(100, at_work=0, done=50)])
    Night(airflow, RUN_ID).look()
    assert airflow.requests == [
        ("dagRuns", "running"),
        ("dagRuns", "success"),
        ("dagRuns", "failed"),
    ]


def test_everything_is_read_over_several_pages():
    seen = look(large_night(500, at_work=89, done=180), page=20)
    assert seen.sentence() == "180 of 500 services done, 89 at work, 231 waiting."


# What failed


def test_failed_tasks_are_named_with_their_service():
    state = nights.Look(
        jobs(3),
        runs=[run(0, "failed"), run(1, "success"), run(2, "failed")],
        instances=[
            instance(0, "back_up", "failed"),
            instance(0, "wait_for_backup", "upstream_failed"),
            instance(1, "back_up", "failed"),
            instance(2, "check_backup", "failed"),
        ],
    )
    night = Night(Airflow([state]), RUN_ID)
    night.look()
    assert night.failed_tasks() == ["back_up (service000)", "check_backup (service002)"]
