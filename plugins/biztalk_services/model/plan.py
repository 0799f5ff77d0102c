"""The plan of a restore as a document: what a person reads and approves, and what is carried out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher
from typing import Any, Literal

from biztalk_services.model.backup import BackupReference
from biztalk_services.model.checks import Check
from biztalk_services.model.control_numbers import NumberRow
from biztalk_services.model.plain import Plain, to_plain
from biztalk_services.model.requests import RestoreRequest
from biztalk_services.model.service import ServiceKey, ServiceRef

SCHEMA_VERSION = 2

ValueCheck = Literal["passed", "failed", "not possible"]

_VOLATILE = ("made_at", "losses", "control_numbers", "expected_seconds")
"""Parts that change by themselves while a plan is being read: the clock, traffic, other restores."""


@dataclass(frozen=True)
class PlannedValue:
    """One value that the restored service will work with.

    :param shown: the value without its secret.
    :param origin: where it comes from (``connection biztalk_acs_x``, ``backup``).
    :param check: whether it works; the sentence is on what the check found.
    """

    setting: str
    shown: str
    origin: str
    check: ValueCheck
    sentence: str


@dataclass(frozen=True)
class RestoreTarget:
    """What the backup becomes.

    :param service: its address, ``scope/name``.
    :param description: edition and size, for people.
    :param settings: what the driver has decided of it, plain JSON without secrets.
    """

    service: str
    description: str
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        return self.service.rpartition("/")[2]


@dataclass(frozen=True)
class ExistingService:
    """The service that has the target's name when the plan is made."""

    state: str
    etag: str | None


@dataclass(frozen=True, kw_only=True)
class RestorePlan(Plain):
    """Everything that a restore would do, lose and break. Nothing has happened yet.

    :param made_at: aware.
    :param conn_id: connection to the subscription of the restored service; empty outside of a run.
    :param stored: the backup's settings without secrets, by name; empty where they were not recorded.
    :param existing: None when the target's name is free.
    :param replaces: whether the existing service is deleted before the restore.
    :param safety_backup: name of the backup that is taken of it first; None when none is.
    :param losses: what will be lost or has to be done by hand, in sentences.
    :param differences: backup against existing service, in sentences.
    :param control_numbers: one row an agreement and kind that was used since the backup, that is advanced, or that
        needs a person.
    :param steps: what will be done, in order.
    :param expected_seconds: how long earlier restores took; None when there were none.
    """

    made_at: datetime
    conn_id: str
    request: RestoreRequest
    backup: BackupReference
    stored: dict[str, str]
    target: RestoreTarget
    existing: ExistingService | None
    replaces: bool
    safety_backup: str | None
    rules: tuple[Check, ...]
    values: tuple[PlannedValue, ...]
    losses: tuple[str, ...]
    differences: tuple[str, ...]
    control_numbers: tuple[NumberRow, ...]
    steps: tuple[str, ...]
    expected_seconds: float | None

    @property
    def target_key(self) -> ServiceKey:
        """What the records know the restored service by: a backup is restored in its own subscription."""
        return ServiceKey(self.backup.subscription_id, ServiceRef.parse(self.target.service))

    @property
    def hash(self) -> str:
        """Identifies the plan: SHA-256, hex, of everything in it that does not change by itself.

        Left out are the time, the name of the safety backup (which follows from it), the counts that go on with the
        traffic (losses, control numbers: those are advanced by what is known at the end) and the expected duration.
        """
        decisive = json.dumps(self._decisive(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(decisive.encode()).hexdigest()

    @property
    def blocking_issues(self) -> tuple[str, ...]:
        """Why the restore must not be carried out, one sentence each; empty when it may be."""
        broken = [str(rule) for rule in self.rules if not rule.passed]
        failed = [value for value in self.values if value.check == "failed"]
        return (*broken, *(f"[value-works] {value.setting} of {value.origin}: {value.sentence}" for value in failed))

    def changes_since(self, earlier: RestorePlan) -> tuple[str, ...]:
        """What is decisive and not the same as in an earlier plan, one line each."""
        before, after = (dict(_flattened(plan._decisive())) for plan in (earlier, self))
        paths = sorted(before.keys() | after.keys())
        return tuple(line for path in paths for line in _changes(path, before.get(path), after.get(path)))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, with the hash."""
        return {"schema_version": SCHEMA_VERSION, "hash": self.hash, **to_plain(self)}

    def _decisive(self) -> dict[str, Any]:
        values = {name: value for name, value in to_plain(self).items() if name not in _VOLATILE}
        return values | {
            "safety_backup": self.safety_backup is not None,
            "rules": {rule.rule: {"passed": rule.passed, "message": rule.message} for rule in self.rules},
            "values": {
                value.setting: {"shown": value.shown, "origin": value.origin, "check": value.check}
                for value in self.values
            },
        }


def _flattened(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flattened(inner, f"{path}.{name}" if path else str(name))
    else:
        yield path, value


def _changes(path: str, before: Any, after: Any) -> Iterator[str]:
    """One line for a value that is another one now, or for each element of a list that was added or removed."""
    if isinstance(before, list) and isinstance(after, list):
        old, new = ([_text(element) for element in side] for side in (before, after))
        for _, begin, end, new_begin, new_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            if old[begin:end] != new[new_begin:new_end]:
                yield from (f"{path}, no longer: {element}" for element in old[begin:end])
                yield from (f"{path}, new: {element}" for element in new[new_begin:new_end])
    elif before != after:
        yield f"{path}: {_text(before)} -> {_text(after)}"


def _text(value: Any) -> str:
    """A plain JSON value for people."""
    if value is None:
        return "nothing"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)
