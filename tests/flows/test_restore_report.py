"""What became of a restore, where the states of its steps and what they have left contradict each other."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from biztalk_services.flows.restore_report import (
    FAILED,
    PLANNED,
    REFUSED,
    RESTORED,
    RestoreResults,
    RestoreSteps,
    restore_outcome,
)
from biztalk_services.model.checks import Check
from biztalk_services.model.errors import ServiceNotFoundError, UnreachableError
from biztalk_services.model.plan import RestorePlan
from biztalk_services.model.service import Phase, Service, ServiceRef
from biztalk_services.model.steps import ConfirmedPlan, FirstNumbers, ReachedState, RestoreOutcome

from tests.archive.samples import reference
from tests.model.samples import plan

TARGET = "contoso-west/orders"
REQUIRED = ["restore", "wait_for_restore", "verify", "resume"]
STEPS = ["plan", "approval", "confirm", "suspend", "delete", "wait_until_deleted", "name_is_free", *REQUIRED, "look"]
CHANGES = ["suspend", "delete", "restore"]
SAFETY = reference("orders-20260102-030405", kind="safety")
PLAN = plan()
CONFIRMED = ConfirmedPlan(TARGET, "hash", datetime.now(UTC))
RESUMED = ReachedState("Active", "2f2f", CONFIRMED.confirmed_at + timedelta(seconds=90))
LOOK = FirstNumbers("confirmed", "None was used before.")
DONE = {*STEPS} - {"name_is_free"}


def service(state: str = "Active", etag: str = "2f2f", **changes: Any) -> Service:
    return Service(ServiceRef.parse(TARGET), state, phase=Phase.RUNNING, etag=etag, **changes)


class Now:
    """Driver and archive; the service is as it is, None: not there."""

    def __init__(self, found: Service | Exception | None) -> None:
        self.found = found
        self.catalog = self

    def get_service(self, ref: ServiceRef) -> Service:
        if isinstance(self.found, Exception):
            raise self.found
        if self.found is None:
            raise ServiceNotFoundError("There is none.")
        return self.found

    def ensure_published(self, backup: Any) -> None: ...

    def inventory(self, *_: Any) -> Any:
        raise UnreachableError("Not now.")


def outcome(
    found: Service | Exception | None = None,
    *,
    done: set[str] = DONE,
    states: Mapping[str, str | None] | None = None,
    failures: Mapping[str, str] | None = None,
    made: RestorePlan | None = PLAN,
    **changes: Any,
) -> RestoreOutcome:
    """
    :param done: steps that have left a result.
    :param failures: step -> the sentence that it has left.
    """
    values = {
        "plan": made,
        "plan_only": False,
        "approved_by": "ada",
        "confirmed": CONFIRMED if "confirm" in done else None,
        "safety_backup": SAFETY if "delete" in done else None,
        "numbers": (),
        "differences": (),
        "resumed": RESUMED if "resume" in done else None,
        "first_numbers": LOOK if "look" in done else None,
        "has_result": lambda step: step in done,
        "failure_of": (failures or {}).get,
    }
    return restore_outcome(
        RestoreSteps(
            all=STEPS, changes=CHANGES, deletions={"delete": "wait_until_deleted"}, required=REQUIRED, look="look"
        ),
        {step: "success" if step in done else None for step in STEPS} | dict(states or {}),
        RestoreResults(**{**values, **changes}),
        driver=lambda: Now(found),
        archive=lambda: Now(found),
        restore_dag="restore",
        log=logging.getLogger(__name__),
    )


def until(step: str) -> set[str]:
    """Steps before one, all of them done."""
    return {*STEPS[: STEPS.index(step)]} - {"name_is_free"}


def test_a_restore():
    restored = outcome(service("Suspended"))
    assert (restored.outcome, restored.reason) == (
        RESTORED, f"{reference().place} is restored as {TARGET}, which is Suspended. None was used before."
    )  # fmt: skip
    assert (restored.first_numbers, restored.seconds) == (LOOK, 90)


@pytest.mark.parametrize("state", ["failed", "skipped", "upstream_failed", "removed", None])
@pytest.mark.parametrize("step", REQUIRED)
def test_what_was_done_counts_whatever_its_state(step, state):
    assert outcome(service(), states={step: state}).outcome == RESTORED


@pytest.mark.parametrize("step", REQUIRED)
def test_a_step_that_a_person_marked_is_not_done(step):
    marked = outcome(service(), done=DONE - {step}, states={step: "success"})
    assert marked.outcome == FAILED
    assert f"These steps were not carried out: {step}. A person marked {step} as succeeded." in marked.reason


@pytest.mark.parametrize("state", ["failed", "skipped", "success", None])
def test_a_look_at_the_first_numbers_that_left_nothing_is_no_failure(state):
    restored = outcome(service(), done=DONE - {"look"}, states={"look": state})
    assert (restored.outcome, restored.first_numbers.result) == (RESTORED, "unknown")
    assert restored.reason.endswith(restored.first_numbers.sentence)
    assert "task look left no result" in restored.first_numbers.sentence


def test_numbers_that_come_twice_are_a_failure():
    twice = outcome(
        service(), done=DONE - {"look"}, states={"look": "failed"}, failures={"look": "Numbers came twice."}
    )
    assert (twice.outcome, twice.first_numbers) == (FAILED, None)
    assert twice.reason.startswith(f"Numbers came twice. Service {TARGET} is Active now.")


def test_a_refused_plan_changes_nothing():
    refused = outcome(done=set(), states={"plan": "failed"}, failures={"plan": "No such backup."}, made=None)
    assert (refused.outcome, refused.reason) == (REFUSED, "No such backup. Nothing was changed.")


@pytest.mark.parametrize("states", [{}, dict.fromkeys(STEPS, "skipped")])
def test_a_run_that_was_ended_before_its_plan_is_not_planned(states):
    """It would be green."""
    ended = outcome(done=set(), states=states, made=None, plan_only=True)
    assert ended.outcome == REFUSED
    assert ended.reason.endswith("Nothing was changed.")


def test_only_the_plan():
    assert outcome(done={"plan"}, plan_only=True).outcome == PLANNED
    blocked = plan(rules=(Check("one-run", False, "Another run.", "rule of this project"),))
    assert outcome(done={"plan"}, plan_only=True, made=blocked).outcome == REFUSED


def test_marked_while_it_waits_for_its_approval():
    states = dict.fromkeys(STEPS, "skipped") | {"plan": "success", "approval": "failed"}
    marked = outcome(service(), done={"plan"}, states=states)
    assert marked.outcome == REFUSED
    assert marked.reason.startswith("See the log of approval.")
    assert marked.reason.endswith("Nothing was changed.")


ENDED = dict.fromkeys(STEPS, "skipped")
"""A person marked the run as failed; what waited for its next try is skipped."""


@pytest.mark.parametrize("state", ["skipped", "failed"])
def test_a_deletion_that_waited_for_its_next_try(state):
    failures = {"delete": "The response was lost."}
    ended = outcome(
        None, done=until("delete"), states=ENDED | {"delete": state}, failures=failures, safety_backup=SAFETY
    )
    assert (ended.outcome, ended.state, ended.safety_backup) == (FAILED, None, SAFETY.place)
    assert ended.undo_form
    assert f"The response was lost. Service {TARGET} is deleted now." in ended.reason
    assert "Nothing was changed" not in ended.reason


@pytest.mark.parametrize("found", [None, service("Suspended"), service(etag="other"), service(under_way="delete")])
def test_a_service_that_is_not_as_planned_was_changed(found):
    """The worker died, and left no sentence."""
    ended = outcome(found, done=until("suspend"), states=ENDED, safety_backup=SAFETY)
    assert ended.outcome == FAILED
    assert "Nothing was changed" not in ended.reason
    assert bool(ended.undo_form) == (found is None or found.under_way == "delete")


def test_a_service_that_is_as_planned_was_not_changed():
    ended = outcome(service(), done=until("suspend"), states=ENDED)
    assert ended.outcome == REFUSED
    assert ended.reason.endswith("Nothing was changed.")


def test_a_service_that_cannot_be_read_may_have_been_changed():
    ended = outcome(UnreachableError("Not now."), done=until("suspend"), states=ENDED)
    assert (ended.outcome, ended.state) == (FAILED, "in an unknown state")
    assert "Nothing was changed" not in ended.reason


def test_a_name_that_was_free_is_not_deleted():
    free = plan(existing=None, replaces=False, safety_backup=None)
    ended = outcome(None, done=until("restore") - {"suspend", "delete", "wait_until_deleted"}, made=free,
                    states=ENDED | {"restore": "failed"}, failures={"restore": "Refused (400)."})  # fmt: skip
    assert (ended.outcome, ended.undo_form) == (FAILED, None)
    assert f"Refused (400). Service {TARGET} does not exist now." in ended.reason


def test_a_plan_that_was_made_again_after_changes():
    """Cleared, and it could not be made."""
    cleared = outcome(done=DONE - {"plan"}, states={"plan": "failed"}, failures={"plan": "Unreachable."}, made=None)
    assert (cleared.outcome, cleared.reason) == (FAILED, "Unreachable.")
