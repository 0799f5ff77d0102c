"""Restores on a real Airflow: planned, approved, exact; or refused, with nothing touched."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from stack.browser import launch_options
from stack.settings import storage_connection
from tests.system.services import RESTORE_SERVICE, WATCHDOG_SERVICES
from tests.system.world import AIRFLOW_PAUSE_SECONDS, CATALOG, RESTORE, Night, Restoration, World, until

COPY, PROVED = "contosocopy", "contosoproved"
CONCURRENT_PLANS = 2
"""Refused ones at the same time; the others happen beside them."""

OTHER_KEY = "bm90IHRoZSBrZXkgb2YgdGhpcyBhY2NvdW50IGF0IGFsbCwgYnV0IG1hZGUgdXAgZm9yIGEgdGVzdA=="


# To a new name.


@pytest.fixture(scope="module")
def copied(world: World, good_night: Night) -> Restoration:
    """A backup restored beside its service, into a higher edition; the emulator is killed meanwhile."""

    def kill_emulator(run_id: str) -> None:
        world.reaches(COPY, "Restoring")
        world.stack.kill("emulator")
        world.stack.revive()

    return world.restoration(
        "contosoeurope",
        [world.approve, kill_emulator],
        backup=good_night.backup("contosoeurope"),
        target_name=COPY,
        edition="premium",
        tracking_conn_id=world.new_database(COPY),
        control_numbers="exact",
    )


def test_a_restore_to_a_new_name_is_green_and_arrives_suspended(copied, world):
    assert copied.state == "success", copied.report
    assert (copied.report["outcome"], copied.report["state"]) == ("restored", "Suspended")
    assert copied.operations(COPY) == [("restore", "Succeeded")]
    assert (world.state(COPY), world.service(COPY)["edition"]) == ("Suspended", "premium")


def test_every_item_and_counter_is_as_at_the_backup(copied, world, good_night):
    payload = world.content(good_night.backup("contosoeurope"))
    kept = {
        kind: items
        for blob in ("configuration.json", "edi-runtime.json")
        for kind, items in json.loads(payload[blob]).items()
    }
    restored = world.service(COPY)["content"]
    assert {kind: restored[kind] for kind in kept} == kept
    assert copied.report["differences"] == []


def test_the_service_that_was_backed_up_is_unchanged(copied):
    assert copied.changes("contosoeurope") == []
    assert copied.operations("contosoeurope") == []


def test_steps_that_are_not_needed_are_skipped_as_planned(copied):
    skipped = {step for step, state in copied.steps.items() if state == "skipped"}
    not_needed = ("replace.", "delete_without_backup.", "first_numbers")
    assert skipped == {step for step in copied.steps if step.startswith(not_needed)}
    assert [step for step in copied.plan["steps"] if "Delete" in step] == []


def test_the_plan_lists_the_risk_of_unchanged_numbers(copied):
    assert any("every number used since is given out again" in loss for loss in copied.plan["losses"])


# The others, beside each other.

Runs = dict[Callable, Future]


@pytest.fixture(scope="module")
def concurrent_runs(world: World, copied: Restoration, request: pytest.FixtureRequest) -> Iterator[Runs]:
    """The concurrent restores. No process is killed any more, so that the night of other services may begin as well."""
    night = request.getfixturevalue("strict_night")
    with ThreadPoolExecutor() as threads:
        yield {
            refuse: threads.submit(refuse, world),
            leave_unapproved: threads.submit(leave_unapproved, world),
            fail_late: threads.submit(fail_late, world, night),
            prove_numbers: threads.submit(prove_numbers, world, request.getfixturevalue("good_night")),
        }


# Refused by the plan.


def refused_forms(world: World) -> dict[str, tuple[dict[str, Any], list[str]]]:
    """What is requested -> the form, and what the run reports."""
    world.connection("store_with_a_wrong_key", storage_connection(world.stack.ports) | {"password": OTHER_KEY})
    orders, replace = {"service": "contosoorders"}, {"existing_service_policy": "replace"}
    return {
        "exists": (orders, ["[name-free] Service contoso-west-us/contosoorders already exists (Active)"]),
        "three rules": (
            orders | {"target_name": "short", "edition": "basic"},
            [
                "[target-name] 'short' is not a valid name of a service",
                "[edition-not-lower] A standard backup is restored as basic",
                "[tracking-database-own] Tracking database",
            ],
        ),
        "unknown": (orders | {"backup": "contosoorders-20200101-000000"}, ["has no reference to backup"]),
        "key": (orders | replace | {"monitoring_conn_id": "store_with_a_wrong_key"}, ["[value-works] Monitoring"]),
        "no connection": (
            orders | replace | {"acs_conn_id": "no_such_connection"},
            ["There is no connection no_such_connection"],
        ),
    }


def refuse(world: World) -> dict[str, tuple[Restoration, list[str]]]:
    """Restores whose plans are refused, each with the expected sentences of its report."""
    forms = refused_forms(world)
    with ThreadPoolExecutor(CONCURRENT_PLANS) as threads:
        runs = {name: threads.submit(world.restoration, **form) for name, (form, _) in forms.items()}
        return {name: (run.result(), forms[name][1]) for name, run in runs.items()}


@pytest.fixture(scope="module")
def refused(concurrent_runs: Runs) -> dict[str, tuple[Restoration, list[str]]]:
    return concurrent_runs[refuse].result()


@pytest.mark.parametrize("name", ["exists", "three rules", "unknown", "key", "no connection"])
def test_a_plan_with_blocking_issues_is_refused(refused, name):
    run, sentences = refused[name]
    assert run.state == "failed"
    assert run.report["outcome"] == "refused"
    assert [sentence for sentence in sentences if sentence not in run.report["reason"]] == []
    assert "nothing was changed" in run.report["reason"].casefold()
    assert run.steps["plan"] == "failed"
    for service in ("contosoorders", "short"):
        assert run.changes(service) == []


# Not approved.


def leave_unapproved(world: World) -> dict[str, Restoration]:
    """Restores of an existing service to its own name that end before any change."""
    form = {"service": "contosoorders", "existing_service_policy": "replace"}

    def reject(run_id: str) -> None:
        world.answer(run_id, "Reject")

    def changed_meanwhile(run_id: str) -> None:
        world.waits_for_a_person(run_id)
        world.pass_messages("contosoorders")
        world.edit("contosoorders")
        approve_in_browser(world, run_id, "contoso-west-us/contosoorders")

    cases: dict[str, tuple[list[Callable], dict]] = {
        "rejected": ([reject], {}),
        "not approved in time": ([], {"approval_hours": 0.002}),
        "outdated": ([changed_meanwhile], {}),
    }
    with ThreadPoolExecutor(len(cases)) as threads:
        runs = {
            name: threads.submit(world.restoration, actions=actions, **form, **more)
            for name, (actions, more) in cases.items()
        }
        return {name: run.result() for name, run in runs.items()}


@pytest.fixture(scope="module")
def unapproved(concurrent_runs: Runs) -> dict[str, Restoration]:
    return concurrent_runs[leave_unapproved].result()


def approve_in_browser(world: World, run_id: str, service: str) -> None:
    world.waits_for_a_person(run_id)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launch_options())
        page = browser.new_page(viewport={"width": 1600, "height": 1100})
        page.goto(f"{world.stack.url}/dags/{RESTORE}/runs/{run_id}/tasks/approval/required_actions")
        page.get_by_text("Steps", exact=True).wait_for()
        page.get_by_text(f"Delete {service}, and wait until its name is free.").wait_for()
        page.get_by_role("button", name=re.compile("^Approve")).click()
        page.get_by_text(re.compile("Response received")).wait_for()
        browser.close()


@pytest.mark.parametrize("name", ["rejected", "not approved in time", "outdated"])
def test_without_approval_of_this_plan_nothing_is_changed(unapproved, name):
    run = unapproved[name]
    assert run.changes("contosoorders") == []
    ran = {step for step, state in run.steps.items() if state not in ("skipped", "upstream_failed")}
    assert ran <= {"plan", "unless_plan_only", "approval", "confirm_plan", "report"}
    assert "nothing was changed" in run.report["reason"].casefold()
    assert run.states["contosoorders"] == "Active"


def test_a_rejected_plan_is_red_and_names_who_rejected_it(unapproved):
    run = unapproved["rejected"]
    assert (run.state, run.report["outcome"]) == ("failed", "refused")
    assert "rejected by Anonymous" in run.report["reason"]


def test_a_plan_that_is_not_approved_in_time_is_red(unapproved):
    run = unapproved["not approved in time"]
    assert (run.state, run.report["outcome"]) == ("failed", "refused")
    assert "The plan was not approved within" in run.report["reason"]


def test_a_change_after_the_plan_stops_the_run(unapproved):
    run = unapproved["outdated"]
    assert (run.state, run.steps["approval"], run.steps["confirm_plan"]) == ("failed", "success", "failed")
    assert "existing.etag:" in run.report["reason"]
    assert "control_numbers" not in run.report["reason"]


# Fails after the delete.


def fail_late(world: World, night: Future[Night]) -> tuple[Restoration, Restoration]:
    """A stored value is changed after everything was checked: the known issue. Then the restore that undoes it.

    :param night: with a backup of the service
    :returns: the restore that failed, and the one with its undo form
    """
    assert night.result().backup(RESTORE_SERVICE)
    database = world.service(RESTORE_SERVICE)["settings"]["TrackingStoreConnectionString"]
    name = re.search("Initial Catalog=([^;]+)", database)[1]
    login = next(each for each in world.emulator.admin("GET", "/world")["databases"] if each["name"] == name)

    def login_changes(run_id: str) -> None:
        world.approve(run_id)
        world.await_entry(RESTORE_SERVICE, event="ended", operation="delete")
        world.emulator.admin("PUT", f"/world/databases/{name}", {"user": login["user"], "password": "another-one"})

    failed = world.restoration(
        RESTORE_SERVICE, [login_changes], existing_service_policy="replace", control_numbers="report"
    )
    world.emulator.admin(
        "PUT", f"/world/databases/{name}", {"user": login["user"], "password": f"hidden-{RESTORE_SERVICE}"}
    )
    form = failed.report["undo_form"]
    return failed, world.restoration(actions=[world.approve], **form)


@pytest.fixture(scope="module")
def failed_late(concurrent_runs: Runs) -> tuple[Restoration, Restoration]:
    return concurrent_runs[fail_late].result()


def test_a_failure_after_the_deletion_reports_the_undo_form(failed_late):
    failed, _ = failed_late
    assert (failed.state, failed.report["outcome"]) == ("failed", "failed")
    assert failed.report["state"] == "RestoreFailed"
    assert failed.report["safety_backup"] in failed.report["reason"]
    assert failed.report["undo_form"]["backup"] == failed.report["safety_backup"].rpartition("/")[2]
    assert json.dumps(failed.report["undo_form"]) in failed.report["reason"]
    assert failed.responses(RESTORE_SERVICE, "delete") == [202]


def test_the_undo_form_restores_what_was_deleted(failed_late, world):
    _, back = failed_late
    assert back.report["outcome"] == "restored", back.report
    assert world.state(RESTORE_SERVICE) == "Suspended"


# Raised numbers, and the look at the first ones.


def prove_numbers(world: World, night: Night) -> Restoration:
    """A backup restored beside its service, which has given out numbers since; messages pass when it is resumed."""
    world.pass_messages("contosoorders")

    def pass_first_messages(run_id: str) -> None:
        until(
            lambda: world.task(RESTORE, run_id, "first_numbers").get("state") == "deferred",
            pause=AIRFLOW_PAUSE_SECONDS,
        )
        world.stack.emulator.send_interchanges(PROVED, 2)

    return world.restoration(
        "contosoorders",
        [world.approve, pass_first_messages],
        backup=night.backup("contosoorders"),
        target_name=PROVED,
        tracking_conn_id=world.new_database(PROVED),
        resume_afterwards=True,
    )


@pytest.fixture(scope="module")
def proved(concurrent_runs: Runs) -> Restoration:
    return concurrent_runs[prove_numbers].result()


def test_the_first_numbers_after_a_restore_are_confirmed(proved, world):
    assert proved.state == "success", proved.report
    look, numbers = proved.report["first_numbers"], proved.report["numbers"]
    assert look["result"] == "confirmed", look
    assert numbers
    assert [row for row in numbers if f"{row['next']} to {row['next'] + 1}" not in look["sentence"]] == []
    assert proved.report["reason"].endswith(look["sentence"])
    assert proved.steps["first_numbers"] == "success"


def test_no_lock_is_left_on_a_service_whose_run_has_ended(refused, unapproved, failed_late, proved, world):
    locks = map(re.compile(r"claims/([^/]+)\.json").fullmatch, world.written(CATALOG))
    assert {lock[1].rpartition("-")[0] for lock in locks if lock} <= {name.lower() for name in WATCHDOG_SERVICES}
