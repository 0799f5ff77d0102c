"""``python -m biztalk_services inventory``: an existing service of the emulator, recorded and compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from biztalk_services.__main__ import main
from biztalk_services.model.inventory import PARTNER_MANAGEMENT, Inventory

from tests.emulator.driver import SUBSCRIPTION, EmulatorProcess

SERVICE = "contoso-west-us/contosoorders"
WRITTEN, NOT_WRITTEN = 0, 2


@pytest.fixture
def write(emulator: EmulatorProcess, tmp_path: Path):
    """Run the command; further options win."""
    known = json.loads((emulator.home / "sample-credentials.json").read_text())["services"]["contosoorders"]
    (tmp_path / "acs-key").write_text(known["access_control"]["key"] + "\n")
    pki = emulator.home / "pki"

    def write(name: str, **options: str) -> int:
        defaults = {
            "subscription": SUBSCRIPTION,
            "certificate": str(pki / "management.pem"),
            "key": str(pki / "management.key"),
            "host": "127.0.0.1",
            "port": str(emulator.port),
            "ca": str(pki / "ca.pem"),
            "acs-key-file": str(tmp_path / "acs-key"),
            "endpoint": emulator.data_url,
        }
        words = [word for option, value in {**defaults, **options}.items() for word in (f"--{option}", value)]
        return main(["inventory", SERVICE, str(tmp_path / name), *words])

    return write


def test_it_is_written_whole_and_without_a_secret(write, tmp_path, capsys):
    assert write("now.json") == WRITTEN
    written = Inventory.from_bytes((tmp_path / "now.json").read_bytes())
    assert written.service == "contosoorders"
    assert written.parts[PARTNER_MANAGEMENT] is None
    assert {item.kind for item in written.items} >= {
        "partner",
        "agreement",
        "protocol settings",
        "batch",
        "certificate",
    }
    assert f"{len(written.items)} items" in capsys.readouterr().out
    assert (tmp_path / "acs-key").read_text().strip() not in (tmp_path / "now.json").read_text()


def test_an_existing_file_is_not_overwritten(write, tmp_path, capsys):
    (tmp_path / "kept.json").write_text("kept")
    assert write("kept.json") == NOT_WRITTEN
    assert (tmp_path / "kept.json").read_text() == "kept"
    assert "kept.json: File exists." in capsys.readouterr().err


def test_a_change_shows_against_an_earlier_inventory(write, emulator, tmp_path, capsys):
    assert write("before.json") == WRITTEN
    partner = emulator.admin("GET", "/services/contosoorders")["content"]["partners"][1]
    emulator.admin("POST", "/services/contosoorders/content", {"partners": [partner | {"Description": "another"}]})
    assert write("after.json") == WRITTEN
    capsys.readouterr()
    control_numbers = ["--allow", "parts.control numbers"]
    assert main(["diff", str(tmp_path / "before.json"), str(tmp_path / "after.json"), *control_numbers]) == 1
    assert f"partner {partner['Name']}: Description" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("acs-key-file", "", "No such file"),
        ("key", "", "cannot be read"),
        ("port", "1", "Could not connect to"),
        ("subscription", "00000000-0000-0000-0000-000000000000", "AuthenticationFailed"),
        ("namespace", "nosuchacs", "nosuchacs"),
    ],
)
def test_an_error_is_one_sentence_and_nothing_is_written(write, tmp_path, capsys, option, value, sentence):
    path = value or str(tmp_path / "missing")
    assert write("never.json", **{option: path}) == NOT_WRITTEN
    assert not (tmp_path / "never.json").exists()
    assert sentence in capsys.readouterr().err
