"""When a night ends, as the command line says it: asked by a process of its own, for which nothing waits."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from biztalk_services.archive.archive import Archive
from biztalk_services.archive.storage import StorageAccount
from biztalk_services.flows.night import begin_night, end_night
from biztalk_services.model.run import Run
from biztalk_services.model.steps import BackupJob

from stack import Ports, estimate
from stack.estimate import Estimate, night_sentences
from stack.parts import ROOT
from tests.archive.azurite import Azurite

RUN = Run("biztalk_nightly_backup", "manual__1", "a1b2c3d4")


@pytest.fixture
def stack():
    return SimpleNamespace(plugins=ROOT / "plugins", servers=SimpleNamespace(ports=Ports.free()))


@pytest.fixture
def answers(monkeypatch):
    """A function that sets what the next process prints."""
    printed = [b""]

    def ask(stack):
        program = f"import sys; sys.stdout.write({printed[0].decode()!r})"
        return subprocess.Popen([sys.executable, "-S", "-c", program], stdout=subprocess.PIPE)

    monkeypatch.setattr(estimate, "_ask", ask)
    return lambda content: printed.__setitem__(0, content)


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(estimate, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def night(run_id: str = "manual__1", forecast: dict | None = None, sentence: str = "Ends about 03:40 UTC.") -> dict:
    return {"run": {"run_id": run_id}, "forecast": forecast, "estimate": sentence, "sentence": f"Under way. {sentence}"}


def printed(*seen: dict) -> bytes:
    return json.dumps({"nights": seen, "problems": []}).encode()


def answered(asking: Estimate) -> str:
    """The sentence after the process that is asked has ended."""
    asking.latest()
    assert asking._asked
    asking._asked.wait(30)
    return asking.latest()


def test_the_sentence_of_this_run(stack, answers, clock):
    with Estimate(stack, "manual__1") as asking:
        answers(printed(night("other", {}), night(forecast={"nights": 6})))
        assert asking.latest() == ""
        assert answered(asking) == "Ends about 03:40 UTC."


def test_it_is_asked_again_after_a_while(stack, answers, clock):
    with Estimate(stack, "manual__1") as asking:
        answers(printed(night(forecast={"nights": 6})))
        answered(asking)
        answers(printed(night(forecast={"nights": 6}, sentence="Ends about 03:50 UTC.")))
        asking.latest()
        assert asking._asked is None
        clock[0] += estimate.EVERY_SECONDS + 1
        assert answered(asking) == "Ends about 03:50 UTC."


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"nights": 1}', printed(), printed(night())])
def test_what_is_no_estimate_is_left_out(stack, answers, clock, content):
    with Estimate(stack, "manual__1") as asking:
        answers(content)
        assert answered(asking) == ""
    assert night_sentences(stack) == ([] if content != printed(night()) else ["Under way. Ends about 03:40 UTC."])


def test_a_process_that_hangs_is_ended(stack, monkeypatch, clock):
    hanging = []

    def ask(stack):
        program = "import time; time.sleep(600)"
        hanging.append(subprocess.Popen([sys.executable, "-S", "-c", program], stdout=subprocess.PIPE))
        return hanging[-1]

    monkeypatch.setattr(estimate, "_ask", ask)
    with Estimate(stack, "manual__1") as asking:
        asking.latest()
        clock[0] += estimate.LONGEST_SECONDS + 1
        assert asking.latest() == ""
        assert hanging[0].wait(30) < 0
        asking.latest()
        clock[0] += estimate.EVERY_SECONDS + 1
        asking.latest()
    assert hanging[1].wait(30) < 0


def test_the_real_command_on_real_storage(tmp_path):
    azurite = Azurite.start(tmp_path)
    try:
        servers = SimpleNamespace(ports=Ports(azurite=azurite.port))
        stack = SimpleNamespace(plugins=ROOT / "plugins", servers=servers)
        with azurite.client() as client:
            archive = Archive(StorageAccount(client), "biztalk-backup-catalog")
            jobs = [BackupJob("biztalk_default", "contoso/orders", "orders-20261129-020000-3f0a11")]
            begin_night(lambda: archive, RUN, jobs, datetime.now(UTC) - timedelta(hours=1), 3)
            (sentence,) = night_sentences(stack)
            assert sentence.startswith(f"Night under way ({RUN})")
            end_night(lambda: archive, RUN, [])
            assert night_sentences(stack)[0].startswith(f"Last night ({RUN}): ended ")
    finally:
        azurite.stop()
