"""One look for all who wait: the waits of one process share their reads, so that many of them request no more than one.

Who asks is given what was read since they asked last, or began to wait, never anything older: a service that was
Suspended before may be one whose backup had not begun. A look for one is news for all; who asks while a look is under
way shares the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from concurrent.futures import Future
from functools import cached_property, partial
from math import inf
from operator import contains
from threading import Lock
from time import monotonic, sleep
from typing import Generic, TypeVar

from biztalk_services.drivers.base import Driver, FindService
from biztalk_services.flows.bounded import GivenUpError, call_within
from biztalk_services.model.errors import BackupServiceError, ServiceNotFoundError, ThrottledError
from biztalk_services.model.service import Operation, Service, ServiceRef

SHORTEST_INTERVAL, OF_EACH, LONGEST_OF_MANY = 0.5, 0.1, 1.2
"""Seconds from the begin of a look to that of the next one, at least: for one who waits, more for each of those who
shared it, and at the most. So a look is never far away, and many who wait request hardly more than a few."""

LONGEST_INTERVAL = 20.0
"""Seconds that the next look waits for the sake of a long one, at the most: less than the last poll of a wait may
take."""

SHARE_OF_TIME = 1 / 3
"""What part of the time looks may take, up to the longest interval."""

LOOK_SECONDS = 120.0
"""How long a look may take: all attempts that a driver makes at a read, and less than waits tolerate errors for."""

LONGEST_RETRY_AFTER = 300.0
"""How many seconds are waited, at the most, because a service requested it."""

K = TypeVar("K")
R = TypeVar("R")
T = TypeVar("T")


class LookGivenUpError(BackupServiceError):
    """What was looked at did not answer."""

    default_advice = "retry"


class Throttle:
    """The time for which a service requested to be left alone, kept to by all who share it."""

    def __init__(self) -> None:
        self._until = 0.0
        self._error: BackupServiceError | None = None

    def call(self, function: Callable[[], R]) -> R:
        """What a request returns; it is not sent while another one is to be waited for.

        :raises ThrottledError: it was not sent; with the seconds that are left.
        """
        error, left = self._error, self._until - monotonic()
        if error and left > 0:
            raise ThrottledError(
                str(error), status=error.status, code=error.code, request_id=error.request_id, retry_after=left
            )
        try:
            return function()
        except BackupServiceError as error:
            if error.retry_after and error.advice != "stop":
                self._until = monotonic() + min(error.retry_after, LONGEST_RETRY_AFTER)
                self._error = error
            raise


class Sessions(Generic[T]):
    """Sessions that calls use one after the other; calls at the same time have one each. One in which a call failed or
    hangs is not used again: the next call opens another, with the connection as it is then."""

    def __init__(self, open_session: Callable[[], T]) -> None:
        self._open = open_session
        self._idle: list[T] = []

    def call(self, function: Callable[[T], R]) -> R:
        """What the function returns for a session."""
        try:
            session = self._idle.pop()
        except IndexError:
            session = self._open()
        result = function(session)
        self._idle.append(session)
        return result


class _Look(Generic[K, R]):
    """
    :param began: when, in seconds that only grow; before that minus infinity.
    """

    def __init__(self) -> None:
        self.asked: set[K] = set()
        self.sharers = 0
        self.began = -inf
        self.answer: Future[R] = Future()


class Looks(Generic[K, R]):
    """Looks that many share, one at a time. Every method may be called by many threads.

    :param look: reads what was asked for, all of it at once.
    :param covers: whether a look for several things has also read this one.
    """

    def __init__(
        self,
        look: Callable[[frozenset[K]], R],
        throttle: Throttle | None = None,
        covers: Callable[[Set[K], K], bool] = contains,
    ) -> None:
        self._read = look
        self._covers = covers
        self._throttle = throttle or Throttle()
        self._joining = Lock()
        self._turn = Lock()
        self._next: _Look[K, R] = _Look()
        self._last: _Look[K, R] = _Look()
        self._not_before = 0.0

    def has_begun(self, what: K, since: float) -> bool:
        """Whether a look for this was made that began since a moment."""
        last = self._last
        return last.began > since and self._covers(last.asked, what)

    def ask(self, what: K, since: float = inf) -> R:
        """What a look has read that began since a moment, or what the next one reads. The first who asks for that one
        carries it out.

        :raises BackupServiceError: the look failed, for all who share it.
        """
        with self._joining:
            is_there = self.has_begun(what, since)
            look = self._last if is_there else self._next
            look.sharers += 1
            is_first = not is_there and look.sharers == 1
            if not is_there:  # what a look has read does not change any more, and is looked at without a lock
                look.asked.add(what)
        if is_first:
            with self._turn:
                self._carry_out(look)
        return look.answer.result()

    def _carry_out(self, look: _Look[K, R]) -> None:
        sleep(max(0.0, self._not_before - monotonic()))
        with self._joining:
            self._next = _Look()
        look.began = monotonic()
        sharers = max(look.sharers, self._last.sharers)
        try:
            result = self._throttle.call(partial(self._bounded, frozenset(look.asked)))
        except BaseException as error:
            look.answer.set_exception(error)
        else:
            look.answer.set_result(result)
            self._last = look
        took = monotonic() - look.began
        of_many = min(SHORTEST_INTERVAL + OF_EACH * (sharers - 1), LONGEST_OF_MANY)
        self._not_before = look.began + min(max(took / SHARE_OF_TIME, of_many), LONGEST_INTERVAL)

    def _bounded(self, asked: frozenset[K]) -> R:
        try:
            return call_within(LOOK_SECONDS, partial(self._read, asked))
        except GivenUpError:
            raise LookGivenUpError(f"No answer came for {LOOK_SECONDS:.0f} seconds.") from None


class SharedServices:
    """What waits read of the services of one subscription, shared by all waits of a process.

    One read of a scope serves all who ask for its services, one list of the subscription all who ask for those of
    several.

    :param open_driver: opens a driver of the subscription; called again after every failed call.
    """

    def __init__(self, open_driver: Callable[[], Driver]) -> None:
        self._sessions = Sessions(open_driver)
        self._throttle = Throttle()
        self._looks: Looks[str, FindService] = Looks(self._look, self._throttle, _covers)

    @cached_property
    def subscription_id(self) -> str:
        return self._sessions.call(lambda driver: driver.subscription_id)

    def has_news(self, ref: ServiceRef, since: float) -> bool:
        """Whether a service was read since a moment (:func:`time.monotonic`)."""
        return self._looks.has_begun(ref.scope, since)

    def get_service(self, ref: ServiceRef, since: float = inf) -> Service:
        """As :meth:`biztalk_services.drivers.base.Driver.get_service`; what is missing is looked for a second time.

        :param since: a look is recent enough that began since this moment.
        """
        try:
            return self._looks.ask(ref.scope, since)(ref)
        except ServiceNotFoundError:
            return self._looks.ask(ref.scope)(ref)

    def get_operation(self, ref: ServiceRef, operation_id: str) -> Operation:
        """As :meth:`biztalk_services.drivers.base.Driver.get_operation`; shared with nobody."""
        return self._throttle.call(lambda: self._sessions.call(lambda driver: driver.get_operation(ref, operation_id)))

    def _look(self, scopes: frozenset[str]) -> FindService:
        scope = None if _are_several(scopes) else next(iter(scopes))
        return self._sessions.call(lambda driver: driver.read_services(scope))


def _covers(scopes: Set[str], scope: str) -> bool:
    return scope in scopes or _are_several(scopes)


def _are_several(scopes: Set[str]) -> bool:
    """Whether they are read as one list of all."""
    return len({scope.lower() for scope in scopes}) > 1


class OwnServices:
    """What one wait reads of the shared services: each look is news to it once."""

    def __init__(self, shared: SharedServices) -> None:
        self._shared = shared
        self._since = monotonic()

    @property
    def subscription_id(self) -> str:
        return self._shared.subscription_id

    def has_news(self, ref: ServiceRef) -> bool:
        """Whether a look was made since this wait asked last, for whomever."""
        return self._shared.has_news(ref, self._since)

    def get_service(self, ref: ServiceRef) -> Service:
        try:
            return self._shared.get_service(ref, self._since)
        finally:
            self._since = monotonic()  # behind the look: one of its own is no news

    def get_operation(self, ref: ServiceRef, operation_id: str) -> Operation:
        return self._shared.get_operation(ref, operation_id)
