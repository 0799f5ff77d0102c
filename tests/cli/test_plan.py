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
from biztalk_services.drivers.biztalk.tracking import DEFAULT_CONTROL_NUMBER_QUERY, DEFAULT_DRAIN_QUERY, since_text
from biztalk_services.model.backup import BackupReference
from biztalk_services.model.inventory import Inventory
from biztalk_services.model.run import Run

from tests.catalog.azurite import ACCOUNT
from tests.catalog.samples import reference
from tests.cli.shell import NAME, SERVICE, Archive, connection_string, last_seq
from tests.plans.pfx import pfx

POSSIBLE, REFUSED, UNABLE = 0, 1, 2
REPLACE = ("plan", NAME, "--replace")
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
def answer(emulator, tmp_path):
    """Asks the tracking database as a person does who has a client of their own; the file with the answer."""

    def ask(query: str, **parameters: str) -> str:
        database = emulator.admin("GET", f"/services/{NAME}")["tracking_database"]
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            cursor = connection.execute(query, parameters)
            rows = [[column[0] for column in cursor.description], *cursor]
        file = tmp_path / "answer.csv"
        with file.open("w", newline="") as content:
            csv.writer(content).writerows(rows)
        return str(file)

    return ask


@pytest.fixture
def given(shell, archive, azurite, tmp_path):
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


def words(given: dict[str, Path]) -> list[str]:
    return [word for option, file in given.items() for word in (option, str(file))]


def broken(said) -> set[str]:
    return {rule["rule"] for rule in said.json["rules"] if not rule["kept"]}


# --- what it shows ---------------------------------------------------------------------------------------------------


def test_the_document_that_a_person_approves(shell, emulator, backup):
    before = last_seq(emulator)
    said = shell(*REPLACE, "--control-numbers", "report")
    assert said.code == POSSIBLE
    assert said.lines[0].startswith(f"## Restore {backup.place} as {SERVICE} (standard, ")
    headings = [line for line in said.lines if line.startswith("### ")]
    assert headings == [
        "### What will be done",
        "### Values that the restored service will work with",
        "### What will be lost, or is yours to do",
        "### Backup against the living service",
        "### Control numbers used since the backup",
        "### Rules",
    ]
    assert f"2. Delete {SERVICE}, and wait until its name is free." in said.lines
    assert "Give --acs-key-file to have it checked and sent." in said.out
    assert "give the answer with --batches-file" in said.out
    assert {entry["method"] for entry in emulator.journal(after=before, kind="request")} == {"GET"}


def test_it_is_the_same_plan_as_long_as_nothing_changes(shell, emulator, backup):
    first, second = (shell(*REPLACE, "--control-numbers", "report", "--json").json for _ in range(2))
    assert first["hash"] == second["hash"]
    emulator.admin("POST", f"/services/{NAME}/content", {})
    assert shell(*REPLACE, "--control-numbers", "report", "--json").json["hash"] != first["hash"]


def test_the_choices_of_the_form(shell, emulator, backup):
    choices = ["--edition", "premium", "--unit-count", "2", "--margin", "7", "--resume-afterwards"]
    told = shell(*REPLACE, "--control-numbers", "exact", *choices, "--json").json
    assert told["target"] == {"service": SERVICE, "edition": "premium", "unit_count": 2}
    assert told["choices"] == {
        "control_numbers": "exact",
        "margin": 7,
        "resume_afterwards": True,
        "replace": True,
        "safety_backup": True,
    }
    elsewhere = shell("plan", SERVICE, "--target-name", "orderstwo", "--target-cloud-service", "other", "--json").json
    assert elsewhere["target"]["service"] == "other/orderstwo"


def test_the_newest_backup_that_is_no_safety_backup_unless_one_is_named(shell, archive):
    taken = [
        archive.published(reference(f"orders-{day}", service=NAME, finished_at=datetime(2026, 1, day, tzinfo=UTC)))
        for day in (1, 2)
    ]
    safety = Run("biztalk_restore", "r1")
    archive.published(reference("orders-3", service=NAME, finished_at=datetime(2026, 1, 3, tzinfo=UTC), run=safety))
    for options, place in (([], taken[1].place), (["--backup", taken[0].place], taken[0].place)):
        assert shell("plan", NAME, *options, "--json").json["backup"]["place"] == place


