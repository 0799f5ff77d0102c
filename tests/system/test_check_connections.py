"""The check of the connections, as a person triggers it in a whole Airflow."""

from __future__ import annotations

from tests.system.world import World

DAG_ID = "biztalk_check_connections"
SUBJECT = "service biztalk_default/contoso-north-europe/contosonordic"


def test_a_service_is_checked_with_all_that_it_needs(world: World):
    world.airflow.wait_for_dag(DAG_ID)
    run_id = world.airflow.trigger(DAG_ID, {"services": ["contosonordic"]})
    assert world.airflow.wait_run(DAG_ID, run_id) == "success"
    found = {each["subject"]: each for each in world.airflow.xcom(DAG_ID, run_id, "check_connections")}
    assert {each["verdict"] for each in found.values()} == {"good"}
    assert {"storage", "alerts", "connection biztalk_default", SUBJECT, f"contents of {SUBJECT}"} == set(found)
    assert len(found[SUBJECT]["queries"]["looks"]) == 3
