"""The stack itself: complete, restartable, its logs and pages readable."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import requests

DAG_ID = "biztalk_nightly_backup"


def test_every_part_runs_and_airflow_has_loaded_everything(airflow_stack):
    assert all(airflow_stack.running().values())
    airflow_stack.airflow.wait_for_dag(DAG_ID)
    assert airflow_stack.airflow.get("/importErrors")["import_errors"] == []
    assert airflow_stack.airflow.get("/plugins/importErrors")["import_errors"] == []


def test_every_server_listens_on_the_loopback_interface_only(airflow_stack):
    processes = [process for process in airflow_stack.running().values() if process]
    sockets = _sockets(pid for process in processes for pid in process.members())
    tables = [Path("/proc/net") / table for table in ("tcp", "tcp6")]
    listening = [line.split() for table in tables for line in table.read_text().splitlines()[1:]]
    ours = [fields[1] for fields in listening if fields[3] == "0A" and fields[9] in sockets]
    assert len(ours) >= 4
    assert {address.split(":")[0] for address in ours} == {"0100007F"}


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


def _sockets(pids: Iterable[int]) -> set[str]:
    """Inodes of the sockets that processes hold."""
    found = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = str(descriptor.readlink())
            except FileNotFoundError:
                continue
            if target.startswith("socket:["):
                found.add(target.removeprefix("socket:[").removesuffix("]"))
    return found
