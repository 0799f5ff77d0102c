"""The form of a restore offers the newest backups, as they were noted last."""

from __future__ import annotations

import json

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import Variable
from biztalk_services.provider import offered

from tests.conftest import ROOT

NEWEST = ["contosoorders-20260224-020000-34d693", "contosoeurope-20260224-020000-2a7d11"]


def examples(monkeypatch: pytest.MonkeyPatch, noted: str) -> list[str] | None:
    monkeypatch.setattr(Variable, "get", lambda *name, **how: noted)
    bag = DagBag(dag_folder=ROOT / "dags/biztalk_restore.py")
    assert bag.import_errors == {}
    return bag.dags["biztalk_restore"].params.get_param("backup").schema.get("examples")


def test_the_newest_first(monkeypatch):
    assert examples(monkeypatch, json.dumps(NEWEST)) == NEWEST


@pytest.mark.parametrize("noted", ["[]", "", "{}", "null", '"a"', "[1, null]"])
def test_odd_notes_offer_nothing(noted, monkeypatch):
    assert examples(monkeypatch, noted) is None


def test_nothing_where_airflow_cannot_be_asked(monkeypatch):
    def fails(*name: str, **how: str) -> str:
        raise RuntimeError("no database")

    monkeypatch.setattr(Variable, "get", fails)
    assert offered.offered() == []
