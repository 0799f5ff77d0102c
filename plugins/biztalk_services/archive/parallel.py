"""Reads many blobs at once, or the next while one is used: bounded in threads and in memory, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")

THREADS = 10
"""As many connections as the session of Azure's client keeps open; with more it opens a new one for each request."""

_WAITING = 4
"""How many results a thread may be ahead of who takes them."""


def in_parallel(
    work: Callable[[T], R], items: Iterable[T], *, threads: int = THREADS, ended: Event | None = None
) -> Generator[R, None, None]:
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


def one_ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """The items; while one is used, a thread takes the next. What taking one raises is raised in its turn."""
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="archive") as pool:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield cast(T, item)