# --- values ----------------------------------------------------------------------------------------------------------


def test_values_that_are_given_are_checked_where_that_is_possible(shell, emulator, backup, given):
    options = ("--endpoint", emulator.data_url, "--control-numbers", "report", "--edition", "premium", "--json")
    said = shell(*REPLACE, *words(given), *options)
    assert said.code == POSSIBLE
    found = {value["setting"]: value for value in said.json["values"]}
    assert {setting: value["check"] for setting, value in found.items()} == {
        "AccessControlNamespace": "passed",
        "TrackingStoreConnectionString": "not possible",
        "ArchiveStoreConnectionString": "passed",
        "MonitoringStoreConnectionString": "passed",
        "ServiceCertificate": "passed",
    }
    assert found["AccessControlNamespace"]["origin"] == f"file {given['--acs-key-file']}"
    assert found["TrackingStoreConnectionString"]["shown"].startswith("Data Source=")
    assert found["MonitoringStoreConnectionString"]["shown"].startswith(f"AccountName={ACCOUNT};")


@pytest.mark.parametrize(
    ("option", "content", "setting", "told"),
    [
        ("--acs-key-file", "d3Jvbmc=", "AccessControlNamespace", "token"),
        ("--acs-key-file", None, "AccessControlNamespace", "No such file"),
        ("--tracking-connection-file", "Data Source=x;Password=canary", "TrackingStoreConnectionString", "has to name"),
        ("--monitoring-connection-file", "canary-Secret=1", "MonitoringStoreConnectionString", "no storage account"),
        ("--ssl-certificate", "no PFX", "ServiceCertificate", "is no PFX file"),
        ("--ssl-password-file", "another", "ServiceCertificate", "its password is another one"),
        ("--ssl-password-file", "", "ServiceCertificate", "the file is empty"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_work_speaks_against_it(shell, emulator, backup, given, option, content, setting, told):
    if content is None:
        given[option].unlink()
    else:
        given[option].write_text(content)
    said = shell(*REPLACE, *words(given), "--endpoint", emulator.data_url, "--control-numbers", "report", "--json")
    assert said.code == REFUSED
    (value,) = [value for value in said.json["values"] if value["check"] == "failed"]
    assert value["setting"] == setting
    assert told in value["sentence"]


def test_a_certificate_needs_its_password(shell, backup, given):
    certificate = str(given["--ssl-certificate"])
    assert "give --ssl-password-file" in shell(*REPLACE, "--ssl-certificate", certificate).out


def test_the_living_service_is_compared_when_there_is_a_key(shell, emulator, backup, given):
    partner = emulator.admin("GET", f"/services/{NAME}")["content"]["partners"][0]
    emulator.admin("POST", f"/services/{NAME}/content", {"partners": [partner | {"Description": "edited by hand"}]})
    options = (*REPLACE, "--control-numbers", "report", "--endpoint", emulator.data_url)
    keyed = shell(*options, "--acs-key-file", str(given["--acs-key-file"]))
    assert "edited by hand" in keyed.out
    assert "edited by hand" not in shell(*options).out
    assert "give --acs-key-file" in shell(*options).out
    other = shell(*options, "--acs-key-file", str(given["--acs-key-file"]), "--namespace", "other")
    assert "is not that of its ACS namespace" in other.out


# --- answers of the tracking database --------------------------------------------------------------------------------


def test_control_numbers_that_nobody_asked_for_cannot_be_raised(shell, backup):
    said = shell(*REPLACE, "--json")
    assert (said.code, broken(said)) == (REFUSED, {"control-numbers-settled"})
    assert "give the answer with --control-numbers-file" in shell(*REPLACE).out


def test_control_numbers_by_an_answer_in_a_file(shell, emulator, backup, answer):
    agreement = "Northwind X12 send"
    emulator.admin("POST", f"/services/{NAME}/messages", {"agreement": agreement, "messages": 2})
    file = answer(DEFAULT_CONTROL_NUMBER_QUERY, since=since_text(backup.started_at))
    said = shell(*REPLACE, "--control-numbers-file", file, "--json")
    assert said.code == POSSIBLE, said.json["rules"]
    used = {row["kind"]: row["highest"] for row in said.json["control_numbers"] if row["agreement"] == agreement}
    assert used["interchange"] > 0


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "is empty"), (b"\xff\xfe\n", "it is no CSV"), (b"agreement,kind\n", "is missing"), (None, "No such file")],
)
def test_an_answer_that_is_none(shell, backup, tmp_path, content, told):
    file = tmp_path / "answer.csv"
    if content is not None:
        file.write_bytes(content)
    said = shell(*REPLACE, "--control-numbers-file", str(file), "--batches-file", str(file))
    assert said.code == REFUSED
    assert told in said.out


