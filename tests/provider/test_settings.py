"""The options of [biztalk_services]."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers_manager import ProvidersManager
from airflow.sdk.configuration import conf
from biztalk_services.drivers.biztalk.options import BizTalkOptions
from biztalk_services.model.options import BACKUP_AGE, CHECK, EVERY_DAG, NIGHTLY, RESTORE, SECTION, WATCHDOG, shown
from biztalk_services.model.requests import ApprovalChoices, BackupRequest
from biztalk_services.provider.form import form
from biztalk_services.provider.settings import Settings, all_options, driver_options

from tests.conftest import ROOT
from tests.dags.processes import result_of

OPTIONS = {option.name: option for option in all_options()}
NUMBERS = [name for name, option in OPTIONS.items() if isinstance(option.default, int)]
SECRETS = [
    "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net",
    "AccountKey=c2VjcmV0",
    "Password = c2VjcmV0; x",
    "https://hooks.example.com/services/c2VjcmV0",
    "c2VjcmV0Zm9ydGhldGVzdA09zz==;",
    "-----BEGIN PRIVATE KEY----- c2VjcmV0",
]


def variable(name: str) -> str:
    return f"AIRFLOW__BIZTALK_SERVICES__{name.upper()}"


def loaded() -> dict[str, Any]:
    """Every option as the configuration sets it, those of the drivers included."""
    options = asdict(Settings.load()) | driver_options()
    return {name: value for name, value in options.items() if name in OPTIONS}


def problems(monkeypatch: pytest.MonkeyPatch, **texts: str) -> list[str]:
    """The sentences about options that are set to these texts."""
    for name, text in texts.items():
        monkeypatch.setenv(variable(name), text)
    return [str(each) for each in Settings.load().problems]


def test_unset_options_have_their_defaults():
    assert Settings.load() == Settings()
    assert Settings.load().problems == ()
    assert driver_options() == asdict(BizTalkOptions()) | {"ca_bundle": ""}
    assert loaded() == {name: option.default for name, option in OPTIONS.items()}


def test_no_two_options_have_one_name():
    names = [option.name for option in all_options()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_every_option_is_read_and_explained(option, monkeypatch):
    another = option.metadata["maximum"] or option.metadata["example"]
    before = loaded()
    assert problems(monkeypatch, **{option.name: f" {another} "}) == []
    assert loaded() == before | {option.name: another}
    assert loaded() != before
    assert option.metadata["description"].endswith(".")
    assert option.metadata["dags"]
    assert set(option.metadata["dags"]) <= set(EVERY_DAG)


@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_option_has_its_default(option, empty, monkeypatch):
    assert problems(monkeypatch, **{option.name: empty}) == []
    assert loaded()[option.name] == option.default


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_has_bounds(name, monkeypatch):
    option = OPTIONS[name]
    minimum, maximum = option.metadata["minimum"], option.metadata["maximum"]
    for text in (str(minimum), str(maximum), f"{minimum}.0", f" +{maximum} "):
        assert problems(monkeypatch, **{name: text}) == []
        assert loaded()[name] == int(float(text))
    for text in (str(minimum - 1), str(maximum + 1), "0.5", "-1", "1000000000", "1e3", "0x10", "1_0", "nan", "soon",
                 "'7'", '"7"', "7 minutes", "٧"):  # fmt: skip
        (sentence,) = problems(monkeypatch, **{name: text})
        assert f"Option {name} is " in sentence
        assert variable(name) in sentence
        assert f"from {minimum} to {maximum}" in sentence or "in quotes" in sentence
        assert loaded()[name] == option.default


def test_bounds_are_those_of_the_forms():
    forms = form(BackupRequest) | form(ApprovalChoices)
    for name, param in (("drain_deadline_minutes", "drain_deadline_minutes"), ("approval_hours", "approval_hours")):
        assert OPTIONS[name].metadata["maximum"] == forms[param].schema["maximum"]
        assert OPTIONS[name].metadata["minimum"] >= forms[param].schema.get("minimum", 0)


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("conn_id", "biztalk default;", "connection ids"),
        ("conn_id", "a,b", "nothing but blanks"),
        ("conn_id", "east west east", "'east' twice"),
        ("conn_id", "'biztalk_default'", "in quotes"),
        ("conn_id", "x" * 251, "connection ids"),
        ("storage_conn_id", "two words", "a connection id"),
        ("storage_conn_id", "account/container", "a connection id"),
        ("catalog_container", "Backups", "name of a container"),
        ("catalog_container", "ab", "name of a container"),
        ("catalog_container", "a--b", "name of a container"),
        ("records_container", "x" * 64, "name of a container"),
        ("include", "contosoorders;contosoretail", "blanks or commas"),
        ("include", "contosoorders; contosoretail", "'contosoorders;' is not"),
        ("include", "contosoorders|contosoretail", "blanks or commas"),
        ("include", "contoso[eo", "patterns"),
        ("include", ",", "patterns"),
        ("include", '["contosoorders"]', "patterns"),
        ("exclude", "test;*", "blanks or commas"),
        ("schedule", "None", "or none, for no schedule"),
        ("schedule", "@once", "five fields"),
        ("schedule", "0 0 2 * * *", "it has 6"),
        ("schedule", "'0 2 * * *'", "in quotes"),
        ("schedule", "14 30 * * *", "minute, hour, day"),
        ("schedule", "* 2 * * *", "15 minutes between two backups; this one is read as: Every minute, between"),
        ("schedule", "0 0 31 2 *", "do not have that day"),
        ("schedule", "0 2 * * 1", "169 hours, from Monday"),
        ("schedule", "0 2 31 * *", "read as: At 02:00, on day 31 of the month (Europe/Berlin)"),
        ("schedule", "0 0 2 * *", "expected_backup_hours allows 30 hours"),
        ("schedule", "0 2 29 2 *", "35064 hours"),
        ("schedule", "0 2 1-28,30,31 * *", "48 hours, from"),
        ("timezone", "europe/berlin", "do you mean Europe/Berlin"),
        ("timezone", "W. Europe Standard Time", "as IANA writes it"),
        ("timezone", "EDT", "as IANA writes it"),
        ("expected_backup_hours", "soon", "no number of hours"),
        ("expected_backup_hours", "30 orders*", "pattern=hours"),
        ("backup_age_schedule", "0 6 * * 1", "a check every 24 hours; it leaves 168 hours"),
        ("backup_age_schedule", "none", "five fields"),
        ("watchdog_schedule", "0 2 * * *", "a check every 1 hours; it leaves 24 hours"),
        ("watchdog_schedule", "*/5 8-18 * * *", "a check every 1 hours"),
        ("alert_conn_id", "https://hooks.example.com/x", "not shown here"),
        ("ca_bundle", "ca.pem", "whole path"),
        ("ca_bundle", "/nowhere/ca.pem", "this machine has no such file"),
        ("tracking_conn_id", "tracking {service}", "{service} where"),
        ("tracking_conn_id", "tracking_{name}", "{service} where"),
        ("drain_query", "'SELECT agreement FROM batches'", "in quotes"),
        ("drain_query", "soon", "one SELECT"),
        ("drain_query", "SELECT 1; SELECT 2", "statement"),
        ("drain_query", "SELECT agreement FROM batches WHERE service = %(service)s", "is written as :service"),
        ("control_number_query", "SELECT agreement FROM numbers", "does not name :since"),
    ],
)
def test_a_bad_text_is_told_by_name(name, text, rule, monkeypatch):
    (sentence,) = problems(monkeypatch, **{name: text})
    assert sentence.startswith(f"Option {name} is ")
    assert rule in sentence
    assert loaded()[name] == OPTIONS[name].default
    assert Settings.load().problems[0].dags == OPTIONS[name].metadata["dags"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("schedule", "none"),
        ("schedule", "@daily"),
        ("schedule", "0 2,14 * * *"),
        ("timezone", "US/Eastern"),
        ("timezone", " Europe/Berlin "),
        ("include", "contoso[eo]* *-edi, A?1"),
        ("include", "contoso[!a-c]*"),
        ("exclude", "contoso*"),
        ("exclude", "?*"),
        ("conn_id", "east  west"),
        ("expected_backup_hours", "30 orders*=26 test-*=never"),
        ("watchdog_schedule", "*/10 * * * *"),
        ("backup_age_schedule", "0 6 * * *"),
        ("ca_bundle", str(ROOT / "LICENSE")),
        ("tracking_conn_id", "one_for_all"),
        ("drain_query", "-- the batches\nSELECT agreement, batch, messages, oldest FROM batches"),
    ],
)
def test_what_is_right_is_taken(name, text, monkeypatch):
    assert problems(monkeypatch, **{name: text}) == []
    assert loaded()[name] == text.strip()


class TestTogether:
    def test_a_weekly_schedule_needs_a_week(self, monkeypatch):
        assert problems(monkeypatch, schedule="0 2 * * 0", expected_backup_hours="170") == []
        (sentence,) = problems(monkeypatch, expected_backup_hours="168")
        assert "Option schedule is '0 2 * * 0'" in sentence
        assert "leaves 169 hours, from Sunday" in sentence  # the clock is changed in that week

    def test_the_default_schedule_may_be_too_rare(self, monkeypatch):
        (sentence,) = problems(monkeypatch, expected_backup_hours="30 orders*=12")
        assert "a backup of services named orders*; expected_backup_hours allows 12 hours" in sentence

    @pytest.mark.parametrize("expected", ["never", "30 *=2000", "soon"])
    def test_no_gap_is_too_long_where_none_is_known(self, expected, monkeypatch):
        assert not [each for each in problems(monkeypatch, schedule="0 2 1 * *", expected_backup_hours=expected)
                    if "Option schedule" in each]  # fmt: skip

    def test_without_a_schedule_there_is_no_gap(self, monkeypatch):
        assert problems(monkeypatch, schedule="none") == []
        assert Settings.load().nightly_schedule is None

    def test_all_included_are_excluded(self, monkeypatch):
        (sentence,) = problems(monkeypatch, include="contosoorders, CONTOSO-*", exclude="test contoso*")
        assert "everything that include names" in sentence
        assert not Settings.load().includes("contosoorders")
        assert problems(monkeypatch, include="contosoorders fabrikam") == []

    def test_several_bad_ones_are_all_told(self, monkeypatch):
        found = problems(monkeypatch, schedule="soon", timezone="EDT", approval_hours="0", drain_query="0")
        assert [each.split()[1] for each in found] == ["schedule", "timezone", "approval_hours", "drain_query"]


def test_an_option_that_is_left_empty_is_not_said_to_have_none(monkeypatch):
    monkeypatch.setenv("AIRFLOW__BIZTALK_SERVICES__CONTROL_NUMBER_QUERY", "SELECT 1")
    (problem,) = Settings.load().problems
    assert problem.sentence.endswith("or leave it empty.")


def test_an_option_that_does_not_exist_is_told(monkeypatch):
    (sentence,) = problems(monkeypatch, exlude="prod*", services_at_once="")
    assert "no option 'exlude'" in sentence
    assert "Do you mean exclude?" in sentence
    assert Settings.load().problems[0].dags == (NIGHTLY, CHECK)


def test_each_dag_has_the_problems_of_its_options(monkeypatch):
    problems(monkeypatch, schedule="soon", approval_hours="0", watchdog_schedule="soon", alert_conn_id="a b",
             expected_backup_hours="soon", suspend_deadline_minutes="0")  # fmt: skip
    found = {dag: [each.split()[1] for each in Settings.load().problems_of(dag)] for dag in EVERY_DAG}
    assert found == {
        NIGHTLY: ["schedule", "suspend_deadline_minutes", "alert_conn_id"],
        RESTORE: ["suspend_deadline_minutes", "approval_hours", "alert_conn_id"],
        WATCHDOG: ["watchdog_schedule", "alert_conn_id"],
        BACKUP_AGE: ["expected_backup_hours", "alert_conn_id"],
        CHECK: ["alert_conn_id"],
    }


def test_the_watchdog_shares_with_the_night_only_what_all_need():
    shared = [option.name for option in all_options() if {NIGHTLY, WATCHDOG} <= set(option.metadata["dags"])]
    assert shared == ["conn_id", "storage_conn_id", "catalog_container", "records_container", "alert_conn_id",
                      "ca_bundle"]  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("name", OPTIONS)
def test_a_secret_that_was_pasted_there_is_not_shown(name, secret, monkeypatch):
    for sentence in problems(monkeypatch, **{name: secret}):
        assert "c2VjcmV0" not in sentence


def test_a_value_is_shown_shortened():
    assert shown("0 2 * *") == "'0 2 * *'"
    assert shown("x" * 61) == "a text of 61 characters, not shown here"


def test_airflow_knows_the_section_and_its_defaults():
    described = dict(ProvidersManager().provider_configs)["biztalk-services-airflow"][SECTION]["options"]
    assert set(described) == set(OPTIONS)
    assert conf.getint(SECTION, "max_concurrent_backups") == Settings().max_concurrent_backups
    for option in all_options():
        assert described[option.name]["default"] == str(option.default)
        assert described[option.name]["example"] == option.metadata["example"]


def test_what_follows_from_the_options():
    assert Settings(completion_window_minutes=90).completion_window == timedelta(minutes=90)
    assert Settings(storage_conn_id="a", catalog_container="b").archive == "a/b"
    assert Settings(storage_conn_id="a", catalog_container="b", records_container="c").archive == "a/b/c"
    assert Settings(storage_conn_id="a", catalog_container="b", records_container="b").archive == "a/b"
    assert Settings(conn_id=" east  west").conn_ids == ("east", "west")
    assert Settings(expected_backup_hours="7").expected_backups.allowed("any") == timedelta(hours=7)
    options = BizTalkOptions(tracking_conn_id="tracking_of_{service}_db")
    assert options.tracking_conn_id_of("ContosoRetail") == "tracking_of_contosoretail_db"
    assert Settings(include="*").includes("anything")
    assert not Settings(include="").includes("anything")


def test_the_documentation_explains_every_option():
    table = "\n".join(["| option | default | values | what |", "|---|---|---|---|", *map(row, all_options()), ""])
    assert table in (ROOT / "docs/configuration.md").read_text()


def row(option: Any) -> str:
    about = option.metadata
    is_number = isinstance(option.default, int)
    values = f"{about['minimum']} to {about['maximum']}" if is_number else f"`{about['example']}`"
    default = f"`{option.default}`" if option.default != "" else ""
    return f"| `{option.name}` | {default} | {values} | {about['description']} |"


PROGRAM = """
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag()
from biztalk_services.provider.settings import driver_options
print("RESULT", json.dumps({"errors": bag.import_errors, "query": driver_options()["drain_query"]}))
"""


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (
            "SELECT 1 WHERE service = :service AND name LIKE 'a%%'",
            "SELECT 1 WHERE service = :service AND name LIKE 'a%'",
        ),
        (
            "SELECT 1 WHERE service = :service AND name LIKE 'a%'",
            "SELECT 1 WHERE service = :service AND name LIKE 'a%'",
        ),
        ("SELECT 1 WHERE name LIKE 'a%'", "SELECT 1 WHERE name LIKE 'a%'"),
        ("SELECT 1 WHERE service = :service", "SELECT 1 WHERE service = :service"),
    ],
)
def test_a_drain_query_in_airflow_cfg_may_hold_percent_signs(written, meant, tmp_path):
    (tmp_path / "airflow.cfg").write_text(
        f"[core]\ndags_folder = {ROOT / 'dags'}\nplugins_folder = {ROOT / 'plugins'}\nload_examples = False\n"
        f"[biztalk_services]\ndrain_query = {written}\n"
    )
    outside = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    assert result_of(PROGRAM, env=outside | {"AIRFLOW_HOME": str(tmp_path)}) == {"errors": {}, "query": meant}
