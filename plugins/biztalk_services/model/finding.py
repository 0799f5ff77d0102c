"""What a check of the surroundings has found about one thing: a connection, a service, the storage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from biztalk_services.model.plain import Plain
from biztalk_services.model.query_check import QueryCheck

Verdict = Literal["good", "wrong", "not checked"]


@dataclass(frozen=True, kw_only=True)
class Finding(Plain):
    """
    :param subject: what was looked at (``connection biztalk_default``, ``service scope/name``).
    :param sentences: what was found, or why it is wrong or not checked; without secrets.
    :param queries: what the database of a service answered, None where none was asked.
    """

    subject: str
    verdict: Verdict
    sentences: tuple[str, ...] = ()
    queries: QueryCheck | None = None

    @property
    def is_wrong(self) -> bool:
        return self.verdict == "wrong"
