"""What a person sees in Airflow's pages, in a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from stack.browser import launch_options
from stack.settings import storage_endpoint
from tests.system.world import BACKUP, CATALOG, DAG_ID, Night, World

STEPS_OF_A_NIGHT = ("find_services", "back_up_services", "report")
STEPS = (
    "check_backup", "wait_for_slot", "wait_until_drained", "suspend", "wait_until_suspended", "back_up",
    "recheck_batches", "record_inventory", "wait_for_backup", "resume", "verify_backup", "publish_reference",
)  # fmt: skip
FORM = {
    "What": {
        "Services": "The services to back up, one a line:",
        "Label": "Stored in the backup references",
        "Do not start after": "a run that has waited longer in the queue is refused",
        "Back up now, though the run is for another moment": "the backup is one of now all the same",
    },
    "Batches": {
        "Wait for batches (minutes)": "Nothing is suspended meanwhile.",
        "I have checked: all batches are empty": "Your confirmation, recorded with your name.",
        "When the batch status is unknown": "refuse: do not suspend",
        "When a message enters a batch while the service is being suspended": "record the possible loss",
    },
}
WAIT_MILLISECONDS = 30_000


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("screenshots")


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    """One browser with one cache: it loads the common files of all pages once."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launch_options())
        yield browser.new_context(viewport={"width": 1600, "height": 1100})
        browser.close()


@pytest.fixture
def page(request, browser, world, screenshots) -> Iterator[Page]:
    """A page that sends requests to the stack only, without errors in its console; a picture of its end is kept."""
    errors, foreign_requests = [], []
    page = browser.new_page()
    page.set_default_timeout(WAIT_MILLISECONDS)
    expect.set_options(timeout=WAIT_MILLISECONDS)
    page.on("console", lambda message: message.type == "error" and errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    own = (world.stack.url, "data:", "blob:")
    page.on("request", lambda request: request.url.startswith(own) or foreign_requests.append(request.url))
    yield page
    page.screenshot(path=screenshots / f"{request.node.name}.png")
    page.close()
    assert errors == []
    assert foreign_requests == []


@pytest.mark.parametrize(("service", "steps"), [(None, STEPS_OF_A_NIGHT), ("contosonordic", STEPS)])
def test_the_graph_of_a_run_shows_its_steps(page, world, good_night, service, steps):
    page.goto(run_url(world, good_night, service))
    page.get_by_role("button", name=re.compile("Show Graph")).click()
    for step in steps:
        expect(page.get_by_test_id(f"rf__node-{step}")).to_be_visible()


def test_the_form_explains_every_field(page, world):
    page.goto(f"{world.stack.url}/dags/{DAG_ID}")
    expect(page.get_by_text("BizTalk Services: nightly backup").first).to_be_visible()
    page.get_by_role("button", name="Trigger Dag").click()
    form = page.get_by_role("dialog")
    for section, fields in FORM.items():
        form.get_by_role("button", name=section, exact=True).click()
        for title, explanation in fields.items():
            expect(form.get_by_text(re.compile(rf"^{re.escape(title)}\s*\*?$")).first).to_be_visible()
            expect(form.get_by_text(explanation).first).to_be_visible()


def test_a_step_shows_its_log_and_a_link_to_the_backup(page, world, good_night):
    page.goto(step_url(world, good_night, "contosonordic", "back_up"))
    expect(
        page.get_by_text(re.compile(r"Requested backup .* of contoso-north-europe/contosonordic: operation"))
    ).to_be_visible()
    page.get_by_role("link", name="Details").click()
    expect(page.get_by_role("link", name="Backup container")).to_have_attribute(
        "href", f"{storage_endpoint(world.stack.ports)}/{good_night.backup('contosonordic')}"
    )


def test_the_link_to_the_catalog_entry_leads_there(world, good_night):
    run = f"/dags/{BACKUP}/dagRuns/{good_night.service_runs['contosonordic']}"
    links = world.airflow.get(f"{run}/taskInstances/publish_reference/links")["extra_links"]
    entry = f"references/contosonordic/{good_night.backup('contosonordic')}.json"
    assert links == {"Backup reference": f"{storage_endpoint(world.stack.ports)}/{CATALOG}/{entry}"}
    assert json.loads(world.blob(CATALOG, entry)) == good_night.reference("contosonordic")


def test_the_log_of_a_failed_wait_has_the_reason(page, world, troubled_night):
    page.goto(step_url(world, troubled_night, "proving-bkup-fails", "wait_for_backup"))
    expect(
        page.get_by_text(re.compile("of service .*proving-bkup-fails failed: .*The store is full")).first
    ).to_be_visible()


def run_url(world: World, night: Night, service: str | None = None) -> str:
    """Page of a night, or of the run of a service in it."""
    run = f"{BACKUP}/runs/{night.service_runs[service]}" if service else f"{DAG_ID}/runs/{night.run_id}"
    return f"{world.stack.url}/dags/{run}"


def step_url(world: World, night: Night, service: str, step: str) -> str:
    return f"{run_url(world, night, service)}/tasks/{step}"