def test_an_answer_from_before_the_backup_does_not_count(shell, backup, answer):
    file = answer(DEFAULT_CONTROL_NUMBER_QUERY, since=since_text(backup.started_at))
    before = (backup.started_at - timedelta(minutes=1)).timestamp()
    os.utime(file, (before, before))
    said = shell(*REPLACE, "--control-numbers-file", file)
    assert said.code == REFUSED
    assert "Ask the tracking database again." in said.out


def test_batches_by_an_answer_in_a_file(shell, emulator, backup, answer):
    file = answer(DEFAULT_DRAIN_QUERY, service=NAME)
    assert f"(file {file})" in shell(*REPLACE, "--batches-file", file).out


# --- what speaks against it ------------------------------------------------------------------------------------------


def test_a_name_that_is_taken(shell, backup):
    said = shell("plan", NAME, "--control-numbers", "report", "--json")
    assert (said.code, broken(said)) == (REFUSED, {"name-free"})


def test_a_backup_that_is_not_whole(shell, archive, blobs):
    backup = archive.backed_up()
    blobs.get_container_client(backup.container).delete_blob(backup.blobs[0].name)
    said = shell(*REPLACE, "--control-numbers", "report")
    assert said.code == REFUSED
    assert said.lines[4] == "### What speaks against it"
    assert f"{backup.blobs[0].name} is missing" in said.lines[6]


def test_another_job_on_the_service(shell, archive, backup):
    archive.claimed()
    said = shell(*REPLACE, "--control-numbers", "report", "--json")
    assert (said.code, broken(said)) == (REFUSED, {"one-job"})


def test_a_claim_whose_time_is_over_is_in_nobodys_way(shell, archive, backup):
    archive.claimed(minutes_left=-1)
    assert shell(*REPLACE, "--control-numbers", "report").code == POSSIBLE


# --- nothing to plan with --------------------------------------------------------------------------------------------


def test_there_is_nothing_to_plan_with(shell, archive, monkeypatch):
    said = shell("plan", NAME)
    assert (said.code, said.out) == (UNABLE, "")
    assert f"has no backup of service {NAME}. Take one first." in said.err
    assert "has no reference to backup nowhere" in shell("plan", NAME, "--backup", "nowhere").err
    archive.published(reference(service=NAME))
    monkeypatch.setenv("BIZTALK_PORT", "1")
    assert "Could not connect to" in shell("plan", NAME).err
    monkeypatch.delenv("BIZTALK_CERTIFICATE")
    assert "There is no management certificate" in shell("plan", NAME).err


@pytest.mark.parametrize("options", [["--margin", "-1"], ["--unit-count", "x"], ["--control-numbers", "lower"]])
def test_a_wrong_call(shell, options):
    said = shell("plan", NAME, *options)
    assert (said.code, said.out) == (UNABLE, "")
    assert f"argument {options[0]}: invalid" in said.err
