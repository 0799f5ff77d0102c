"""Comparing a backup with another one, or with the service as it is."""

from __future__ import annotations

import pytest
from biztalk_services.archive.errors import NotInCatalogError
from biztalk_services.provider.operators.compare import CompareInventoriesOperator

from tests.provider.connections import CLOUD_SERVICE, NAME

CHANGED = "Description of the day after"


@pytest.fixture
def compare(run, around, origin):
    def compare(**names: str) -> dict:
        operator = CompareInventoriesOperator(
            task_id="compare", service=f"{CLOUD_SERVICE}/{NAME}", **{"backup_name": origin["container"]} | names
        )
        return run.execute(operator)

    return compare


def test_a_service_that_was_not_changed_is_the_same(compare):
    assert compare() == {"same": True, "differences": []}


def test_a_change_is_listed_by_item_and_attribute(compare, around):
    around.edit(CHANGED)
    compared = compare()
    assert compared["same"] is False
    (difference,) = compared["differences"]
    assert (difference["kind"], difference["name"]) == ("partner", "Fabrikam")
    assert (difference["attribute"], difference["change"]) == ("Description", "changed")
    assert difference["after"] == CHANGED


def test_two_backups_are_compared_without_a_request(compare, origin, around):
    before = around.mark()
    assert compare(later_backup_name=origin["container"])["same"] is True
    assert around.emulator.journal(after=before, kind="request") == []


def test_a_backup_without_inventory_is_refused(compare):
    with pytest.raises(NotInCatalogError):
        compare(backup_name="contosoorders-20000101-000000")
