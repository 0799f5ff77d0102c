"""Looks that many waits share: what they are given, how often is looked, what a failure and a hanging look do."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, pairwise
from typing import Any

import pytest
from biztalk_services.flows import shared_look
from biztalk_services.flows.shared_look import LookGivenUpError, Looks, OwnServices, Sessions, SharedServices
from biztalk_services.model.errors import (
    AuthenticationError,
    BackupServiceError,
    ServerError,
    ServiceNotFoundError,
    ThrottledError,
    UnexpectedResponseError,
)
from biztalk_services.model.service import Operation, Phase, Service, ServiceRef

ORDERS, RETURNS, ELSEWHERE = (ServiceRef.parse(each) for each in ("west/orders", "West/returns", "east/orders"))
PATIENCE = 30


class Gate:
    """A look that goes on when it is told to; its answer is its number."""

    def __init__(self) -> None:
        self.begun: list[frozenset[Any]] = []
        self.began = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)

    def __call__(self, asked: frozenset[Any]) -> int:
        self.begun.append(asked)
        number = len(self.begun)
        self.began.release()
        assert self.may_end.acquire(timeout=PATIENCE)
        return number


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(40) as threads:
        yield threads


class Time:
    """A clock that passes only in sleep, and in looks that say so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time(monkeypatch) -> Time:
    time = Time()
    monkeypatch.setattr(shared_look, "monotonic", time.monotonic)
    monkeypatch.setattr(shared_look, "sleep", time.sleep)
    return time


def joined(looks: Looks[Any, Any], number: int) -> None:
    """Wait until so many have asked for the look to come."""
    for _ in range(PATIENCE * 100):
        if len(looks._next.asked) >= number:
            return
        threading.Event().wait(0.01)
    raise AssertionError("they do not ask")


# --- sharing ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("time")
def test_who_asks_while_a_look_is_under_way_is_not_given_its_answer(pool):
    gate = Gate()
    looks = Looks(gate)
    first = pool.submit(looks.ask, "a")
    assert gate.began.acquire(timeout=PATIENCE)
    second = pool.submit(looks.ask, "b")
    joined(looks, 1)
    gate.may_end.release(2)
    assert (first.result(PATIENCE), second.result(PATIENCE)) == (1, 2)
    assert gate.begun == [{"a"}, {"b"}]


@pytest.mark.usefixtures("time")
def test_all_who_ask_meanwhile_share_the_next_one(pool):
    gate = Gate()
    looks = Looks(gate)
    first = pool.submit(looks.ask, 0)
    assert gate.began.acquire(timeout=PATIENCE)
    others = [pool.submit(looks.ask, number) for number in range(1, 31)]
    joined(looks, 30)
    gate.may_end.release(2)
    assert [each.result(PATIENCE) for each in (first, *others)] == [1] + [2] * 30
    assert gate.begun == [{0}, set(range(1, 31))]


@pytest.mark.usefixtures("time")
def test_two_triggerers_look_side_by_side(pool):
    gates = [Gate(), Gate()]
    answers = [pool.submit(Looks(gate).ask, "a") for gate in gates]
    for gate in gates:
        assert gate.began.acquire(timeout=PATIENCE)
    for gate in gates:
        gate.may_end.release()
    assert [answer.result(PATIENCE) for answer in answers] == [1, 1]


# --- how often -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("takes", "interval"), [(0.0, 0.5), (0.05, 0.5), (0.4, 1.2), (2.0, 6.0), (7.0, 20.0)])
def test_a_look_begins_no_sooner_than_an_interval_after_the_last(takes, interval, time):
    began = []

    def look(asked: frozenset[str]) -> None:
        began.append(time.now)
        time.now += takes

    looks = Looks(look)
    for _ in range(3):
        looks.ask("a")
    assert [later - earlier for earlier, later in pairwise(began)] == pytest.approx([interval] * 2)


def test_one_who_asks_late_does_not_wait(time):
    looks = Looks(lambda asked: time.now)
    looks.ask("a")
    time.now += 60
    asked_at = time.now
    assert looks.ask("a") == asked_at


# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("time")
@pytest.mark.parametrize("error", [ServerError("It is out of order."), AuthenticationError("No."), KeyError("a bug")])
def test_an_error_reaches_each_and_the_next_look_is_a_new_one(error, pool):
    gate = Gate()
    outcomes: list[Any] = [1, error, 3]

    def look(asked: frozenset[int]) -> Any:
        outcome = outcomes[gate(asked) - 1]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    looks = Looks(look)
    first = pool.submit(looks.ask, 0)
    assert gate.began.acquire(timeout=PATIENCE)
    others = [pool.submit(looks.ask, number) for number in range(5)]
    joined(looks, 5)
    gate.may_end.release(3)
    assert first.result(PATIENCE) == 1
    assert [each.exception(PATIENCE) for each in others] == [error] * 5
    assert looks.ask(0) == 3


def test_retry_after_holds_for_all(time):
    outcomes: list[Any] = [ThrottledError("Busy.", status=429, retry_after=40), "seen"]

    def look(asked: frozenset[str]) -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    looks = Looks(look)
    with pytest.raises(ThrottledError):
        looks.ask("a")
    time.now += 30
    with pytest.raises(ThrottledError, match="Busy") as held:
        looks.ask("b")
    assert (held.value.status, held.value.advice) == (429, "retry")
    assert held.value.retry_after == pytest.approx(10, abs=1)
    assert outcomes == ["seen"]
    time.now += 10
    assert looks.ask("b") == "seen"


def test_retry_after_is_bounded(time):
    def look(asked: frozenset[str]) -> Any:
        raise ThrottledError("Busy.", retry_after=86_400)

    looks = Looks(look)
    with pytest.raises(ThrottledError):
        looks.ask("a")
    with pytest.raises(ThrottledError) as held:
        looks.ask("a")
    assert held.value.retry_after <= 300


def test_a_look_that_hangs_is_given_up_and_keeps_nobody_from_a_new_one(monkeypatch, pool):
    monkeypatch.setattr(shared_look, "LOOK_SECONDS", 0.2)
    gate = Gate()
    looks = Looks(gate)
    first = pool.submit(looks.ask, "a")
    assert gate.began.acquire(timeout=PATIENCE)
    second = pool.submit(looks.ask, "b")
    with pytest.raises(LookGivenUpError, match="No answer came for 0 seconds") as given_up:
        first.result(PATIENCE)
    assert given_up.value.advice == "retry"
    assert gate.began.acquire(timeout=PATIENCE)
    gate.may_end.release(2)
    assert second.result(PATIENCE) == 2


# --- sessions --------------------------------------------------------------------------------------------------------


def test_a_session_is_used_again_and_by_one_call_at_a_time(pool):
    sessions = Sessions(count(1).__next__)
    assert [sessions.call(lambda session: session) for _ in range(3)] == [1, 1, 1]
    inside = threading.Barrier(2, timeout=PATIENCE)

    def hold(session: int) -> int:
        inside.wait()
        return session

    assert {each.result(PATIENCE) for each in [pool.submit(sessions.call, hold) for _ in range(2)]} == {1, 2}


def test_one_in_which_a_call_failed_is_not_used_again():
    sessions = Sessions(count(1).__next__)

    def fails(session: int) -> None:
        raise AuthenticationError("The certificate is refused.")

    with pytest.raises(AuthenticationError):
        sessions.call(fails)
    assert sessions.call(lambda session: session) == 2


# --- services --------------------------------------------------------------------------------------------------------


class Platform:
    """A subscription that counts what is requested of it. ``missing``: how many reads do not show the services, and
    ``why``."""

    def __init__(self, missing: int = 0, why: BackupServiceError | None = None) -> None:
        self.subscription_id = "sub-1"
        self.reads: list[str | None] = []
        self.missing = missing
        self.why = why or ServiceNotFoundError("There is no such service.")
        self.operations: list[str] = []
        self.error: BackupServiceError | None = None

    def read_services(self, scope: str | None) -> Callable[[ServiceRef], Service]:
        self.reads.append(scope)
        is_missing = len(self.reads) <= self.missing

        def find(ref: ServiceRef) -> Service:
            if is_missing:
                raise self.why
            return Service(ref, "Active", phase=Phase.RUNNING)

        return find

    def get_operation(self, ref: ServiceRef, operation_id: str) -> Operation:
        self.operations.append(operation_id)
        if self.error:
            raise self.error
        return Operation(operation_id)


def shared(platform: Platform) -> SharedServices:
    return SharedServices(lambda: platform)  # type: ignore[arg-type, return-value]


