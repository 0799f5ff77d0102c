"""``python -m biztalk_services diff``: in this process, and as people run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from biztalk_services.__main__ import main
from biztalk_services.model.inventory import Item

from tests.archive.samples import reference
from tests.biztalk.inventories import inventory
from tests.conftest import ROOT

SAME, DIFFERENT, UNREADABLE = 0, 1, 2


@pytest.fixture
def write(tmp_path: Path):
    def write(name: str, **changes: Any) -> str:
        file = tmp_path / name
        file.write_bytes(inventory(**changes).to_bytes())
        return str(file)

    return write


def test_the_same(write, capsys):
    assert main(["diff", write("a"), write("b")]) == SAME
    assert capsys.readouterr() == ("Nothing differs.\n", "")


def test_a_table(write, capsys):
    before, after = ((Item("agreement", "Fabrikam", {"Retries": retries}),) for retries in (1, 2))
    files = write("a", items=before), write("b", edition="standard", items=after)
    arguments = ["diff", *files, "--allow", "settings"]
    assert main(arguments) == DIFFERENT
    assert capsys.readouterr().out.splitlines() == [
        "what                         change             before     after",
        "setting Edition              changed (allowed)  'premium'  'standard'",
        "agreement Fabrikam: Retries  changed            1          2",
    ]
    assert main([*arguments, "--allow", "agreement[Fabrikam]"]) == SAME


def test_json(write, capsys):
    arguments = ["diff", write("a"), write("b", edition="standard"), "--json"]
    assert main(arguments) == DIFFERENT
    answer = json.loads(capsys.readouterr().out)
    assert answer["same"] is False
    assert [each["path"] for each in answer["differences"]] == ["settings.Edition"]
    assert main([*arguments, "--allow", "settings.Edition"]) == SAME
    answer = json.loads(capsys.readouterr().out)
    assert (answer["same"], answer["differences"][0]["allowed"]) == (True, True)


def test_a_part_that_cannot_be_compared_is_a_difference(write, capsys):
    unread = inventory().parts | {"control numbers": "The database is down."}
    assert main(["diff", write("a"), write("b", parts=unread)]) == DIFFERENT
    assert "control numbers  not comparable  -       'The database is down.'" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"schema_version": 99}'])
def test_a_file_that_cannot_be_read(write, tmp_path, capsys, content):
    other = tmp_path / "other"
    if content is not None:
        other.write_bytes(content)
    for files in ((write("a"), str(other)), (str(other), write("a"))):
        assert main(["diff", *files]) == UNREADABLE
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(str(other))
    assert main(["diff", str(tmp_path), write("a")]) == UNREADABLE


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["diff", "a"]])
def test_a_wrong_call(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == UNREADABLE
    assert "usage: python -m biztalk_services" in capsys.readouterr().err


def test_a_closed_pipe_causes_no_traceback(write):
    words = ["diff", write("a"), write("b", edition="standard")]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "biztalk_services", *words],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT / "plugins")},
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_each_side_may_be_a_backup_in_the_catalog(shell, archive, write):
    before, after = (archive.published(reference(name)) for name in ("orders-1", "orders-2"))
    archive.catalog.record_inventory(before.container, inventory())
    archive.catalog.record_inventory(after.container, inventory(edition="standard"))
    file = write("now")
    assert shell("diff", before.container, after.container).code == DIFFERENT
    assert shell("diff", before.container, file).code == SAME
    result = shell("diff", file, after.container, "--json")
    assert [each["path"] for each in result.json["differences"]] == ["settings.Edition"]


def test_a_file_comes_before_a_backup_of_its_name(shell, archive, write, tmp_path, monkeypatch):
    archive.catalog.record_inventory(archive.published(reference("orders-1")).container, inventory(edition="standard"))
    monkeypatch.chdir(tmp_path)
    write("orders-1")
    assert shell("diff", "orders-1", write("b")).code == SAME


def test_a_backup_without_inventory_and_an_unknown_one(shell, archive, write):
    archive.published(reference("orders-1"))
    for name, sentence in (
        ("orders-1", "has no inventory of backup orders-1 of service orders"),
        ("orders-2", "has no reference to backup"),
    ):
        result = shell("diff", name, write("a"))
        assert (result.code, result.out) == (UNREADABLE, "")
        assert sentence in result.err


def test_without_the_storage_account_the_error_names_it(bare_shell, write):
    result = bare_shell("diff", "orders-1", write("a"))
    assert (result.code, result.out) == (UNREADABLE, "")
    assert "there is no such file. To search for a backup of this name, the storage account is needed" in result.err


def test_it_needs_no_airflow_and_prints_anything(write):
    odd = (Item("partner", "Übermorgen \ud800 \x1b[31m", {"Note": "\ud800"}),)
    program = (
        "import sys; from biztalk_services.__main__ import main; code = main(sys.argv[1:]); "
        "print(sorted(name for name in sys.modules if name.partition('.')[0] in ('airflow', 'azure'))); sys.exit(code)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "plugins")}
    files = write("a"), write("b", items=odd)
    done = subprocess.run(
        [sys.executable, "-c", program, "diff", *files], capture_output=True, env=environment, timeout=60, check=False
    )
    assert done.returncode == DIFFERENT, done.stderr
    assert done.stdout.decode().splitlines()[-1] == "[]"
    assert "Übermorgen \\ud800" in done.stdout.decode()
    assert b"\x1b" not in done.stdout
    module = subprocess.run(
        [sys.executable, "-m", "biztalk_services", "diff", *files],
        capture_output=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert (module.returncode, module.stdout) == (DIFFERENT, done.stdout.rpartition(b"[]")[0])
