"""Calls that are given up after a time, whatever they wait for.

Each has a thread of its own, so that one that hangs keeps no other waiting. A thread cannot be ended from outside; that
of a call that was given up ends when the call does, and keeps no process alive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent import futures
from contextvars import copy_context
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


class GivenUpError(Exception):
    """The call did not end in time."""


def call_within(seconds: float, function: Callable[[], T]) -> T:
    """What a call returns or raises.

    :raises GivenUpError: it took longer.
    """
    future = _begin(function)
    if not futures.wait([future], seconds).done:
        raise GivenUpError
    return future.result()


async def await_within(seconds: float, function: Callable[[], T]) -> T:
    """As :func:`call_within`, while the event loop goes on with other work."""
    future = asyncio.wrap_future(_begin(function))
    try:
        if not (await asyncio.wait([future], timeout=seconds))[0]:
            raise GivenUpError
        return future.result()
    finally:
        future.cancel()


def _begin(function: Callable[[], T]) -> futures.Future[T]:
    future: futures.Future[T] = futures.Future()
    future.set_running_or_notify_cancel()
    context = copy_context()

    def call() -> None:
        try:
            result = context.run(function)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    Thread(target=call, name="bounded call", daemon=True).start()
    return future
