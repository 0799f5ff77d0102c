"""The plan as a person reads it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from biztalk_services.drivers.biztalk.restore_rules import SEED
from biztalk_services.flows.plan_document import document
from biztalk_services.model.checks import Verdict
from biztalk_services.model.plan import PlannedValue

from tests.plans.samples import plan

NASTY = "a | b\r\nc\n\n## d"
BROKEN = Verdict("same-version", False, "It is not.", SEED)


def sections(text: str) -> dict[str, str]:
    parts = text.split("\n\n### ")
    return {"": parts[0]} | {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in parts[1:]}


def test_everything_stands_in_it():
    found = sections(document(plan()))
    assert list(found) == [
        "",
        "What will be done",
        "Values that the restored service will work with",
        "What will be lost, or is yours to do",
        "Backup against the living service",
        "Control numbers used since the backup",
        "Rules",
    ]
    assert found[""].startswith(
        "## Restore backups/orders-20260101-020000 as contoso-west/orders (premium, scale units: 2)\n\n"
        "Backup of orders (premium, version 1.1.0), taken 2026-01-01 02:05 UTC, 12 items. "
        f"Plan `{plan().hash[:12]}` of 2026-01-02 03:04:05 UTC."
    )
    assert found["What will be done"].startswith("1. Delete it.\n2. Restore it.\n3. Leave it Suspended.")
    assert "took about 90 s" in found["What will be done"]
    assert "| contosoacs | connection acs | works: It gives a token. |" in found[list(found)[2]]
    assert found["What will be lost, or is yours to do"] == "- The backup is 25 h old."
    assert "- Agreement B was added." in found["Backup against the living service"]
    assert "| Fabrikam | interchange | 10 | 20 | 121 | It has given out 10. |" in found[list(found)[5]]
    assert f"| same-version | yes | It is. | {SEED} |" in found["Rules"]


def test_what_speaks_against_it_comes_first():
    wrong = plan(rules=(BROKEN,), values=(replace(plan().values[0], check="failed", sentence="No token."),))
    text = document(wrong)
    found = sections(text)
    assert list(found)[1] == "What speaks against it"
    assert found["What speaks against it"] == "\n".join(f"- {objection}" for objection in wrong.objections)
    assert "| DOES NOT WORK: No token. |" in text
    assert "| same-version | NO | It is not. |" in text


def test_what_is_not_known_is_not_made_up():
    row = plan().control_numbers[0] | {"backup": None, "highest": None, "next": None}
    bare = plan(
        backup=plan().backup | {"product_version": None},
        target=plan().target | {"unit_count": None},
        values=(PlannedValue("ServiceCertificate", "", "backup", "not possible", "Nobody can."),),
        differences=(),
        control_numbers=(row,),
        expected_seconds=None,
    )
    text = document(bare)
    assert "version unknown" in text
    assert "scale units not known" in text
    assert "cannot be checked: Nobody can." in text
    assert "took about" not in text
    assert "No difference was found, or there is no living service." in text
    assert "| Fabrikam | interchange |  |  |  | It has" in text
    assert "None" not in text
    assert "None is known that has to be left behind." in document(plan(control_numbers=()))


@pytest.mark.parametrize("nasty", [NASTY, "|", "\n", "a\u2028b", "|---|\n|x|"])
def test_tables_and_lists_hold_together(nasty):
    row = plan().control_numbers[0]
    found = sections(
        document(
            plan(
                rules=(Verdict("r", False, nasty, nasty),),
                values=(PlannedValue("s", nasty, nasty, "passed", nasty),),
                losses=(nasty, "Second."),
                differences=(nasty, "Second."),
                control_numbers=(row | {"agreement": nasty, "sentence": nasty},),
                steps=(nasty, "Second."),
            )
        )
    )
    assert len(found) == 8
    for name, columns in (
        ("Values that the restored service will work with", 4),
        ("Control numbers used since the backup", 6),
        ("Rules", 4),
    ):
        lines = found[name].splitlines()
        assert len(lines) == 3
        assert {line.count("|") for line in lines} == {columns + 1}
    assert len(found["What speaks against it"].splitlines()) == 1
    for name in ("What will be lost, or is yours to do", "Backup against the living service"):
        assert len(found[name].splitlines()) == 2
    assert len(found["What will be done"].partition("\n\n")[0].splitlines()) == 2
