"""The plan of a restore as a document: what a person reads and approves, and what is carried out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from difflib import SequenceMatcher
from typing import Any, Literal

from biztalk_services.model.checks import Check

SCHEMA_VERSION = 1

Check = Literal["passed", "failed", "not possible"]

_MOVING = ("made_at", "losses", "control_numbers", "expected_seconds")
"""Parts that change by themselves while a plan is being read: the clock, traffic, other restores."""


@dataclass(frozen=True)
class PlannedValue:
    """One value that the restored service will work with.

    :param setting: element name of the setting.
    :param shown: the value without its secret.
    :param origin: where it comes from (``connection biztalk_acs_x``, ``backup``).
    :param check: whether it works: ``passed``, ``failed``, or ``not possible``.
    :param sentence: what the check found.
    """

    setting: str
    shown: str
    origin: str
    check: Check
    sentence: str


@dataclass(frozen=True, kw_only=True)
class RestorePlan:
    """Everything that a restore would do, lose and break. Nothing has happened yet.

    :param made_at: when, aware.
    :param backup: what is restored: ``place``, ``service``, ``edition``, ``product_version``, ``finished_at``,
        ``items``, ``drained``.
    :param target: what it becomes: ``service`` (address), ``edition``, ``unit_count``.
    :param living: the service that has the target's name now, ``state`` and ``etag``; None when the name is free.
    :param choices: what the request chose: ``control_numbers``, ``margin``, ``resume_afterwards``, ``replace``,
        ``safety_backup``.
    :param rules: every rule with its verdict.
    :param values: every value that the restored service will work with.
    :param losses: what will be lost or has to be done by hand, in sentences.
    :param differences: backup against living service, in sentences.
    :param control_numbers: one row an agreement and kind: as :func:`biztalk_services.drivers.biztalk.numbers_table.rows_of` tells
        it.
    :param steps: what will be done, in order.
    :param expected_seconds: how long earlier restores took; None when there were none.
    """

    made_at: datetime
    backup: dict[str, Any]
    target: dict[str, Any]
    living: dict[str, Any] | None
    choices: dict[str, Any]
    rules: tuple[Check, ...]
    values: tuple[PlannedValue, ...]
    losses: tuple[str, ...]
    differences: tuple[str, ...]
    control_numbers: tuple[dict[str, Any], ...]
    steps: tuple[str, ...]
    expected_seconds: float | None

    @property
    def hash(self) -> str:
        """Identifies the plan: SHA-256, hex, of everything in it that does not change by itself.

        Left out are the time, the counts that go on with the traffic (losses, control numbers: those are settled by
        what is found at the end) and the expected duration.
        """
        decisive = json.dumps(self._decisive(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(decisive.encode()).hexdigest()

    @property
    def objections(self) -> tuple[str, ...]:
        """Why the restore must not be carried out, one sentence each; empty when nothing speaks against it."""
        broken = [f"[{rule.rule}] {rule.message} ({rule.source})" for rule in self.rules if not rule.passed]
        failed = [
            f"[value-works] {value.setting} of {value.origin}: {value.sentence}"
            for value in self.values
            if value.check == "failed"
        ]
        return (*broken, *failed)

    def changes_since(self, earlier: RestorePlan) -> tuple[str, ...]:
        """What is decisive and not the same as in an earlier plan, one line each."""
        before, after = (dict(_flattened(plan._decisive())) for plan in (earlier, self))
        return tuple(
            line
            for path in sorted(before.keys() | after.keys())
            for line in _changes(path, before.get(path), after.get(path))
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, with the hash."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return (
            {"schema_version": SCHEMA_VERSION, "hash": self.hash}
            | values
            | {
                "made_at": self.made_at.isoformat(),
                "rules": [asdict(rule) for rule in self.rules],
                "values": [asdict(value) for value in self.values],
                **{name: list(values[name]) for name in ("losses", "differences", "control_numbers", "steps")},
            }
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RestorePlan:
        """The plan behind ``to_dict``."""
        kept = {name: values[name] for name in cls.__dataclass_fields__}
        return cls(
            **kept
            | {
                "made_at": datetime.fromisoformat(values["made_at"]),
                "rules": tuple(Check(**rule) for rule in values["rules"]),
                "values": tuple(PlannedValue(**value) for value in values["values"]),
                **{name: tuple(values[name]) for name in ("losses", "differences", "control_numbers", "steps")},
            }
        )

    def _decisive(self) -> dict[str, Any]:
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in _MOVING}
        return values | {
            "rules": {rule.rule: {"passed": rule.passed, "message": rule.message} for rule in self.rules},
            "values": {
                value.setting: {"shown": value.shown, "origin": value.origin, "check": value.check}
                for value in self.values
            },
            "differences": list(self.differences),
            "steps": list(self.steps),
        }


def _flattened(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flattened(inner, f"{path}.{name}" if path else str(name))
    else:
        yield path, value


def _changes(path: str, before: Any, after: Any) -> Iterator[str]:
    """One line for a value that is another one now, or for each element of a list that came or went."""
    if isinstance(before, list) and isinstance(after, list):
        for _, begin, end, new_begin, new_end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
            if before[begin:end] != after[new_begin:new_end]:
                yield from (f"{path}, no longer: {element}" for element in before[begin:end])
                yield from (f"{path}, new: {element}" for element in after[new_begin:new_end])
    elif before != after:
        old, new = ("nothing" if value is None else value for value in (before, after))
        yield f"{path}: {old} -> {new}"
