"""Values of a restore: where each comes from, whether it works, what is sent."""

from __future__ import annotations

from dataclasses import replace

import pytest
from biztalk_services.drivers.biztalk.connection_strings import parts_of
from biztalk_services.drivers.biztalk.values import GivenValue, MissingValue, StoredValue, sent_values

from tests.biztalk.values import DATABASE, TRACKING, database_value, problem

ACS = GivenValue(
    "AccessControlNamespace",
    "contosoacs",
    "connection acs",
    {"acs_namespace": "contosoacs", "acs_key": "canary"},
    lambda: "It gives a token.",
)


def raising(error: Exception):
    def check() -> str:
        raise error

    return check


def test_a_given_value_is_checked():
    assert (database_value().planned().check, database_value().planned().sentence) == ("passed", "It responds.")
    failed = database_value(check=raising(problem("Login failed."))).planned()
    assert (failed.shown, failed.check, failed.sentence) == (DATABASE, "failed", "Login failed.")


def test_a_defect_of_this_project_is_no_finding():
    with pytest.raises(KeyError):
        database_value(check=raising(KeyError("x"))).planned()


@pytest.mark.parametrize("key", ["", "  ", "can\x00ary"])
def test_a_value_that_cannot_be_sent_does_not_work(key):
    """Otherwise the service would be deleted before that is known."""
    result = replace(ACS, sent={"acs_namespace": "contosoacs", "acs_key": key}).planned()
    assert result.check == "failed"
    assert "acs_key of a restore" in result.sentence
    assert "ary" not in result.sentence


def test_a_missing_value_does_not_work():
    result = MissingValue(TRACKING, "connection x", "There is none.").planned()
    assert (result.shown, result.origin, result.check, result.sentence) == (
        "",
        "connection x",
        "failed",
        "There is none.",
    )


@pytest.mark.parametrize(
    ("wanted", "order"), [("biztalk_sql_db", "Create connection biztalk_sql_db,"), ("", "Name a connection in")]
)
def test_a_value_that_is_only_in_the_backup_is_a_finding(wanted, order):
    result = StoredValue(TRACKING, DATABASE, wanted).planned()
    assert (result.origin, result.check) == ("backup", "not possible")
    assert "fails late" in result.sentence
    assert order in result.sentence


def test_everything_given_is_sent():
    values = [ACS, database_value(), StoredValue("ServiceCertificate", "", ""), MissingValue("x", "y", "z")]
    sent = sent_values(values, edition="premium", unit_count=2, version="1.1.0")
    assert (sent.edition, sent.unit_count, sent.service_version) == ("premium", 2, "1.1.0")
    assert (sent.acs_namespace, sent.acs_key) == ("contosoacs", "canary")
    assert sent.tracking_store == f"{DATABASE};Password=canary"
    assert (sent.certificate, sent.archive_store, sent.monitoring_store) == (None, None, None)
    assert "canary" not in repr([values, sent, [value.planned() for value in values]])


def test_parts_of_a_connection_string():
    parts = parts_of(" Data Source = sql.example ;;AccountKey=ab==;Password='a;Database=b'")
    assert parts == {"data source": "sql.example", "accountkey": "ab==", "password": "a;Database=b"}
    assert parts_of("") == parts_of("Data Source=sql.example;odd") == {}
