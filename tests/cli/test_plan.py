"""``python -m biztalk_services plan``: real backups of the emulator, planned from a shell."""

from __future__ import annotations

import csv
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from biztalk_services.drivers.biztalk.tracking.queries import (
    DEFAULT_CONTROL_NUMBER_QUERY,
    DEFAULT_DRAIN_QUERY,
    since_text,
)
from biztalk_services.model.backup import BackupReference
from biztalk_services.model.control_numbers import EVER
from biztalk_services.model.inventory import Inventory

from tests.archive.azurite import ACCOUNT
from tests.archive.samples import reference
from tests.biztalk.pfx import pfx
from tests.cli.shell import NAME, SERVICE, Archive, connection_string, last_seq

POSSIBLE, REFUSED, UNABLE = 0, 1, 2
REPLACE = ("plan", NAME, "--existing-service-policy", "replace")
PASSWORD = "canary-Secret=1"


@pytest.fixture(scope="module")
def taken(shared_emulator, azurite) -> tuple[BackupReference, Inventory]:
    """A real backup and what the service held; taken once."""
    with azurite.client() as client:
        archive = Archive(client, f"catalog-{uuid4().hex}", shared_emulator)
        return archive.backed_up(), archive.inventory()


@pytest.fixture
def backup(taken, archive) -> BackupReference:
    """The backup with its inventory, in the catalog of the test."""
    reference, inventory = taken
    archive.catalog.record_inventory(reference.container, inventory)
    return archive.published(reference)


@pytest.fixture
def rows_file(emulator, tmp_path):
    """Queries the tracking database as a person does who has a client of their own; the file with the rows."""

    def query_database(query: str, **parameters: str) -> str:
        database = emulator.admin("GET", f"/services/{NAME}")["tracking_database"]
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            cursor = connection.execute(query, parameters)
            rows = [[column[0] for column in cursor.description], *cursor]
        file = tmp_path / f"rows{len(list(tmp_path.glob('rows*')))}.csv"
        with file.open("w", newline="") as content:
            csv.writer(content).writerows(rows)
        return str(file)

    return query_database


@pytest.fixture
def value_files(shell, archive, azurite, tmp_path):
    """Options with every value of the restored service."""
    known = archive.known()
    database = known["tracking_database"]
    contents = {
        "--acs-key-file": known["access_control"]["key"],
        "--tracking-connection-file": f"Data Source={database['server']};Initial Catalog={database['database']};"
        f"User ID={database['user']};Password={database['password']}",
        "--monitoring-connection-file": connection_string(azurite.port),
        "--archive-connection-file": connection_string(azurite.port),
        "--ssl-certificate": pfx(f"{NAME}.biztalk.windows.net", password=PASSWORD),
        "--ssl-password-file": PASSWORD,
    }
    shell.secrets.append(PASSWORD)
    files = {}
    for option, content in contents.items():
        files[option] = tmp_path / option.strip("-")
        files[option].write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())
    return files


def words(files: dict[str, Path]) -> list[str]:
    return [word for option, file in files.items() for word in (option, str(file))]


def broken(result) -> set[str]:
    return {rule["rule"] for rule in result.json["rules"] if not rule["passed"]}


# --- the document ----------------------------------------------------------------------------------------------------


def test_the_document_that_a_person_approves(shell, emulator, backup):
    before = last_seq(emulator)
    result = shell(*REPLACE, "--control-numbers", "report")
    assert result.code == POSSIBLE
    assert result.lines[0].startswith(f"## Restore {backup.place} as {SERVICE} (standard, ")
    headings = [line for line in result.lines if line.startswith("### ")]
    assert headings == [
        "### Steps",
        "### Values of the restored service",
        "### Data loss and manual follow-up",
        "### Backup compared with the existing service",
        "### Control numbers used since the backup",
        "### Rules",
    ]
    assert f"2. Delete {SERVICE}, and wait until its name is free." in result.lines
    assert "Give --acs-key-file to have it checked and sent." in result.out
    assert "give the result with --batches-file" in result.out
    assert {entry["method"] for entry in emulator.journal(after=before, kind="request")} == {"GET"}


def test_the_hash_stays_as_long_as_nothing_changes(shell, emulator, backup):
    first, second = (shell(*REPLACE, "--control-numbers", "report", "--json").json for _ in range(2))
    assert first["hash"] == second["hash"]
    emulator.admin("POST", f"/services/{NAME}/content", {})
    assert shell(*REPLACE, "--control-numbers", "report", "--json").json["hash"] != first["hash"]


