from __future__ import annotations

import pytest
from airflow.dag_processing.dagbag import DagBag

from tests.conftest import ROOT


@pytest.fixture(scope="package")
def dags() -> DagBag:
    return DagBag(dag_folder=ROOT / "dags")
