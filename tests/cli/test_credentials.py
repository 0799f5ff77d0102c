"""What the commands print when credentials are missing, wrong or lead nowhere; and that none of it needs Airflow."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.archive.azurite import ACCOUNT, KEY, free_port
from tests.cli.shell import SERVICE, connection_string, management_environment, storage_environment
from tests.conftest import ROOT

UNABLE = 2
WITH_SUBSCRIPTION = [["status"], ["resume", SERVICE], ["resume", "--overdue"]]
WITH_STORAGE = [
    ["list"],
    ["show", "x"],
    ["verify", "x"],
    ["plan", "x"],
    ["diff", "no-file", "no-file"],
    ["resume", "--overdue"],
]
WRONG_KEY = "d3Jvbmc="


def refused(shell, words: list[str]) -> str:
    result = shell(*words)
    assert (result.code, result.out) == (UNABLE, "")
    assert len(result.err.splitlines()) == 1
    return result.err


# --- the subscription ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", WITH_SUBSCRIPTION)
@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("BIZTALK_SUBSCRIPTION", None, "give --subscription, or set BIZTALK_SUBSCRIPTION."),
        ("BIZTALK_SUBSCRIPTION", "", "give --subscription, or set BIZTALK_SUBSCRIPTION."),
        ("BIZTALK_SUBSCRIPTION", "../x", "is not a subscription id"),
        ("BIZTALK_CERTIFICATE", None, "give --certificate, or set BIZTALK_CERTIFICATE."),
        ("BIZTALK_CERTIFICATE", "/not/there", "cannot be read from /not/there"),
        ("BIZTALK_KEY", "/not/there", "cannot be read from /not/there"),
        ("BIZTALK_SUBSCRIPTION", "00000000-0000-0000-0000-000000000000", "AuthenticationFailed"),
        ("BIZTALK_PORT", "1", "Could not connect to https://127.0.0.1:1"),
        ("BIZTALK_CA_BUNDLE", None, "is not signed by a CA that is trusted here"),
        ("BIZTALK_CA_BUNDLE", "/not/there", "The CA bundle /not/there (--ca-bundle) cannot be read"),
        ("BIZTALK_CA_BUNDLE", __file__, "cannot be read as PEM certificates"),
    ],
)
def test_a_subscription_that_cannot_be_read(shell, monkeypatch, words, variable, value, sentence):
    if value is None:
        monkeypatch.delenv(variable)
    else:
        monkeypatch.setenv(variable, value)
    assert sentence in refused(shell, words)


def test_an_option_wins_over_the_environment(shell, tmp_path):
    assert "cannot be read from /not/there" in refused(shell, ["status", "--certificate", "/not/there"])


def test_an_invalid_port(shell, monkeypatch):
    monkeypatch.setenv("BIZTALK_PORT", "https")
    result = shell("status")
    assert (result.code, result.out) == (UNABLE, "")
    assert "argument --port: invalid int value: 'https'" in result.err


# --- the storage account ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", WITH_STORAGE)
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "set AZURE_STORAGE_CONNECTION_STRING, or give --storage-connection-file"),
        (f"AccountKey={WRONG_KEY}", "leads to no storage account"),
        ("canary-secret", "leads to no storage account"),
        (f"AccountName={ACCOUNT};AccountKey={WRONG_KEY};BlobEndpoint=canary:canary", ""),
    ],
)
def test_an_invalid_connection_string(shell, monkeypatch, words, text, sentence):
    if text is None:
        monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    else:
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text)
    error = refused(shell, words)
    assert sentence in error or (text is None and "the storage account is needed" in error)
    assert WRONG_KEY not in error
    assert "canary-secret" not in error


@pytest.mark.parametrize("words", WITH_STORAGE)
def test_a_wrong_key(shell, monkeypatch, azurite, words):
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection_string(azurite.port, WRONG_KEY))
    error = refused(shell, words)
    assert "Check the account key" in error
    assert WRONG_KEY not in error


@pytest.mark.parametrize("words", WITH_STORAGE)
def test_a_key_that_is_not_base64(shell, monkeypatch, azurite, words):
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection_string(azurite.port, "canary-secret"))
    assert "canary-secret" not in refused(shell, words)


@pytest.mark.parametrize("words", WITH_STORAGE)
def test_an_account_that_does_not_exist(shell, monkeypatch, words):
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection_string(free_port()))
    assert "Check the account's name and address and the network" in refused(shell, words)


@pytest.mark.parametrize("form", ['"{}"', "'{}'", " {} ;\n", '{};EndpointSuffix="x"'])
def test_quotes_and_blanks_around_a_connection_string(shell, monkeypatch, azurite, form):
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", form.format(connection_string(azurite.port)))
    assert shell("list").code == 0


def test_an_unknown_protocol_version(shell, monkeypatch):
    monkeypatch.setenv("BIZTALK_STORAGE_API_VERSION", "1999-01-01")
    assert "1999-01-01" in refused(shell, ["list"])


def test_a_connection_string_in_a_file(shell, monkeypatch, azurite, tmp_path):
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    file = tmp_path / "storage"
    file.write_text(connection_string(azurite.port) + "\n")
    assert shell("list", "--storage-connection-file", str(file)).code == 0
    for content in (b"", b"\xff\xfe"):
        file.write_bytes(content)
        assert f"cannot be read from {file}: " in refused(shell, ["list", "--storage-connection-file", str(file)])
    file.unlink()
    assert "No such file" in refused(shell, ["list", "--storage-connection-file", str(file)])


# --- as people run it ------------------------------------------------------------------------------------------------


def test_none_of_it_needs_airflow(archive, emulator, azurite):
    """Each command as far as it goes without a backup, in a Python that has no Airflow."""
    commands = {
        "status": 0,
        "resume --overdue": 0,
        f"resume {SERVICE}": 0,
        "list": 0,
        "show x": UNABLE,
        "verify x": UNABLE,
        "plan x": UNABLE,
        "diff no-file no-file": UNABLE,
        f"inventory {SERVICE} file": UNABLE,
    }
    program = (
        "import sys; sys.modules['airflow'] = None; from biztalk_services.__main__ import main; "
        "import biztalk_services.drivers.biztalk.shell; print([main(words.split()) for words in sys.argv[1:]])"
    )
    environment = os.environ | management_environment(emulator) | storage_environment(azurite, archive.container)
    done = subprocess.run(
        [sys.executable, "-c", program, *commands],
        capture_output=True,
        text=True,
        env=environment | {"PYTHONPATH": str(ROOT / "plugins")},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(list(commands.values()))
    assert KEY[:20] not in done.stdout + done.stderr