def test_the_choices_of_the_form(shell, emulator, backup):
    choices = ["--edition", "premium", "--unit-count", "2", "--margin", "7", "--resume-afterwards"]
    made = shell(*REPLACE, "--control-numbers", "exact", *choices, "--json").json
    assert made["target"] == {
        "service": SERVICE,
        "description": "premium, scale units: 2",
        "settings": {"edition": "premium", "unit_count": 2},
    }
    chosen = {"control_numbers": "exact", "margin": 7, "resume_afterwards": True, "existing_service_policy": "replace"}
    assert made["request"] | chosen == made["request"]
    assert made["request"]["overrides"] == {"edition": "premium", "unit_count": 2}
    assert made["replaces"] is True
    assert made["safety_backup"].startswith(f"{NAME}-")
    elsewhere = shell("plan", SERVICE, "--target-name", "orderstwo", "--target-scope", "other", "--json").json
    assert elsewhere["target"]["service"] == "other/orderstwo"


def test_the_newest_backup_unless_one_is_named(shell, archive):
    taken = [
        archive.published(reference(f"orders-{day}", service=NAME, finished_at=datetime(2026, 1, day, tzinfo=UTC)))
        for day in (1, 2)
    ]
    archive.published(reference("orders-3", service=NAME, finished_at=datetime(2026, 1, 3, tzinfo=UTC), kind="safety"))
    for options, expected in (([], taken[1]), (["--backup", taken[0].place], taken[0])):
        planned = shell("plan", NAME, *options, "--json").json["backup"]
        assert (planned["account"], planned["container"]) == (expected.account, expected.container)


# --- values ----------------------------------------------------------------------------------------------------------


def test_values_in_files_are_checked_where_possible(shell, emulator, backup, value_files):
    options = ("--endpoint", emulator.data_url, "--control-numbers", "report", "--edition", "premium", "--json")
    result = shell(*REPLACE, *words(value_files), *options)
    assert result.code == POSSIBLE
    values = {value["setting"]: value for value in result.json["values"]}
    assert {setting: value["check"] for setting, value in values.items()} == {
        "AccessControlNamespace": "passed",
        "TrackingStoreConnectionString": "not possible",
        "ArchiveStoreConnectionString": "passed",
        "MonitoringStoreConnectionString": "passed",
        "ServiceCertificate": "passed",
    }
    assert values["AccessControlNamespace"]["origin"] == f"file {value_files['--acs-key-file']}"
    assert values["TrackingStoreConnectionString"]["shown"].startswith("Data Source=")
    assert values["MonitoringStoreConnectionString"]["shown"].startswith(f"AccountName={ACCOUNT};")


@pytest.mark.parametrize(
    ("option", "content", "setting", "sentence"),
    [
        ("--acs-key-file", "d3Jvbmc=", "AccessControlNamespace", "token"),
        ("--acs-key-file", None, "AccessControlNamespace", "No such file"),
        ("--tracking-connection-file", "Data Source=x;Password=canary", "TrackingStoreConnectionString", "has to name"),
        ("--monitoring-connection-file", "canary-Secret=1", "MonitoringStoreConnectionString", "no storage account"),
        ("--ssl-certificate", "no PFX", "ServiceCertificate", "is neither PEM nor PKCS#12 (PFX)"),
        ("--ssl-password-file", "another", "ServiceCertificate", "the password is wrong"),
        ("--ssl-password-file", "", "ServiceCertificate", "the file is empty"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_work_is_a_blocking_issue(
    shell, emulator, backup, value_files, option, content, setting, sentence
):
    if content is None:
        value_files[option].unlink()
    else:
        value_files[option].write_text(content)
    result = shell(
        *REPLACE, *words(value_files), "--endpoint", emulator.data_url, "--control-numbers", "report", "--json"
    )
    assert result.code == REFUSED
    (value,) = [value for value in result.json["values"] if value["check"] == "failed"]
    assert value["setting"] == setting
    assert sentence in value["sentence"]


def test_a_certificate_needs_its_password(shell, backup, value_files):
    certificate = str(value_files["--ssl-certificate"])
    assert "give --ssl-password-file" in shell(*REPLACE, "--ssl-certificate", certificate).out


def test_the_existing_service_is_compared_with_a_key(shell, emulator, backup, value_files):
    partner = emulator.admin("GET", f"/services/{NAME}")["content"]["partners"][0]
    emulator.admin("POST", f"/services/{NAME}/content", {"partners": [partner | {"Description": "edited by hand"}]})
    options = (*REPLACE, "--control-numbers", "report", "--endpoint", emulator.data_url)
    keyed = shell(*options, "--acs-key-file", str(value_files["--acs-key-file"]))
    assert "edited by hand" in keyed.out
    assert "edited by hand" not in shell(*options).out
    assert "give --acs-key-file" in shell(*options).out
    other = shell(*options, "--acs-key-file", str(value_files["--acs-key-file"]), "--namespace", "other")
    assert "is not that of its ACS namespace" in other.out


# --- rows of the tracking database -----------------------------------------------------------------------------------


def test_control_numbers_without_rows_cannot_be_raised(shell, backup):
    result = shell(*REPLACE, "--json")
    assert (result.code, broken(result)) == (REFUSED, {"control-numbers"})
    assert "give the result with --control-numbers-file" in shell(*REPLACE).out


def test_control_numbers_by_rows_in_a_file(shell, emulator, backup, rows_file):
    agreement = "Northwind X12 send"
    emulator.admin("POST", f"/services/{NAME}/messages", {"agreement": agreement, "messages": 2})
    file = rows_file(DEFAULT_CONTROL_NUMBER_QUERY, since=since_text(backup.started_at))
    all_numbers = rows_file(DEFAULT_CONTROL_NUMBER_QUERY, since=since_text(EVER))
    files = ("--control-numbers-file", file, "--all-control-numbers-file", all_numbers)
    result = shell(*REPLACE, *files, "--json")
    assert result.code == POSSIBLE, result.json["rules"]
    used = {row["kind"]: row["highest"] for row in result.json["control_numbers"] if row["agreement"] == agreement}
    assert used["interchange"] > 0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "is empty"), (b"\xff\xfe\n", "it is not CSV"), (b"agreement,kind\n", "is missing"), (None, "No such file")],
)
def test_a_file_without_rows(shell, backup, tmp_path, content, sentence):
    file = tmp_path / "rows.csv"
    if content is not None:
        file.write_bytes(content)
    result = shell(*REPLACE, "--control-numbers-file", str(file), "--batches-file", str(file))
    assert result.code == REFUSED
    assert sentence in result.out


