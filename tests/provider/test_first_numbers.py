"""The look at the first control numbers after a restore, in the DAG, against the emulator and its tracking database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from biztalk_services.archive.archive import Archive
from biztalk_services.drivers.biztalk.connect import ConnectionSources
from biztalk_services.drivers.biztalk.entities import ENTITY_SETS, protocol_settings_of
from biztalk_services.drivers.biztalk.numbers.ranges import property_name
from biztalk_services.drivers.biztalk.options import BizTalkOptions
from biztalk_services.flows.restore_report import FAILED, RESTORED
from biztalk_services.model.control_numbers import NumberRow
from biztalk_services.model.service import ServiceKey, ServiceRef
from biztalk_services.model.steps import AdvancedNumbers, ReachedState
from biztalk_services.provider.connections import AirflowConnections, open_archive
from biztalk_services.provider.hook import driver_for
from biztalk_services.provider.sensors import FirstNumbersSensor

from tests.emulator.driver import SUBSCRIPTION
from tests.model.samples import plan
from tests.provider.connections import NAME, SERVICE
from tests.provider.fakes import Run
from tests.provider.surroundings import AGREEMENT, ARCHIVE, Surroundings
from tests.provider.walk import Restoration

REPLACE = {"service": NAME, "existing_service_policy": "replace"}
COUNT = 5
LOOK = "first_numbers"
MESSAGES = 3
"""Between the backup and the restore."""

pytestmark = pytest.mark.usefixtures("around")


@pytest.fixture
def archive(around: Surroundings) -> Archive:
    return open_archive(ARCHIVE)


def resumed(around: Surroundings, origin: dict[str, Any], *, count: int = COUNT, **form: Any) -> Restoration:
    """A restore up to the look, with traffic between the backup and it."""
    around.traffic(messages=MESSAGES)
    values = {**REPLACE, "backup": origin["container"], "resume_afterwards": True} | form
    restoration = Restoration(Run(), **values)
    restoration.options = {LOOK: {"count": count}}
    restoration.until(LOOK)
    assert restoration.errors == {}
    return restoration


def is_locked(archive: Archive) -> bool:
    return archive.locks.of(ServiceKey(SUBSCRIPTION, ServiceRef.parse(SERVICE))) is not None


def looked(restoration: Restoration) -> tuple[str, str]:
    """What the look has left, and whether report and reason have it too."""
    outcome = restoration.all().outcome
    assert restoration.errors == {}
    assert outcome["outcome"] == RESTORED
    assert outcome["reason"].endswith(outcome[LOOK]["sentence"])
    return outcome[LOOK]["result"], outcome[LOOK]["sentence"]


def put_back(kind: str, lower: int) -> None:
    """A person sets the lower bound of an agreement."""
    driver = driver_for("biztalk_default")
    sources = ConnectionSources(AirflowConnections(), BizTalkOptions())
    with sources.partner_management(driver.get_service(ServiceRef.parse(SERVICE))) as client:
        settings = protocol_settings_of(client.all_entities(ENTITY_SETS), AGREEMENT)
        client.merge(settings["@id"], {property_name(kind, "LowerBound"): lower}, settings["@etag"])


def test_raised_numbers_are_confirmed(around, origin):
    restoration = resumed(around, origin)
    duplicates = around.duplicates()
    around.traffic(messages=COUNT)
    result, sentence = looked(restoration)
    assert result == "confirmed"
    for row in restoration.outcome["numbers"]:
        named = f"{row['agreement']} ({row['kind'].replace('_', ' ')})"
        assert f"{named} {row['next']} to {row['next'] + COUNT - 1}" in sentence
    assert around.duplicates() == duplicates


def test_bounds_that_were_put_back_are_an_alarm(around, origin):
    restoration = resumed(around, origin)
    duplicates = around.duplicates()
    put_back("interchange", 1)
    around.traffic(messages=1)
    assert around.duplicates() != duplicates
    restoration.all()
    row = next(each for each in restoration.outcome["numbers"] if each["kind"] == "interchange")
    assert (restoration.outcome["outcome"], restoration.states[LOOK]) == (FAILED, "failed")
    reason = restoration.failure
    assert reason == restoration.outcome["reason"]
    assert f"Control numbers come twice from service {SERVICE}: {AGREEMENT} (interchange) has given out" in reason
    assert f"{row['latest'] - MESSAGES + 1} again" in reason
    assert f"to {row['latest']} were used since the backup" in reason
    assert "Suspend the service at once, tell the partners" in reason
    assert f"Service {SERVICE} is Active now." in reason


def test_a_look_that_is_cleared_looks_again(around, origin, archive, clock):
    """A backup of the night need not wait for it."""
    restoration = resumed(around, origin)
    assert is_locked(archive)
    task = restoration.task(LOOK)
    with pytest.raises(TaskDeferred):
        task.execute(restoration.run.context(LOOK, -1, task.retries, task))
    assert not is_locked(archive)
    began = clock.time
    result, sentence = looked(restoration)
    assert result == "not confirmed"
    assert sentence.startswith("No control number was given out; nothing is confirmed.")
    assert sentence.endswith("To look again, for 30 minutes, clear task first_numbers and report.")
    assert 30 * 60 <= (clock.time - began).total_seconds() < 31 * 60
    around.traffic(messages=COUNT)
    restoration.run.stores[LOOK, -1].values.clear()
    for step in (LOOK, "report"):
        del restoration.states[step]
    assert looked(restoration)[0] == "confirmed"


def test_a_database_that_cannot_be_asked_is_a_warning(around, origin, capfd):
    """The numbers were raised for certain before."""
    restoration = resumed(around, origin)
    around.connect(f"biztalk_tracking_{NAME}", None)
    capfd.readouterr()
    result, sentence = looked(restoration)
    assert result == "unknown"
    assert f"There is no connection biztalk_tracking_{NAME}" in sentence
    alert = next(each for each in capfd.readouterr().out.splitlines() if "restored service are not confirmed" in each)
    assert sentence in alert


ROW = NumberRow(AGREEMENT, "interchange", 10, 20, 121, True, "It is raised.", 20, "seen")
QUIET = NumberRow(AGREEMENT, "interchange", 10, None, 111, True, "It is raised.", None, "seen")


@pytest.mark.parametrize(
    ("request_", "count", "rows", "why"),
    [
        ({"control_numbers": "exact"}, COUNT, [ROW], "because they were not raised (exact)"),
        ({"control_numbers": "report"}, COUNT, [ROW], "because they were not raised (report)"),
        ({"resume_afterwards": False}, COUNT, [ROW], "because it was not resumed"),
        ({}, 0, [ROW], "because option first_numbers is 0"),
        ({}, COUNT, [], "No control number was used since the backup"),
        ({}, COUNT, [QUIET], "No control number was used since the backup"),
    ],
    ids=["exact", "report", "suspended", "off", "nothing used", "quiet"],
)
def test_there_is_nothing_to_look_at(request_, count, rows, why, clock):
    run, made = Run(), plan()
    request = replace(made.request, **{"resume_afterwards": True} | request_)
    sensor = FirstNumbersSensor(
        task_id=LOOK,
        service=SERVICE,
        plan=replace(made, request=request).to_dict(),
        numbers=AdvancedNumbers(tuple(rows)).to_xcom(),
        restored=ReachedState("Suspended", "2f2f", datetime.now(UTC)).to_xcom(),
        count=count,
        deadline_minutes=30,
    )
    assert run.execute(sensor, map_index=-1) is None
    left = run.xcom(LOOK, map_index=-1)
    assert (left["result"], run.states[LOOK]) == ("not looked at", "skipped")
    assert why in left["sentence"]
