"""Links from a task to what it made."""

from __future__ import annotations

import pytest
from airflow.sdk.execution_time.xcom import XCom
from biztalk_services.provider.operators.backup import (
    BackupContainerLink,
    CatalogEntryLink,
    PublishBackupOperator,
    StartBackupOperator,
)

URL = "http://127.0.0.1:10000/devstoreaccount1/orders-20260101-020000"


@pytest.fixture
def xcoms(monkeypatch) -> dict[str, object]:
    """XComs of the task, by key."""
    values: dict[str, object] = {}
    monkeypatch.setattr(XCom, "get_value", staticmethod(lambda *, ti_key, key: values.get(key)))
    return values


def test_to_the_container(xcoms):
    xcoms["return_value"] = {"operation_id": None, "container_url": URL}
    assert BackupContainerLink().get_link(None, ti_key=None) == URL


def test_to_the_catalog(xcoms):
    xcoms["reference_url"] = URL
    assert CatalogEntryLink().get_link(None, ti_key=None) == URL


@pytest.mark.parametrize("link", [BackupContainerLink(), CatalogEntryLink()])
def test_to_nothing_yet(link, xcoms):
    assert link.get_link(None, ti_key=None) == ""


def test_the_tasks_have_them():
    assert [link.name for link in StartBackupOperator.operator_extra_links] == ["Backup container"]
    assert [link.name for link in PublishBackupOperator.operator_extra_links] == ["Backup reference"]
