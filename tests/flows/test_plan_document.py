"""The plan as a person reads it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone

import pytest
from biztalk_services.flows.plan_document import plan_document
from biztalk_services.model.checks import Check
from biztalk_services.model.plan import PlannedValue

from tests.archive.samples import NOW, reference
from tests.model.samples import SEED, plan

NASTY = "a | b\r\nc\n\n## d"
BROKEN = Check("same-version", False, "It is not.", SEED)


def sections(text: str) -> dict[str, str]:
    parts = text.split("\n\n### ")
    return {"": parts[0]} | {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in parts[1:]}


def test_everything_is_in_it():
    parts = sections(plan_document(plan()))
    assert list(parts) == [
        "",
        "Steps",
        "Values of the restored service",
        "Data loss and manual follow-up",
        "Backup compared with the existing service",
        "Control numbers used since the backup",
        "Rules",
    ]
    assert parts[""].startswith(
        "## Restore backups/orders-20260101-020000 as contoso-west/orders (premium, scale units: 2)\n\n"
        "Backup of orders (premium, version 1.1.0), taken 2026-01-01 02:05 UTC, 12 items. "
        f"Plan `{plan().hash[:12]}` of 2026-01-02 03:04:05 UTC."
    )
    assert parts["Steps"].startswith("1. Delete it.\n2. Restore it.\n3. Leave it suspended.")
    assert "took about 90 s" in parts["Steps"]
    assert "| contosoacs | connection acs | works: It gives a token. |" in parts[list(parts)[2]]
    assert parts["Data loss and manual follow-up"] == "- The backup is 25 h old."
    assert "- Agreement B was added." in parts["Backup compared with the existing service"]
    row = "| Fabrikam | interchange | 10 | 20 | 20 | 121 | It has given out 10. | seen by us |"
    assert row in parts["Control numbers used since the backup"]
    assert f"| same-version | yes | It is. | {SEED} |" in parts["Rules"]


def test_blocking_issues_come_first():
    wrong = plan(rules=(BROKEN,), values=(replace(plan().values[0], check="failed", sentence="No token."),))
    text = plan_document(wrong)
    parts = sections(text)
    assert list(parts)[1] == "Blocking issues"
    assert parts["Blocking issues"] == "\n".join(f"- {issue}" for issue in wrong.blocking_issues)
    assert "| DOES NOT WORK: No token. |" in text
    assert "| same-version | NO | It is not. |" in text


def test_what_is_not_known_is_not_made_up():
    row = replace(plan().control_numbers[0], backup=None, highest=None, next=None, latest=None, source="unknown")
    bare = plan(
        backup=reference(product_version=None, items={"agreements": None}),
        target=replace(plan().target, description="premium, scale units not known"),
        values=(PlannedValue("ServiceCertificate", "", "backup", "not possible", "No connection."),),
        differences=(),
        control_numbers=(row,),
        expected_seconds=None,
    )
    text = plan_document(bare)
    assert "version unknown" in text
    assert "unknown items" in text
    assert "scale units not known" in text
    assert "cannot be checked: No connection." in text
    assert "took about" not in text
    assert "No difference was found, or there is no existing service." in text
    assert "| Fabrikam | interchange |  |  |  |  | It has given out 10. | unknown |" in text
    assert "None" not in text
    assert sections(plan_document(plan(control_numbers=())))["Control numbers used since the backup"] == "None."


def test_the_time_of_the_backup_is_in_utc():
    zoned = NOW.astimezone(timezone(timedelta(hours=2)))
    assert "taken 2026-01-01 02:00 UTC" in plan_document(plan(backup=reference(finished_at=zoned)))


@pytest.mark.parametrize("nasty", [NASTY, "|", "\n", "a\u2028b", "|---|\n|x|"])
def test_tables_and_lists_hold_together(nasty):
    row = plan().control_numbers[0]
    parts = sections(
        plan_document(
            plan(
                rules=(Check("r", False, nasty, nasty),),
                values=(PlannedValue("s", nasty, nasty, "passed", nasty),),
                losses=(nasty, "Second."),
                differences=(nasty, "Second."),
                control_numbers=(replace(row, agreement=nasty, sentence=nasty, source=nasty),),
                steps=(nasty, "Second."),
            )
        )
    )
    assert len(parts) == 8
    for name, columns in (
        ("Values of the restored service", 4),
        ("Control numbers used since the backup", 8),
        ("Rules", 4),
    ):
        lines = parts[name].splitlines()
        assert len(lines) == 3
        assert {line.count("|") for line in lines} == {columns + 1}
    assert len(parts["Blocking issues"].splitlines()) == 1
    for name in ("Data loss and manual follow-up", "Backup compared with the existing service"):
        assert len(parts[name].splitlines()) == 2
    assert len(parts["Steps"].partition("\n\n")[0].splitlines()) == 2
