"""What must have become of a service after any history: a model written from the documents and from nothing else.

REST reference, section 5 (states), 2.6 to 2.13 (what is refused), 7 (a backup leaves the state alone and overwrites
nothing), 8 (what a restore demands and brings).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from biztalk_services.model.errors import (
    BackupServiceError,
    BadRequestError,
    OperationNotAllowedError,
    PreconditionFailedError,
    ServiceNotFoundError,
)
from biztalk_services.model.service import ServiceRef

from tests.emulator.chart import OUTCOMES, ROWS

_MEANWHILE = {verb.lower(): names[1] for verb, names in OUTCOMES.items()}
_MEANWHILE |= {"create": "Creating", "restore": "Restoring", "delete": "Deleting"}
_AFTERWARDS = {verb.lower(): names[2:] for verb, names in OUTCOMES.items() if verb != "Backup"}
_AFTERWARDS |= {"create": ("Active", "CreatedFailed"), "restore": ("Suspended", "RestoreFailed")}

Refusals = tuple[type[BackupServiceError], ...]
"""The errors by which our client may report that a request was refused; none: it is accepted."""


@dataclass(frozen=True)
class Content:
    """What a service holds.

    :param partners: names of those that the history added.
    :param number: the last interchange control number that was given out; None when it holds no agreement.
    :param whole: everything, as it was when a backup was accepted.
    """

    partners: frozenset[str] = frozenset()
    number: int | None = None
    whole: Any = field(default=None, repr=False)


@dataclass
class Running:
    """An operation that has not ended.

    :param brings: what the service holds when it has succeeded.
    :param backup: name of the backup that it writes.
    """

    verb: str
    identifier: str
    fails: bool = False
    brings: Content | None = None
    backup: str | None = None


@dataclass
class Named:
    """A name, and the service that has it.

    :param state: settled state; None when there is no service.
    :param was_deleted: a service of this name was deleted.
    :param last: id of the newest operation that can be polled, and how it must stand: None when it is forgotten.
    """

    address: ServiceRef
    state: str | None = None
    running: Running | None = None
    content: Content = Content()
    was_deleted: bool = False
    last: tuple[str, str | None] | None = None

    @property
    def visible_state(self) -> str | None:
        return _MEANWHILE[self.running.verb] if self.running else self.state

    @property
    def is_there(self) -> bool:
        return self.visible_state is not None

    @property
    def processes_messages(self) -> bool:
        return self.visible_state == "Active" and self.content.number is not None

    def refusals(self, verb: str, match: str | None = None) -> Refusals:
        """Of a request to a service that should be there.

        :param match: ``other``: the request names an ETag that the service does not have.
        """
        if not self.is_there:
            return (ServiceNotFoundError,)
        allowed = self.running is None and self._chart_allows(verb)
        mismatch: Refusals = (PreconditionFailedError,) if match == "other" else ()
        return mismatch if allowed else (OperationNotAllowedError, *mismatch)

    def refusals_of_making(self, *, names_are_held: bool, when_it_is_there: type[BackupServiceError]) -> Refusals:
        """Of a request that makes a service of this name."""
        if self.is_there:
            return (when_it_is_there,)
        return (OperationNotAllowedError,) if self.was_deleted and names_are_held else ()

    def _chart_allows(self, verb: str) -> bool:
        if (verb, self.state) == ("suspend", "Suspended"):
            return True  # "no effect, no error" (dn232419)
        if (verb, self.state) == ("backup", "Active"):
            return False  # "must be suspended" (dn232427); the chart alone would allow it
        return ROWS[self.state][verb.capitalize()] == "Y"

    def begin(self, running: Running) -> None:
        self.running = running
        if running.verb in ("create", "restore"):
            self.content = Content()

    def end(self) -> str:
        """End what runs; returns its result."""
        ended, self.running = self.running, None
        if ended.verb in _AFTERWARDS:
            self.state = _AFTERWARDS[ended.verb][ended.fails]
        elif ended.verb == "delete" and not ended.fails:
            self.state, self.content, self.was_deleted = None, Content(), True
        if ended.brings and not ended.fails:
            self.content = ended.brings
        return "Failed" if ended.fails else "Succeeded"


class Backups:
    """What lies in the storage account: containers, of which only a finished backup is one."""

    def __init__(self, **finished: Content) -> None:
        self._finished = dict(finished)
        self._started: dict[str, Content] = {}

    def take(self, name: str, content: Content) -> None:
        """A backup of this content was accepted."""
        self._started[name] = content

    def finish(self, name: str) -> None:
        self._finished[name] = self._started[name]

    def has_container(self, name: str) -> bool:
        return name in self._started or name in self._finished

    def find(self, name: str) -> Content | None:
        return self._finished.get(name)

    def refusals(self, name: str) -> Refusals:
        """Of a request that restores this backup."""
        return () if name in self._finished else (BadRequestError,)
