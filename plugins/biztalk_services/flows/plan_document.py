"""The plan of a restore as a person reads it, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import Any

from biztalk_services.model.plan import RestorePlan
from biztalk_services.model.wording import in_utc

_MARKS = {"passed": "works", "failed": "DOES NOT WORK", "not possible": "cannot be checked"}


def plan_document(plan: RestorePlan) -> str:
    """The whole plan: blocking issues first, then what will be done, with which values, and what will be lost."""
    backup, target = plan.backup, plan.target
    taken = f"{backup.finished_at.astimezone(UTC):%Y-%m-%d %H:%M}"
    items = "unknown" if backup.item_count is None else backup.item_count
    parts = [
        f"## Restore {backup.place} as {target.service} ({target.description})",
        f"Backup of {backup.service} ({backup.edition}, version {backup.product_version or 'unknown'}), taken {taken} "
        f"UTC, {items} items. Plan `{plan.hash[:12]}` of {in_utc(plan.made_at)}.",
    ]
    if plan.blocking_issues:
        parts += ["### Blocking issues", _list(plan.blocking_issues)]
    parts += ["### Steps", "\n".join(f"{number}. {_line(step)}" for number, step in enumerate(plan.steps, 1))]
    if plan.expected_seconds is not None:
        parts.append(f"Earlier restores took about {plan.expected_seconds:.0f} s from approval to end.")
    parts += [
        "### Values of the restored service",
        _table(
            ("setting", "value", "from", "check"),
            [(each.setting, each.shown, each.origin, f"{_MARKS[each.check]}: {each.sentence}") for each in plan.values],
        ),
        "### Data loss and manual follow-up",
        _list(plan.losses),
        "### Backup compared with the existing service",
        _list(plan.differences) or "No difference was found, or there is no existing service.",
        "### Control numbers used since the backup",
        _table(
            ("agreement", "kind", "last of the backup", "highest used since", "latest", "next", "why", "source"),
            [
                (row.agreement, row.kind, row.backup, row.highest, row.latest, row.next, row.sentence, row.source)
                for row in plan.control_numbers
            ],
        ),
        "### Rules",
        _table(
            ("rule", "passed", "finding", "source"),
            [(rule.rule, "yes" if rule.passed else "NO", rule.message, rule.source) for rule in plan.rules],
        ),
    ]
    return "\n\n".join(parts)


def _list(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {_line(sentence)}" for sentence in sentences)


def _table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return "None."
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(_line(cell).replace('|', '/') for cell in line)} |" for line in lines)


def _line(content: Any) -> str:
    """On one line, as a list or table needs it; empty when there is none."""
    return "" if content is None else " ".join(str(content).split())
