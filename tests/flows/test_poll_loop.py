"""The polls of a wait: when they end it, and how they end it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from biztalk_services.flows import poll_loop
from biztalk_services.flows.poll_loop import poll_once, poll_until
from biztalk_services.flows.waits import Ending, Failed, Succeeded, Wait
from biztalk_services.model.errors import BackupServiceError, ServerError, ThrottledError

START = datetime(2026, 1, 1, 2, tzinfo=UTC)
DEADLINE = START + timedelta(minutes=10)
DONE = Succeeded({"state": "Suspended"})
TEMPORARY = ServerError("It is out of order.")
FINAL = BackupServiceError("There is no such service.")


class Clock(datetime):
    """The time of these tests; it passes only in sleep."""

    current = START

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return cls.current


class Script(Wait):
    """A wait whose polls are known; after the last one it is never over."""

    def __init__(self, *polls: Ending | Exception | None) -> None:
        self.polls = list(polls)
        self.at: list[float] = []

    def description(self) -> str:
        return "orders to be Suspended"

    def poll(self, place: Any) -> Ending | None:
        self.at.append((Clock.current - START).total_seconds())
        ending = self.polls.pop(0) if self.polls else None
        if isinstance(ending, Exception):
            raise ending
        return ending


class Place:
    log = logging.getLogger(__name__)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(seconds: float) -> None:
        Clock.current += timedelta(seconds=seconds)

    Clock.current = START
    monkeypatch.setattr(poll_loop, "datetime", Clock)
    monkeypatch.setattr(poll_loop.asyncio, "sleep", sleep)


def until(wait: Script, tolerance_seconds: float = 60) -> Ending:
    polls = poll_until(wait, Place(), since=START, deadline=DEADLINE, tolerance_seconds=tolerance_seconds)
    return asyncio.run(polls)


# --- the first poll --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("poll", "early", "late"),
    [
        (None, None, "Timed out waiting for orders to be Suspended (deadline 2026-01-01T02:10:00+00:00)."),
        (DONE, DONE, DONE),
        (Failed("It is Failed."), Failed("It is Failed."), Failed("It is Failed.")),
        (FINAL, Failed(str(FINAL)), Failed(str(FINAL))),
        (
            TEMPORARY,
            None,
            "Gave up waiting for orders to be Suspended: polls failed for too long. The last error: "
            "It is out of order.",
        ),
    ],
)
def test_the_first_poll_before_and_at_the_deadline(poll, early, late):
    assert poll_once(Script(poll), Place(), DEADLINE) == early
    Clock.current = DEADLINE
    assert poll_once(Script(poll), Place(), DEADLINE) == (Failed(late) if isinstance(late, str) else late)


# --- the loop --------------------------------------------------------------------------------------------------------


def test_polls_until_the_wait_is_over():
    wait = Script(None, None, DONE)
    assert until(wait) == DONE
    assert wait.at == pytest.approx([0.5, 1.0, 1.5])


def test_the_last_poll_is_at_the_deadline():
    wait = Script()
    ending = until(wait)
    assert ending == Failed("Timed out waiting for orders to be Suspended (deadline 2026-01-01T02:10:00+00:00).")
    assert wait.at[-1] == 600
    assert max(after - before for before, after in zip(wait.at, wait.at[1:], strict=False)) < 30.001


def test_a_final_error_ends_it_at_once():
    wait = Script(None, FINAL)
    assert until(wait) == Failed("There is no such service.")
    assert len(wait.at) == 2


def test_errors_are_tolerated_for_a_time():
    assert until(Script(*[TEMPORARY] * 5, DONE)) == DONE
    wait = Script(*[TEMPORARY] * 500)
    ending = until(wait)
    assert ending == Failed(
        "Gave up waiting for orders to be Suspended: polls failed for too long. The last error: It is out of order."
    )
    assert 60 <= wait.at[-1] - wait.at[0] <= 90


def test_a_success_between_errors_resets_the_tolerance():
    wait = Script(*[TEMPORARY, TEMPORARY, None] * 60, DONE)
    assert isinstance(until(wait, tolerance_seconds=31), Failed)
    assert wait.at[-1] == 600


def test_retry_after_delays_the_next_poll():
    wait = Script(ThrottledError("Busy.", retry_after=40), None, DONE)
    assert until(wait) == DONE
    assert [round(each, 1) for each in wait.at] == [0.5, 40.5, 42.5]


def test_an_error_at_the_deadline_ends_it():
    wait = Script(*[None] * 20, *[TEMPORARY] * 100)
    ending = until(wait, tolerance_seconds=86_400)
    assert isinstance(ending, Failed)
    assert "The last error: It is out of order." in ending.message
    assert wait.at[-1] == 600


# --- polls that do not end -------------------------------------------------------------------------------------------

NO_ANSWER = "No answer came for {} seconds while waiting for orders to be Suspended."
GIVEN_UP = f"Gave up waiting for orders to be Suspended: polls failed for too long. The last error: {NO_ANSWER}"


class Hanging(Script):
    """A wait whose last poll does not end while the test lasts."""

    def __init__(self, *polls: Ending | Exception | None) -> None:
        super().__init__(*polls)
        self.over = threading.Event()
        self.threads: list[threading.Thread] = []

    def poll(self, place: Any) -> Ending | None:
        if self.polls:
            return super().poll(place)
        self.threads.append(threading.current_thread())
        self.over.wait(30)
        return DONE


@pytest.fixture
def hanging(monkeypatch) -> Iterator[Hanging]:
    monkeypatch.setattr(poll_loop, "LEAST_POLL_SECONDS", 0.2)
    wait = Hanging()
    yield wait
    wait.over.set()
    for thread in wait.threads:
        thread.join(5)
        assert not thread.is_alive()


def test_a_first_poll_that_hangs_goes_on_in_the_triggerer(hanging, monkeypatch, caplog):
    monkeypatch.setattr(poll_loop, "FIRST_POLL_SECONDS", 0.3)
    assert poll_once(hanging, Place(), DEADLINE) is None
    assert NO_ANSWER.format(0) in caplog.text
    assert [thread.daemon for thread in hanging.threads] == [True]


def test_a_first_poll_that_hangs_at_the_deadline(hanging):
    Clock.current = DEADLINE
    assert poll_once(hanging, Place(), DEADLINE) == Failed(GIVEN_UP.format(0))


def test_a_poll_that_hangs_ends_the_wait_when_its_tolerance_is_over(hanging):
    began = time.monotonic()
    assert until(hanging, tolerance_seconds=1) == Failed(GIVEN_UP.format(1))
    assert 0.9 < time.monotonic() - began < 10
    assert [thread.daemon for thread in hanging.threads] == [True]


def test_errors_before_it_count(hanging):
    hanging.polls = [TEMPORARY] * 4
    assert until(hanging, tolerance_seconds=2.2) == Failed(GIVEN_UP.format(0))


def test_a_poll_that_hangs_at_the_deadline_is_its_last_error(hanging):
    until(never := Script())
    Clock.current = START
    hanging.polls = [None] * (len(never.at) - 1)
    assert until(hanging, tolerance_seconds=86_400) == Failed(GIVEN_UP.format(0))
    assert (Clock.current, len(hanging.threads)) == (DEADLINE, 1)


def test_many_polls_that_hang_keep_no_other_waiting(hanging):
    """The executor that all triggers share has fewer threads."""

    async def beside_each_other() -> list[Ending]:
        def polled(wait: Script) -> Any:
            return poll_until(wait, Place(), since=START, deadline=DEADLINE, tolerance_seconds=1)

        stuck = [asyncio.create_task(polled(hanging)) for _ in range(60)]
        began = time.monotonic()
        ending = await polled(Script(None, DONE))
        assert time.monotonic() - began < 0.9
        return [ending, *await asyncio.gather(*stuck)]

    assert asyncio.run(beside_each_other()) == [DONE, *[Failed(GIVEN_UP.format(1))] * 60]
    assert len(hanging.threads) == 60
