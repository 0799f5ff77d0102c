"""The plan of a restore as a person reads it, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from biztalk_services.model.plan import RestorePlan

_MARKS = {"passed": "works", "failed": "DOES NOT WORK", "not possible": "cannot be checked"}


def document(plan: RestorePlan) -> str:
    """The whole plan: what speaks against it first, then what would be done, with what, and what would be lost."""
    backup, target = plan.backup, plan.target
    units = "scale units not known" if target["unit_count"] is None else f"scale units: {target['unit_count']}"
    parts = [
        f"## Restore {backup['place']} as {target['service']} ({target['edition']}, {units})",
        f"Backup of {backup['service']} ({backup['edition']}, version {backup['product_version'] or 'unknown'}), taken "
        f"{backup['finished_at'][:16].replace('T', ' ')} UTC, {backup['items']} items. Plan `{plan.hash[:12]}` of "
        f"{plan.made_at:%Y-%m-%d %H:%M:%S} UTC.",
    ]
    if plan.objections:
        parts += ["### What speaks against it", _list(plan.objections)]
    steps = (f"{number}. {_line(step)}" for number, step in enumerate(plan.steps, 1))
    parts += ["### What will be done", "\n".join(steps)]
    if plan.expected_seconds is not None:
        parts.append(f"Earlier restores took about {plan.expected_seconds:.0f} s from approval to end.")
    parts += [
        "### Values that the restored service will work with",
        _table(
            ("setting", "value", "from", "check"),
            (
                (value.setting, value.shown, value.origin, f"{_MARKS[value.check]}: {value.sentence}")
                for value in plan.values
            ),
        ),
        "### What will be lost, or is yours to do",
        _list(plan.losses),
        "### Backup against the living service",
        _list(plan.differences) if plan.differences else "No difference was found, or there is no living service.",
        "### Control numbers used since the backup",
        _table(
            ("agreement", "kind", "last of the backup", "highest used since", "next", "why"),
            (
                (row["agreement"], row["kind"], row["backup"], row["highest"], row["next"], row["sentence"])
                for row in plan.control_numbers
            ),
        )
        if plan.control_numbers
        else "None is known that has to be left behind.",
        "### Rules",
        _table(
            ("rule", "kept", "finding", "source"),
            ((rule.rule, "yes" if rule.passed else "NO", rule.message, rule.source) for rule in plan.rules),
        ),
    ]
    return "\n\n".join(parts)


def _list(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {_line(sentence)}" for sentence in sentences)


def _table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(_line(cell).replace('|', '/') for cell in line)} |" for line in lines)


def _line(content: Any) -> str:
    """On one line, as a list or table needs it; empty when there is none."""
    return "" if content is None else " ".join(str(content).split())