def test_rows_from_before_the_backup_are_refused(shell, backup, rows_file):
    file = rows_file(DEFAULT_CONTROL_NUMBER_QUERY, since=since_text(backup.started_at))
    before = (backup.started_at - timedelta(minutes=1)).timestamp()
    os.utime(file, (before, before))
    result = shell(*REPLACE, "--control-numbers-file", file)
    assert result.code == REFUSED
    assert "Query the tracking database again, with :since" in result.out


def test_batches_by_rows_in_a_file(shell, emulator, backup, rows_file):
    file = rows_file(DEFAULT_DRAIN_QUERY, service=NAME)
    assert f"(file {file})" in shell(*REPLACE, "--batches-file", file).out


# --- blocking issues -------------------------------------------------------------------------------------------------


def test_a_name_that_is_taken(shell, backup):
    result = shell("plan", NAME, "--control-numbers", "report", "--json")
    assert (result.code, broken(result)) == (REFUSED, {"name-free"})


def test_a_damaged_backup(shell, archive, blobs):
    backup = archive.backed_up()
    blobs.get_container_client(backup.container).delete_blob(backup.blobs[0].name)
    result = shell(*REPLACE, "--control-numbers", "report")
    assert result.code == REFUSED
    assert result.lines[4] == "### Blocking issues"
    assert f"{backup.blobs[0].name} is missing" in result.lines[6]


def test_another_run_on_the_service(shell, archive, backup):
    archive.locked()
    result = shell(*REPLACE, "--control-numbers", "report", "--json")
    assert (result.code, broken(result)) == (REFUSED, {"one-run"})


def test_an_expired_lock_does_not_block(shell, archive, backup):
    archive.locked(minutes_left=-1)
    assert shell(*REPLACE, "--control-numbers", "report").code == POSSIBLE


# --- nothing to plan with --------------------------------------------------------------------------------------------


def test_there_is_nothing_to_plan_with(shell, archive, monkeypatch):
    result = shell("plan", NAME)
    assert (result.code, result.out) == (UNABLE, "")
    assert f"has no backup of service {NAME}. Take one first." in result.err
    assert "has no reference to backup nowhere" in shell("plan", NAME, "--backup", "nowhere").err
    archive.published(reference(service=NAME))
    monkeypatch.setenv("BIZTALK_PORT", "1")
    assert "Could not connect to" in shell("plan", NAME).err
    monkeypatch.delenv("BIZTALK_CERTIFICATE")
    assert "There is no management certificate" in shell("plan", NAME).err


@pytest.mark.parametrize("options", [["--margin", "-1"], ["--unit-count", "x"], ["--control-numbers", "lower"]])
def test_a_wrong_call(shell, options):
    result = shell("plan", NAME, *options)
    assert (result.code, result.out) == (UNABLE, "")
    assert f"argument {options[0]}: invalid" in result.err