def asked_together(services: SharedServices, pool: ThreadPoolExecutor, *refs: ServiceRef) -> list[Service]:
    """What several are given who ask while a look is under way."""
    with services._looks._turn:
        asked = [pool.submit(services.get_service, ref) for ref in refs]
        joined(services._looks, len({ref.scope for ref in refs}))
    return [each.result(PATIENCE) for each in asked]


@pytest.mark.usefixtures("time")
@pytest.mark.parametrize(
    ("refs", "read"),
    [([ORDERS], "west"), ([ORDERS] * 9, "west"), ([ORDERS, RETURNS], "west"), ([ORDERS, ELSEWHERE], None)],
)
def test_one_scope_is_read_alone_several_as_one_list(refs, read, pool):
    platform = Platform()
    assert [service.ref for service in asked_together(shared(platform), pool, *refs)] == refs
    assert [scope and scope.lower() for scope in platform.reads] == [read]


@pytest.mark.usefixtures("time")
def test_what_is_missing_is_looked_for_twice():
    platform = Platform(missing=1)
    assert shared(platform).get_service(ORDERS).state == "Active"
    platform = Platform(missing=5)
    with pytest.raises(ServiceNotFoundError):
        shared(platform).get_service(ORDERS)
    assert platform.reads == ["west", "west"]


def test_a_throttled_operation_holds_looks_and_operations_back(time):
    platform = Platform()
    services = shared(platform)
    platform.error = ThrottledError("Busy.", retry_after=20)
    for _ in range(3):
        with pytest.raises(ThrottledError):
            services.get_operation(ORDERS, "1")
        with pytest.raises(ThrottledError):
            services.get_service(ORDERS)
    assert (platform.operations, platform.reads) == (["1"], [])
    platform.error = None
    time.now += 21
    assert services.get_operation(ORDERS, "1").result == "InProgress"
    assert services.get_service(ORDERS).state == "Active"


def test_the_subscription_needs_no_request():
    platform = Platform()
    assert shared(platform).subscription_id == "sub-1"
    assert platform.reads == []


# --- news ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("time")
class TestNews:
    def test_a_look_for_one_is_news_for_all_once(self, time):
        platform = Platform()
        services = shared(platform)
        first, second = OwnServices(services), OwnServices(services)
        assert not second.has_news(ORDERS)
        time.now += 1
        first.get_service(ORDERS)
        assert second.has_news(ORDERS)
        time.now += 1
        second.get_service(ORDERS)
        assert platform.reads == ["west"]
        assert not second.has_news(ORDERS)
        second.get_service(ORDERS)
        assert platform.reads == ["west", "west"]

    def test_what_was_read_before_a_wait_began_is_no_news(self, time):
        platform = Platform()
        services = shared(platform)
        OwnServices(services).get_service(ORDERS)
        time.now += 1
        late = OwnServices(services)
        assert not late.has_news(ORDERS)
        late.get_service(ORDERS)
        assert platform.reads == ["west", "west"]

    def test_a_list_is_news_for_every_scope(self, time, pool):
        platform = Platform()
        services = shared(platform)
        late = OwnServices(services)
        time.now += 1
        asked_together(services, pool, ORDERS, ELSEWHERE)
        assert late.has_news(ServiceRef.parse("north/orders"))

    def test_a_look_that_failed_is_no_news(self, time):
        def fails() -> Platform:
            raise ServerError("out of order")

        services = SharedServices(fails)
        waiting = OwnServices(services)
        with pytest.raises(ServerError):
            OwnServices(services).get_service(ORDERS)
        assert not waiting.has_news(ORDERS)

    @pytest.mark.parametrize("error", [UnexpectedResponseError("no state"), ServiceNotFoundError("not there")])
    def test_what_a_look_does_not_show_is_looked_for_in_the_next(self, error, time):
        platform = Platform(missing=2, why=error)
        waiting = OwnServices(shared(platform))
        time.now += 1
        with pytest.raises(type(error)):
            waiting.get_service(ORDERS)
        looks = len(platform.reads)
        assert not waiting.has_news(ORDERS)
        time.now += 1
        with contextlib.suppress(UnexpectedResponseError):
            waiting.get_service(ORDERS)
        assert len(platform.reads) == looks + 1
