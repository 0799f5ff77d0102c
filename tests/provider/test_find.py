"""The services of a backup run."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from biztalk_services.drivers.biztalk.driver import BizTalkDriver
from biztalk_services.drivers.biztalk.states import biztalk_service
from biztalk_services.model.checks import RefusedError
from biztalk_services.model.errors import ThrottledError
from biztalk_services.model.service import ServiceKey, ServiceRef
from biztalk_services.provider.base import first_moment
from biztalk_services.provider.hook import driver_for
from biztalk_services.provider.operators.find import ALL_SERVICES, FindServicesOperator

from tests.emulator.driver import SUBSCRIPTION
from tests.provider.fakes import Run, StateStore, TaskInstance

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
        "conn_id": "biztalk_default",
        "subscription_id": SUBSCRIPTION,
        "service": "contoso-west-us/contosodev",
        "scope": "contoso-west-us",
        "name": "contosodev",
        "region": "West US",
        "edition": "developer",
        "has_backups": False,
    }


def test_another_try_finds_the_same_jobs(run):
    find(run, services="ContosoRetail")
    (job,) = run.xcom("find", map_index=-1)
    digest = ServiceKey(SUBSCRIPTION, ServiceRef("contoso-west-us", "ContosoRetail")).digest
    assert job == {
        "conn_id": "biztalk_default",
        "service": "contoso-west-us/ContosoRetail",
        "backup_name": f"contosoretail-{run.begun_at:%Y%m%d-%H%M%S}-{digest}",
        "problem": "",
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
        ("contosoorders", "[cC]ontosoorders", set()),
        ("contoso", "", set()),
        ("contoso[eo]*", "", {"contosoorders", "contosoeurope"}),
        ("contoso-west-us/*", "*/*/contosoretail", {"contosoorders"}),
        ("*_default/contoso-*/contoso[eo]*", "another/*/* west-us/*", {"contosoorders", "contosoeurope"}),
        ("another/*/*", "", set()),
    ],
)
def test_patterns_of_the_configuration(include, exclude, expected, run, monkeypatch):
    monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__INCLUDE", include)
    monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__EXCLUDE", exclude)
    assert find(run) == expected


@pytest.mark.parametrize(
    ("option", "value"), [("INCLUDE", "contosoorders;contosoretail"), ("EXCLUDE", "'contoso*'"), ("EXCLUDE", "*")]
)
def test_bad_patterns_are_refused_in_any_dag(option, value, run, monkeypatch):
    """Their defaults would choose more services than was asked for."""
    monkeypatch.setenv(f"AIRFLOW__BIZTALK_SERVICES__{option}", value)
    with pytest.raises(RefusedError, match=rf"\[options\] Option {option.lower()} is "):
        find(run)
    assert run.xcom("find", ALL_SERVICES, map_index=-1) is None


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
    monkeypatch.setattr(BizTalkDriver, "list_services", lambda driver, on_unread: fleet)
    assert find(run) == {service.ref.name for service in fleet}


def test_two_services_of_one_name_are_told_apart(run, monkeypatch):
    known = driver_for("biztalk_default").list_services()[1]
    twin = replace(known, ref=replace(known.ref, scope="another"))
    monkeypatch.setattr(BizTalkDriver, "list_services", lambda driver, on_unread: [known, twin])
    find(run)
    jobs = run.xcom("find", map_index=-1)
    assert [job["service"] for job in jobs] == [str(known.ref), str(twin.ref)]
    assert len({job["backup_name"] for job in jobs}) == 2
    with pytest.raises(RefusedError, match="means several services") as caught:
        find(run, services=known.ref.name)
    assert f"biztalk_default/{twin.ref}" in str(caught.value)
    find(run, services=str(twin.ref))
    assert [job["service"] for job in run.xcom("find", map_index=-1)] == [str(twin.ref)]


def test_the_names_follow_from_the_moment_of_the_first_try(run, monkeypatch):
    """And not from a moment that the run is said to be for."""
    run.begun_at = datetime(2026, 7, 8, 9, 10, 11, tzinfo=UTC)
    for _ in range(2):
        find(run, services="ContosoRetail")
        assert run.xcom("find", map_index=-1)[0]["backup_name"].startswith("contosoretail-20260708-091011-")


def test_the_first_moment_is_stored_for_each_run():
    store, before = StateStore(), datetime.now(UTC)
    contexts = [{"ti": TaskInstance(Run(), "find", -1, 5), "task_state_store": store} for _ in range(2)]
    first = first_moment(contexts[0])
    assert before <= first <= datetime.now(UTC)
    assert first_moment(contexts[0]) == first
    assert first_moment(contexts[1]) > first


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
