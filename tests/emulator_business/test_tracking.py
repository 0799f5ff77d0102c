import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from copy import deepcopy
from datetime import timedelta
from pathlib import Path

from biztalk_emulator.business import traffic
from biztalk_emulator.business.clock import to_text
from biztalk_emulator.business.content import new_runtime
from biztalk_emulator.business.tracking import DRAIN_QUERY, TrackingDatabase
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.emulator_business.scenes import (
    NOW,
    count_batch,
    number_range,
    receive_agreement,
    schedule_batch,
    send_agreement,
    service_with,
    size_batch,
    timeout_batch,
)

REPOSITORY = Path(__file__).parents[2]


def drained(path):
    """What any client sees: the query over a plain connection, read-only, apart from our own code."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(DRAIN_QUERY).fetchall()


def held(service):
    """The same, from the runtime."""
    batches = {}
    for message in service["runtime"]["batch_messages"]:
        batches.setdefault((message["agreement"], message["batch"]), []).append(message["when"])
    return sorted((*key, len(when), min(when)) for key, when in batches.items())


def batched_service():
    return service_with(send_agreement(Batches=[count_batch(10)]))


def test_the_drain_query_names_each_batch_with_messages(tracking):
    service = service_with(send_agreement(Batches=[count_batch(10)]), send_agreement("b", Batches=[timeout_batch(60)]))
    assert drained(tracking.path) == []
    for index, agreement in enumerate(["b", "orders", "orders"]):
        at = NOW + timedelta(seconds=index)
        traffic.send(service, agreement=agreement, messages=2, now=at, tracking=tracking)
    assert drained(tracking.path) == [
        ("b", "by timeout", 2, to_text(NOW)),
        ("orders", "by count", 4, to_text(NOW + timedelta(seconds=1))),
    ]
    traffic.release(service, agreement="orders", batch="by count", now=NOW + timedelta(minutes=1), tracking=tracking)
    assert tracking.waiting() == [{"agreement": "b", "batch": "by timeout", "messages": 2, "oldest": to_text(NOW)}]


def test_the_drain_query_answers_after_the_emulator_was_killed(tmp_path):
    path = tmp_path / "tracking.db"
    script = (
        "import sys, time\n"
        "from tests.emulator_business.test_tracking import *\n"
        "tracking = TrackingDatabase(sys.argv[1])\n"
        "traffic.send(batched_service(), agreement='orders', messages=3, now=NOW, tracking=tracking)\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('BEGIN IMMEDIATE')\n"
        "connection.execute('DELETE FROM batch_events')\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    search = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "emulator")])
    command = [sys.executable, "-c", script, str(path)]
    environment = os.environ | {"PYTHONPATH": search}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGKILL)
    assert drained(path) == [("orders", "by count", 3, to_text(NOW))]


def test_doing_a_step_again_after_a_crash_doubles_nothing(tracking):
    service = batched_service()
    stored = deepcopy(service)
    traffic.send(service, agreement="orders", messages=13, now=NOW, tracking=tracking)
    tables = ("message_events", "interchange_events", "control_number_events", "batch_events")
    before = [tracking.query(f"SELECT * FROM {table} ORDER BY event_id") for table in tables]
    traffic.send(stored, agreement="orders", messages=13, now=NOW, tracking=tracking)
    assert [tracking.query(f"SELECT * FROM {table} ORDER BY event_id") for table in tables] == before
    assert stored == service


def test_another_step_after_a_crash_replaces_the_one_that_was_taken_back(tracking):
    service = batched_service()
    traffic.send(service, agreement="orders", messages=2, now=NOW, tracking=tracking)
    stored = deepcopy(service)
    traffic.send(service, agreement="orders", messages=9, now=NOW, tracking=tracking)
    later = NOW + timedelta(seconds=5)
    traffic.send(stored, agreement="orders", messages=1, now=later, tracking=tracking)
    assert drained(tracking.path) == held(stored) == [("orders", "by count", 3, to_text(NOW))]
    assert tracking.query("SELECT * FROM interchange_events") == []


def test_reconcile_takes_back_what_the_stored_document_does_not_have(tracking):
    service = batched_service()
    traffic.send(service, agreement="orders", messages=4, now=NOW, tracking=tracking)
    stored = deepcopy(service)
    traffic.release(service, agreement="orders", batch="by count", now=NOW, tracking=tracking)
    assert drained(tracking.path) == []
    assert tracking.reconcile(stored["runtime"], now=NOW) == 0
    assert drained(tracking.path) == [("orders", "by count", 4, to_text(NOW))]
    assert tracking.control_numbers_since(NOW) == []


def test_reconcile_marks_messages_lost_that_waited_before_a_restore(tracking):
    service = batched_service()
    traffic.send(service, agreement="orders", messages=4, now=NOW, tracking=tracking)
    assert tracking.reconcile(new_runtime(), now=NOW + timedelta(hours=1)) == 4
    assert drained(tracking.path) == []
    assert len(tracking.query("SELECT * FROM batch_events WHERE event = 'lost'")) == 4
    assert tracking.reconcile(new_runtime(), now=NOW + timedelta(hours=2)) == 0


def test_a_restored_service_tracks_its_repeated_control_numbers_as_new_events(tracking):
    service = service_with(send_agreement())
    backup = deepcopy(service)
    traffic.send(service, agreement="orders", messages=2, now=NOW, tracking=tracking)
    backup["runtime"] = new_runtime()
    traffic.send(backup, agreement="orders", now=NOW + timedelta(hours=1), tracking=tracking)
    numbers = tracking.query("SELECT text FROM control_number_events WHERE kind = 'interchange' ORDER BY occurred_at")
    assert [row["text"] for row in numbers] == ["000000001", "000000002", "000000001"]


def test_numbers_given_out_twice_over_all_histories_are_returned(tracking):
    service = service_with(send_agreement(), receive_agreement())
    backup = deepcopy(service)
    traffic.send(service, agreement="orders", messages=2, now=NOW, tracking=tracking)
    traffic.send(service, agreement="responses", now=NOW, tracking=tracking)
    assert tracking.duplicates() == []
    later = NOW + timedelta(hours=1)
    backup["runtime"] = new_runtime()
    traffic.send(backup, agreement="orders", now=later, tracking=tracking)
    rows = tracking.duplicates()
    assert [(row["agreement"], row["kind"], row["number"], row["times"]) for row in rows] == [
        ("orders", "group", "1", 2),
        ("orders", "interchange", "000000001", 2),
        ("orders", "transaction_set", "0001", 2),
    ]
    assert {(row["first_at"], row["last_at"]) for row in rows} == {(to_text(NOW), to_text(later))}


def test_reconcile_fills_a_tracking_database_made_anew(tracking, tmp_path):
    service = batched_service()
    traffic.send(service, agreement="orders", messages=4, now=NOW, tracking=tracking)
    fresh = TrackingDatabase(tmp_path / "fresh.db")
    assert fresh.reconcile(service["runtime"], now=NOW) == 0
    assert drained(fresh.path) == held(service)
    traffic.release(service, agreement="orders", batch="by count", now=NOW, tracking=fresh)
    assert drained(fresh.path) == []


def test_the_control_numbers_since_a_time_are_returned_with_highest_and_latest(tracking):
    rolling = {
        "interchange": number_range(lower=1, upper=4, rollover=True),
        "group": number_range(),
        "transaction_set": number_range(),
    }
    service = service_with(send_agreement(ControlNumbers=rolling), receive_agreement())
    for minute, messages in enumerate([3, 3]):
        at = NOW + timedelta(minutes=minute)
        traffic.send(service, agreement="orders", messages=messages, now=at, tracking=tracking)
        traffic.send(service, agreement="responses", control_number=900 + minute, now=at, tracking=tracking)
    later = to_text(NOW + timedelta(minutes=1))
    rows = tracking.control_numbers_since(NOW + timedelta(seconds=1))
    assert [tuple(row.values()) for row in rows] == [
        ("orders", "group", 6, 6, 3, later),
        ("orders", "interchange", 4, 2, 3, later),
        ("orders", "transaction_set", 6, 6, 3, later),
        ("responses", "acknowledgement", 2, 2, 1, later),
    ]
    assert tracking.control_numbers_since(NOW + timedelta(minutes=2)) == []


class RandomTraffic(RuleBasedStateMachine):
    """Any history of traffic, crashes and restarts: the queries agree with the document, no number is used twice."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.tracking = TrackingDatabase(Path(self.folder.name) / "tracking.db")
        self.now = NOW
        chosen = [
            send_agreement("count", Batches=[count_batch(4)]),
            send_agreement("size", "EDIFACT", Batches=[size_batch(5000)]),
            send_agreement("timeout", Batches=[timeout_batch(50)]),
            send_agreement("schedule", "EDIFACT", UseGroups=True, Batches=[schedule_batch(to_text(NOW), 60)]),
            send_agreement("plain"),
            receive_agreement("inward"),
        ]
        self.service = service_with(*chosen)

    agreements = st.sampled_from(["count", "size", "timeout", "schedule", "plain", "inward"])

    @rule(agreement=agreements, messages=st.integers(1, 7), size=st.integers(1, 2000), crash=st.booleans())
    def send(self, agreement, messages, size, crash):
        self._step(
            lambda service: traffic.send(
                service, agreement=agreement, messages=messages, size=size, now=self.now, tracking=self.tracking
            ),
            crash,
        )

    @rule(seconds=st.integers(0, 80), crash=st.booleans())
    def time_passes(self, seconds, crash):
        self.now += timedelta(seconds=seconds)
        due = traffic.next_release(self.service)
        released = self._step(lambda service: traffic.release_due(service, now=self.now, tracking=self.tracking), crash)
        assert bool(released) == (due is not None and due <= self.now)

    @rule(agreement=st.sampled_from(["count", "size"]), crash=st.booleans())
    def release_by_hand(self, agreement, crash):
        waiting = [each for each in self.service["runtime"]["batch_messages"] if each["agreement"] == agreement]
        if waiting:
            order = {"agreement": agreement, "batch": waiting[0]["batch"]}
            self._step(lambda service: traffic.release(service, **order, now=self.now, tracking=self.tracking), crash)

    def _step(self, work, crash):
        stored = deepcopy(self.service)
        result = work(self.service)
        if crash:
            self.service = stored
            self.tracking.reconcile(stored["runtime"], now=self.now)
        return result

    @invariant()
    def the_drain_query_agrees_with_the_runtime(self):
        assert drained(self.tracking.path) == held(self.service)

    @invariant()
    def control_numbers_rise_by_one_and_end_where_the_document_does(self):
        used = {}
        for row in self.tracking.query(
            "SELECT * FROM control_number_events WHERE direction = 'generated' ORDER BY position, event_id"
        ):
            used.setdefault((row["agreement"], row["kind"]), []).append(row["number"])
        assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in used.values())
        generated = self.service["content"]["control_numbers"]["generated"]
        assert {(each["Agreement"], each["Kind"]): each["Last"] for each in generated} == {
            key: numbers[-1] for key, numbers in used.items()
        }

    def teardown(self):
        self.folder.cleanup()


TestRandomTraffic = RandomTraffic.TestCase
TestRandomTraffic.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
