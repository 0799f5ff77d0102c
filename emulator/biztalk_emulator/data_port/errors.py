"""Refusals of the data port."""

from __future__ import annotations


class DataError(Exception):
    """A request that is refused.

    :param status: HTTP status.
    :param sentence: what the caller reads.
    :param headers: further headers of the answer.
    """

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = headers or {}
