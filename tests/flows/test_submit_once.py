"""A change is requested once, whatever dies in between."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from biztalk_services.flows.submit_once import submit_once
from biztalk_services.model.errors import (
    BackupServiceError,
    OperationNotAllowedError,
    OutcomeUnknownError,
    ServerError,
    ThrottledError,
    UnreachableError,
)
from biztalk_services.model.service import Operation

KEY = "suspend"
INTENT = {"found_state": "Active"}
SENT = INTENT | {"submitted": True, "operation_id": "op-1", "cursor": None}
ADOPTED = INTENT | {"submitted": True, "operation_id": None, "cursor": None}
NOT_STARTED = [OperationNotAllowedError, ThrottledError, UnreachableError]
UNCERTAIN = [OutcomeUnknownError, ServerError, BackupServiceError]


class DiedError(BaseException):
    """The worker died."""


class Journal:
    """In memory; every entry is stored as it was at that moment."""

    def __init__(self, entry: dict[str, Any] | None = None) -> None:
        self.entries: dict[str, dict[str, Any]] = {KEY: entry} if entry else {}

    def get(self, key: str) -> dict[str, Any] | None:
        return deepcopy(self.entries.get(key))

    def set(self, key: str, entry: dict[str, Any]) -> None:
        self.entries[key] = deepcopy(entry)

    def delete(self, key: str) -> None:
        del self.entries[key]


class Step:
    """One step and what its tries do.

    :param entry: what earlier tries have stored.
    """

    def __init__(self, entry: dict[str, Any] | None = None) -> None:
        self.journal = Journal(entry)
        self.has_arrived = False
        self.result: Operation | BaseException = Operation("op-1")
        self.calls: list[str] = []

    def prepare(self) -> dict[str, Any]:
        self.calls.append("prepare")
        return dict(INTENT)

    def adopt(self, entry: dict[str, Any]) -> bool:
        self.calls.append("adopt")
        assert entry == self.journal.entries[KEY]
        return self.has_arrived

    def submit(self, entry: dict[str, Any]) -> Operation:
        self.calls.append("submit")
        assert entry == self.journal.entries[KEY], "the intent is stored before the request is sent"
        if isinstance(self.result, Operation):
            return self.result
        raise self.result

    def run(self, **options: Any) -> dict[str, Any]:
        calls: dict[str, Callable[..., Any]] = {"prepare": self.prepare, "adopt": self.adopt, "submit": self.submit}
        self.calls.clear()
        return submit_once(self.journal, KEY, **calls | options)

    @property
    def stored(self) -> dict[str, Any] | None:
        return self.journal.entries.get(KEY)


def test_a_first_request():
    step = Step()
    assert step.run() == step.stored == SENT
    assert step.calls == ["prepare", "submit"]


def test_the_cursor_of_an_operation_is_stored():
    step = Step()
    step.result = Operation("op-1", cursor={"page": 1})
    assert step.run() == step.stored == SENT | {"cursor": {"page": 1}}


def test_a_submitted_request_is_not_sent_again():
    step = Step()
    step.run()
    for _ in range(2):
        assert step.run() == step.stored == SENT
        assert step.calls == []


def test_a_failed_preparation_stores_nothing():
    def refuse() -> dict[str, Any]:
        raise OperationNotAllowedError("It is Updating.")

    step = Step()
    with pytest.raises(OperationNotAllowedError):
        step.run(prepare=refuse)
    assert (step.stored, step.calls) == (None, [])


@pytest.mark.parametrize("error", [DiedError(), *[kind("?") for kind in UNCERTAIN]])
def test_a_retry_adopts_what_has_arrived(error):
    step = Step()
    step.result = error
    with pytest.raises(type(error)):
        step.run()
    assert step.stored == INTENT
    step.has_arrived = True
    assert step.run() == step.stored == ADOPTED
    assert step.calls == ["adopt"]
    assert step.run() == ADOPTED
    assert step.calls == []


@pytest.mark.parametrize("error", [DiedError(), *[kind("?") for kind in UNCERTAIN]])
def test_a_retry_sends_again_what_has_not_arrived(error):
    step = Step()
    step.result = error
    with pytest.raises(type(error)):
        step.run()
    step.result = Operation("op-2")
    assert step.run() == step.stored == SENT | {"operation_id": "op-2"}
    assert step.calls == ["adopt", "submit"]


def test_a_retry_that_must_not_send_again_keeps_the_entry():
    def refuse(entry: dict[str, Any]) -> bool:
        raise OutcomeUnknownError("It may have been sent.")

    step = Step(dict(INTENT))
    with pytest.raises(OutcomeUnknownError):
        step.run(adopt=refuse)
    assert (step.stored, step.calls) == (INTENT, [])


@pytest.mark.parametrize("kind", NOT_STARTED)
def test_a_first_request_that_was_not_started_is_forgotten(kind):
    step = Step()
    step.result = kind("It is busy.")
    with pytest.raises(kind):
        step.run()
    assert step.stored is None
    step.result = Operation("op-1")
    assert step.run() == SENT
    assert step.calls == ["prepare", "submit"]


@pytest.mark.parametrize("kind", UNCERTAIN)
def test_a_request_of_unknown_outcome_is_not_forgotten(kind):
    step = Step()
    step.result = kind("?")
    with pytest.raises(kind):
        step.run()
    assert step.stored == INTENT


@pytest.mark.parametrize("kind", NOT_STARTED)
def test_a_retry_never_forgets(kind):
    """An earlier try may have sent the request, and this error is only about the second one."""
    step = Step(dict(INTENT))
    step.result = kind("It is busy.")
    for _ in range(2):
        with pytest.raises(kind):
            step.run()
        assert step.stored == INTENT
        assert step.calls == ["adopt", "submit"]


@pytest.mark.parametrize(("forget", "stored"), [(True, None), (False, INTENT)])
@pytest.mark.parametrize("kind", [OutcomeUnknownError, UnreachableError])
def test_a_step_may_judge_errors_itself(kind, forget, stored):
    errors: list[BackupServiceError] = []

    def judge(error: BackupServiceError) -> bool:
        errors.append(error)
        return forget

    step = Step()
    step.result = kind("?")
    with pytest.raises(kind):
        step.run(forget=judge)
    assert step.stored == stored
    assert errors == [step.result]


def test_a_recheck_adopts_what_is_under_way():
    step = Step()
    step.run()
    step.has_arrived = True
    assert step.run(recheck=True) == step.stored == SENT | {"operation_id": None}
    assert step.calls == ["adopt"]


def test_a_recheck_keeps_the_cursor():
    step = Step(SENT | {"cursor": {"page": 7}})
    step.has_arrived = True
    assert step.run(recheck=True)["cursor"] == {"page": 7}


@pytest.mark.parametrize("kind", NOT_STARTED)
def test_a_recheck_sends_again_what_has_failed(kind):
    step = Step()
    step.run()
    step.result = kind("It is busy.")
    with pytest.raises(kind):
        step.run(recheck=True)
    assert step.stored == SENT, "what was sent is not forgotten"
    step.result = Operation("op-2")
    assert step.run(recheck=True) == step.stored == SENT | {"operation_id": "op-2"}
    assert step.calls == ["adopt", "submit"]


def test_a_recheck_of_nothing_is_a_first_request():
    step = Step()
    assert step.run(recheck=True) == SENT
    assert step.calls == ["prepare", "submit"]
