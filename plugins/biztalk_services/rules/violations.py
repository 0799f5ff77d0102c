"""A broken rule, and the refusal that lists every broken rule at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from biztalk_services.rest.errors import BizTalkServicesError


@dataclass(frozen=True)
class Violation:
    """One rule that would be broken.

    :param rule: short name of the rule, stable (``edition-has-backups``).
    :param sentence: what breaks it and what to do.
    :param source: the document that the rule comes from.
    """

    rule: str
    sentence: str
    source: str


class RefusedError(BizTalkServicesError):
    """Something was refused before anything was done; the message lists every violation.

    :param violations: at least one.
    :param subject: what was refused (``the backup of service cloud/name``).
    """

    def __init__(self, violations: Iterable[Violation], subject: str = "the request") -> None:
        self.violations = tuple(violations)
        self.subject = subject
        if not self.violations:
            raise ValueError("A refusal needs at least one violation.")
        found = " ".join(
            f"[{violation.rule}] {violation.sentence} ({violation.source})" for violation in self.violations
        )
        super().__init__(f"Refused {subject}: {found}")

    def __reduce__(self) -> tuple[type[RefusedError], tuple[tuple[Violation, ...], str]]:
        return type(self), (self.violations, self.subject)


def refuse_if(violations: Iterable[Violation], subject: str) -> None:
    """Nothing when the list is empty.

    :raises RefusedError: with all of them otherwise.
    """
    if found := tuple(violations):
        raise RefusedError(found, subject)
