"""What the night of a fleet is measured by: the emulator's journal, the checks of the watchdog, and /proc."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from bench.fleet import Variant, lasting, report, slope
from bench.night import Journal, lateness, overhead
from bench.processes import Sampler, cpu_seconds, members, memory
from bench.spans import NAMES, spans, spans_of_night

BEGAN = datetime(2026, 11, 29, 2, 0, 30, tzinfo=UTC)
NIGHT = [(1, "Suspending"), (3, "Suspended"), (7, "BackingUp"), (27, "Suspended"), (28, "Resuming"), (30, "Active")]
NEVER_ENDING = "print(flush=True); import time; time.sleep(600)"


def changes(*states):
    """Changes of state of a service that was Active, each so many seconds after the beginning."""
    before = ["Active", *(state for _, state in states)]
    return [(BEGAN + timedelta(seconds=at), last, state) for (at, state), last in zip(states, before[:-1], strict=True)]


def at(*seconds):
    return [BEGAN + timedelta(seconds=each) for each in seconds]


class TestOverhead:
    def test_is_the_suspension_without_backup_and_resume(self):
        assert overhead(changes(*NIGHT)) == (30 - 3) - (27 - 7) - (30 - 28)

    def test_a_second_suspension_counts_with_all_that_lies_between(self):
        again = [(at + 60, state) for at, state in NIGHT]
        assert overhead(changes(*NIGHT, *again)) == (90 - 3) - 2 * 20 - 2 * 2


def task(task_id, run_id="night__scope.orders-a1b2c3", **moments):
    """An instance as Airflow's API has it; its moments are seconds after the beginning."""
    found = {"task_id": task_id, "dag_run_id": run_id, "scheduled_when": None, "start_date": None, "end_date": None}
    return found | {name: (BEGAN + timedelta(seconds=seconds)).isoformat() for name, seconds in moments.items()}


TASKS = [
    task("wait_until_suspended", start_date=1.5, end_date=4),
    task("back_up", scheduled_when=4.5, start_date=6, end_date=8),
    task("wait_for_backup", start_date=8, end_date=27.25),
    task("resume", scheduled_when=27.5, start_date=27.75, end_date=31),
]


class TestSpans:
    def test_add_up_to_the_overhead(self):
        found = spans(changes(*NIGHT), TASKS)
        assert list(found.values()) == [1, 0.5, 1.5, 1, 0.25, 0.25, 0.25, 0.25]
        assert list(found) == NAMES
        assert sum(found.values()) == overhead(changes(*NIGHT))

    @pytest.mark.parametrize("left_out", range(4))
    def test_of_a_service_of_which_not_all_is_known(self, left_out):
        assert spans(changes(*NIGHT), TASKS[:left_out] + TASKS[left_out + 1 :]) == {}
        unknown = TASKS[left_out] | {"end_date": None, "start_date": None}
        assert spans(changes(*NIGHT), [*TASKS[:left_out], unknown, *TASKS[left_out + 1 :]]) == {}
        assert spans(changes(*NIGHT[:left_out]), TASKS) == {}

    def test_of_a_night_are_those_of_its_own_runs(self):
        before = {"dag_run_id": "alone__scope.orders-ffffff", "start_date": at(-60)[0].isoformat()}
        earlier = [each | before for each in TASKS]
        found = spans_of_night({"orders": changes(*NIGHT), "other": changes(*NIGHT)}, [*TASKS, *earlier], BEGAN)
        assert found == {name: [seconds] for name, seconds in spans(changes(*NIGHT), TASKS).items()}


class TestJournal:
    @pytest.fixture
    def journal(self):
        return Journal(stack=None)

    def test_done_is_backed_up_and_active(self, journal):
        journal.changes["done"] = changes(*NIGHT)
        journal.changes["at work"] = changes(*NIGHT[:-1])
        journal.changes["resumed without a backup"] = changes(*NIGHT[:2], *NIGHT[-2:])
        assert journal.done() == ["done"]
        assert journal.suspended() == ["at work"]


class TestLateness:
    """The span begins at 02:00:30; the first full minute is 30 seconds later."""

    def test_of_each_full_minute(self):
        assert lateness(BEGAN, BEGAN + timedelta(seconds=150), at(31, 92)) == [1, 2]

    def test_a_check_that_was_left_out_makes_its_minute_late(self):
        assert lateness(BEGAN, BEGAN + timedelta(seconds=150), at(31, 140)) == [1, 50]

    def test_without_a_check_it_lasts_until_the_end(self):
        assert lateness(BEGAN, BEGAN + timedelta(seconds=150), []) == [120, 60]


@pytest.fixture
def part():
    """A process in a session of its own with a child in another one; each writes a line when it runs."""
    child = f"subprocess.Popen([sys.executable, '-c', {NEVER_ENDING!r}], start_new_session=True)"
    program = f"import subprocess, sys; child = {child}; {NEVER_ENDING}"
    leader = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)
    leader.stdout.readline(), leader.stdout.readline()
    pids = members({"part": leader.pid})["part"]
    yield leader.pid
    for pid in pids:
        subprocess.run(["kill", "-9", str(pid)], check=False, capture_output=True)
    leader.wait()


