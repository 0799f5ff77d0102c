"""What became of each service of a backup run."""

from __future__ import annotations

import json

import pytest
from biztalk_services.flows.backup_report import BACKED_UP, BackupOutcome, failed_steps
from hypothesis import given
from hypothesis import strategies as st

STEPS = ["check", "suspend", "back_up", "resume", "publish"]
DID_NOT_RUN = [None, "upstream_failed", "skipped", "removed"]


def states(**changes: str | None) -> dict[str, str | None]:
    return dict.fromkeys(STEPS, "success") | changes


def test_all_succeeded():
    assert failed_steps(STEPS, states()) == []
    assert failed_steps(STEPS, states() | {"another": "failed"}) == []


def test_the_causes_are_named_in_order_without_consequences():
    assert failed_steps(STEPS, states(back_up="failed", publish="upstream_failed")) == ["back_up"]
    assert failed_steps(STEPS, states(resume="failed", back_up="failed", publish=None)) == ["back_up", "resume"]


@pytest.mark.parametrize("state", ["running", "deferred", "up_for_retry", "queued", "scheduled"])
def test_what_has_not_ended_is_a_failure(state):
    assert failed_steps(STEPS, states(resume=state)) == ["resume"]


@pytest.mark.parametrize("state", DID_NOT_RUN)
def test_skipped_is_not_success(state):
    assert failed_steps(STEPS, states(publish=state)) == ["publish"]
    assert failed_steps(STEPS, dict.fromkeys(STEPS, state)) == STEPS
    assert failed_steps(STEPS, {}) == STEPS


@given(st.dictionaries(st.sampled_from(STEPS), st.sampled_from(["success", "failed", "running", *DID_NOT_RUN])))
def test_empty_exactly_when_every_step_succeeded(step_states):
    causes = failed_steps(STEPS, step_states)
    assert (causes == []) == all(step_states.get(step) == "success" for step in STEPS)
    assert causes == [step for step in STEPS if step in causes]
    assert not any(step_states.get(step) == "success" for step in causes)


def test_an_outcome_is_plain_json_with_the_agreed_names():
    outcome = BackupOutcome(
        "orders", "west", None, "basic", BACKED_UP, backup="account/container", suspended_seconds=3.5
    )
    assert list(json.loads(json.dumps(outcome.to_xcom()))) == [
        "service", "scope", "region", "edition", "outcome", "failed_step", "reason", "backup", "items",
        "suspended_seconds", "state",
    ]  # fmt: skip
