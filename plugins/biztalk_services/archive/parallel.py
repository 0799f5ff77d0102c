"""Reads many blobs at once: bounded in threads and in memory, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

THREADS = 10
"""As many connections as the session of Azure's client keeps open; with more it opens a new one for each request."""

_WAITING = 4
"""How many results a thread may be ahead of who takes them."""


def in_parallel(
    work: Callable[[T], R], items: Iterable[T], *, threads: int = THREADS, ended: Event | None = None
) -> Iterator[R]:
    """The results of ``work`` for each item, in the order of the items, which are taken as they are needed.

    What ``work`` raises is raised in its turn, and nothing is begun after that.

    :param ended: is set when no result is taken any more, so that work that takes long can end early.
    """
    under_way: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="archive") as pool:
        try:
            for item in items:
                under_way.append(pool.submit(work, item))
                if len(under_way) >= threads * _WAITING:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            if ended:
                ended.set()
            for each in under_way:
                each.cancel()
