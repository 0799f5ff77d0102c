"""The verdict of a rule, and the refusal that lists every broken rule at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from biztalk_services.model.errors import BackupServiceError


@dataclass(frozen=True)
class Check:
    """The verdict of one rule.

    :param rule: short name of the rule, stable (``edition-has-backups``).
    :param message: what was found and, where the rule is broken, what to do.
    :param source: the document that the rule comes from.
    """

    rule: str
    passed: bool
    message: str
    source: str

    def __str__(self) -> str:
        return f"[{self.rule}] {self.message} ({self.source})"


class RefusedError(BackupServiceError):
    """Something was refused before anything was done; the message lists every broken rule.

    :param broken: at least one.
    :param subject: what was refused (``the backup of service cloud/name``).
    """

    def __init__(self, broken: Iterable[Check], subject: str = "the request") -> None:
        self.broken = tuple(broken)
        self.subject = subject
        if not self.broken:
            raise ValueError("A refusal needs at least one broken rule.")
        super().__init__(f"Refused {subject}: {' '.join(str(check) for check in self.broken)}")

    def __reduce__(self) -> tuple[type[RefusedError], tuple[tuple[Check, ...], str]]:
        return type(self), (self.broken, self.subject)


def refuse_if_broken(checks: Iterable[Check], subject: str) -> None:
    """Nothing when every rule is kept.

    :raises RefusedError: with all broken rules otherwise.
    """
    if broken := tuple(check for check in checks if not check.passed):
        raise RefusedError(broken, subject)
