"""The services of a backup run."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from biztalk_services.drivers.biztalk.driver import BizTalkDriver
from biztalk_services.drivers.biztalk.states import biztalk_service
from biztalk_services.model.checks import RefusedError
from biztalk_services.model.errors import ThrottledError
from biztalk_services.provider.hook import driver_for
from biztalk_services.provider.operators.find import ALL_SERVICES, FindServicesOperator

from tests.provider.fakes import Run

pytestmark = pytest.mark.usefixtures("connections")

FLEET = {
    "contosodev": "developer",
    "contosoeurope": "standard",
    "contosonordic": "basic",
    "contosoorders": "standard",
    "ContosoRetail": "premium",
    "contosotrial": "free",
}
WITH_BACKUPS = {"contosoeurope", "contosonordic", "contosoorders", "ContosoRetail"}


@pytest.fixture
def run() -> Run:
    return Run(run_after=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


def find(run: Run, **options) -> set[str]:
    """Names of the services that are to be backed up."""
    jobs = run.execute(FindServicesOperator(task_id="find", **options), map_index=-1)
    return {job["service"].partition("/")[2] for job in jobs}


def chosen(run: Run) -> dict[str, dict]:
    return {service["name"]: service for service in run.xcom("find", ALL_SERVICES, map_index=-1)}


def test_all_whose_edition_has_backups(run):
    assert find(run) == WITH_BACKUPS
    assert {name: service["edition"] for name, service in chosen(run).items()} == FLEET
    assert chosen(run)["contosodev"] == {
        "service": "contoso-west-us/contosodev",
        "scope": "contoso-west-us",
        "name": "contosodev",
        "region": "West US",
        "edition": "developer",
    }


def test_another_try_finds_the_same_jobs(run):
    find(run, services="ContosoRetail")
    (job,) = run.xcom("find", map_index=-1)
    assert job == {
        "service": "contoso-west-us/ContosoRetail",
        "backup_name": "contosoretail-20260102-030405",
    }
    find(run, services="ContosoRetail")
    assert run.xcom("find", map_index=-1) == [job]


@pytest.mark.parametrize("services", ["contosoretail CONTOSONORDIC", ["ContosoRetail", "contosonordic"]])
def test_named_ones_in_any_case(services, run):
    assert find(run, services=services) == {"ContosoRetail", "contosonordic"}


def test_named_ones_need_not_be_included_by_the_configuration(run, monkeypatch):
    monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__INCLUDE", "nothing-at-all")
    assert find(run, services="ContosoRetail") == {"ContosoRetail"}


def test_a_named_one_without_backups_is_reported_not_backed_up(run):
    assert find(run, services="contosodev") == set()
    assert set(chosen(run)) == {"contosodev"}


@pytest.mark.parametrize("services", ["nonsense", "contosoorders nonsense", ["../..", "contosoorders"], "c"])
def test_nonsense_names_are_refused_whole(services, run):
    with pytest.raises(RefusedError, match="service-exists") as caught:
        find(run, services=services)
    assert "it has contoso" in str(caught.value)
    assert run.xcom("find", "failure", map_index=-1) == str(caught.value)
    assert run.xcom("find", ALL_SERVICES, map_index=-1) is None


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ("contoso*", "", WITH_BACKUPS),
        ("*RETAIL *nordic", "", {"ContosoRetail", "contosonordic"}),
        ("*retail,*nordic", "", {"ContosoRetail", "contosonordic"}),
        ("*", "*orders contosoeurope", {"ContosoRetail", "contosonordic"}),
        ("contosoorders", "contosoorders", set()),
        ("contoso", "", set()),
        ("contoso[eo]*", "", {"contosoorders", "contosoeurope"}),
    ],
)
def test_patterns_of_the_configuration(include, exclude, expected, run, monkeypatch):
    monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__INCLUDE", include)
    monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__EXCLUDE", exclude)
    assert find(run) == expected


def test_an_error_leaves_its_sentence_for_the_report(run, emulator):
    emulator.fault("status", "list", retry_after=90)
    task = FindServicesOperator(task_id="find")
    with pytest.raises(ThrottledError) as caught:
        run.execute(task, map_index=-1)
    assert run.xcom("find", "failure", map_index=-1) == str(caught.value)
    decision = task.retry_policy.evaluate(caught.value, 1, 5)
    assert (decision.action.value, decision.retry_delay.total_seconds()) == ("retry", 90)


def test_a_missing_or_unknown_edition_is_left_to_the_check(run, monkeypatch):
    """Whether the edition has backups is not known; the check refuses it."""
    known = driver_for("biztalk_default").list_services()
    fleet = [
        biztalk_service(service.ref, service.state, edition)
        for service, edition in zip(known, [None, "gold"], strict=False)
    ]
    monkeypatch.setattr(BizTalkDriver, "list_services", lambda driver: fleet)
    assert find(run) == {service.ref.name for service in fleet}


def test_two_services_of_one_name_are_refused(run, monkeypatch):
    known = driver_for("biztalk_default").list_services()[0]
    twin = replace(known, ref=replace(known.ref, scope="another"))
    monkeypatch.setattr(BizTalkDriver, "list_services", lambda driver: [known, twin])
    with pytest.raises(RefusedError, match="names-differ") as caught:
        find(run)
    assert str(twin.ref) in str(caught.value)


@pytest.mark.parametrize(("late", "run_type", "refused"), [(119, "scheduled", False), (121, "scheduled", True),
                                                           (600, "manual", False)])  # fmt: skip
def test_a_scheduled_run_that_starts_too_late_is_refused(late, run_type, refused):
    run = Run(run_after=datetime.now(UTC) - timedelta(minutes=late), run_type=run_type)
    if refused:
        with pytest.raises(RefusedError, match="start_window_minutes"):
            find(run)
        assert run.xcom("find", ALL_SERVICES, map_index=-1) is None
    else:
        assert find(run) == WITH_BACKUPS
