"""The stack itself: complete, restartable, its logs and pages readable."""

from __future__ import annotations

import requests

from tests.system.sockets import LOOPBACK, listening

DAG_ID = "biztalk_nightly_backup"


def test_every_part_runs_and_airflow_has_loaded_everything(airflow_stack):
    assert all(airflow_stack.running().values())
    airflow_stack.airflow.wait_for_dag(DAG_ID)
    assert airflow_stack.airflow.get("/importErrors")["import_errors"] == []
    assert airflow_stack.airflow.get("/plugins/importErrors")["import_errors"] == []


def test_every_server_listens_on_the_loopback_interface_only(airflow_stack):
    ours = listening(airflow_stack)
    assert len(ours) >= 4
    assert {address.split(":")[0] for address in ours} == {LOOPBACK}


def test_the_pages_open_in_a_browser(airflow_stack):
    from playwright.sync_api import expect, sync_playwright

    from stack.browser import launch_options

    airflow_stack.airflow.wait_for_dag(DAG_ID)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launch_options())
        page = browser.new_page()
        elsewhere = []
        page.on("request", lambda request: _foreign(request.url, airflow_stack.url) and elsewhere.append(request.url))
        page.goto(f"{airflow_stack.url}/dags/{DAG_ID}")
        expect(page.get_by_text("BizTalk Services: nightly backup").first).to_be_visible(timeout=30_000)
        browser.close()
    assert elsewhere == []


def test_the_api_is_this_stacks_own(airflow_stack):
    assert requests.get(f"{airflow_stack.url}/api/v2/version", timeout=10).json()["version"] == "3.3.2"


def _foreign(url: str, own: str) -> bool:
    return not url.startswith((own, "data:", "blob:"))