class TestProcesses:
    def test_a_child_in_a_session_of_its_own_belongs_to_the_part(self, part):
        assert len(members({"part": part})["part"]) == 2

    def test_each_part_has_its_own(self, part):
        (child,) = set(members({"part": part})["part"]) - {part}
        assert members({"part": part, "child": child}) == {"part": [part], "child": [child]}

    def test_a_child_that_has_ended_has_used_cpu(self):
        burn = "import time\nwhile time.process_time() < 0.6: pass"
        program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); {NEVER_ENDING}"
        leader = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)
        try:
            leader.stdout.readline()
            assert cpu_seconds({"part": leader.pid})["part"] >= 0.5
        finally:
            leader.kill()
            leader.wait()

    def test_memory_of_what_has_ended_is_none(self, part):
        assert memory(part) > 1
        assert memory(2**22 + 1) == 0

    def test_the_first_sample_is_taken_at_once(self, part):
        with Sampler({"part": part}, lambda: 7, 600) as sampler:
            pass
        (sample,) = sampler.samples
        assert sample["done"] == 7
        assert str(part) in sample["parts"]["part"]


class TestMemory:
    SAMPLES = [  # noqa: RUF012
        {"at": 0.0, "done": 100, "parts": {"part": {"1": 50.0, "2": 5.0}}},
        {"at": 9.0, "done": 300, "parts": {"part": {"1": 54.0, "3": 5.0}}},
    ]

    def test_only_lasting_processes_count(self):
        assert lasting(self.SAMPLES) == {"part": {"1": [50.0, 54.0]}}

    def test_growth_in_one_service(self):
        assert slope([100, 300], [50.0, 54.0]) == pytest.approx(0.02)

    def test_no_growth_where_nothing_was_done(self):
        assert slope([100, 100], [50.0, 54.0]) == 0


def night(factor, **given):
    """What the driver returns of a night of two services."""
    return {
        "plan": {"services": 2, "parallel": 1, "backup_seconds": 20.0, "layout": "local"},
        "alone": [2.0 * factor],
        "state": "success",
        "done": 2,
        "suspended": [],
        "night": 100.0 * factor,
        "ideal": 48.0,
        "overheads": [4.0 * factor, 6.0 * factor],
        "requests": {"management": {"poll": 10 * factor}, "data": {"token": 2}, "most_in_ten_seconds": 5},
        "cpu": {"scheduler": 30.0 * factor, "triggerer": 10.0},
        "cpu_beside": 100.0,
        "memory": [{"at": 0.0, "done": 0, "parts": {"scheduler": {"1": 100.0}}}],
        "loops": [0.1, 0.2],
        "watchdog_lateness": [1.0],
    } | given


def rows(text):
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return {name: values for name, *values in cells}


class TestReport:
    def test_the_last_variant_beside_the_first(self):
        found = rows(report({Variant("before", None): [night(2)], Variant("after", None): [night(1)]}))
        assert found["night (s)"] == ["200", "100", "0.50", "0.55"]
        assert found["management requests a service"] == ["10.00", "5.00", "0.50", "0.25"]
        assert found["CPU seconds a service"] == ["35.00", "20.00", "0.57", "0.5"]
        assert found["of them scheduler"] == ["30.00", "15.00", "0.50", ""]

    def test_where_the_overhead_goes_where_that_is_known(self):
        known = night(1, spans={"the step begins": [1.0, 2.0, 3.0], "the step has requested": [4.0]})
        text = report({Variant("before", None): [night(2)], Variant("after", None): [known]})
        assert rows(text)["the step begins"] == ["2.00", "2.90", "3.00"]
        assert rows(text)["the step has requested"] == ["4.00"] * 3
        assert "Where the overhead of before" not in text

    def test_one_worker_beside_two_has_no_aim(self):
        found = rows(report({Variant("after", 1): [night(2)], Variant("after", 2): [night(1)]}))
        assert found["night (s)"] == ["200", "100", "0.50", ""]

    def test_of_several_nights_the_median_and_all_overheads_together(self):
        found = rows(report({Variant("after", None): [night(1), night(2), night(3)]}))
        assert found["night (s)"] == ["200"]
        assert found["suspension overhead, max (s)"] == ["18.00"]

    def test_what_was_left_suspended_is_named(self):
        text = report({Variant("after", 1): [night(1, state="running", done=1, suspended=["contosocopy2"])]})
        assert "after, 1 worker: run 1 running; done 1 of 2; not Active at the end: contosocopy2." in text

    def test_memory_after_the_first_hundred(self):
        samples = [
            {"at": 10.0 * number, "done": 50 * number, "parts": {"scheduler": {"1": 100.0 + number}}}
            for number in range(14)
        ]
        found = rows(report({Variant("after", None): [night(1, memory=samples)]}))
        assert found["scheduler"] == ["1", "104", "111", "+2.0", "113"]
