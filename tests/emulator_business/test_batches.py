from copy import deepcopy
from datetime import timedelta

import pytest
from biztalk_emulator.business import batches, traffic
from biztalk_emulator.business.clock import to_text
from biztalk_emulator.business.errors import ControlNumbersExhausted, TrafficRefused
from hypothesis import given
from hypothesis import strategies as st

from tests.emulator_business.scenes import (
    NOW,
    count_batch,
    number_range,
    schedule_batch,
    send_agreement,
    service_with,
    size_batch,
    timeout_batch,
    unhurried,
)


def seconds(count):
    return timedelta(seconds=count)


def waiting(*when):
    return [{"when": to_text(moment), "size": 1} for moment in when]


@pytest.mark.parametrize(
    ("entered", "released"),
    [(-3600, 0), (-1, 0), (0, 900), (1, 900), (899, 900), (900, 1800), (90_000, 90_900)],
)
def test_a_schedule_releases_at_its_first_point_after_the_oldest_message(entered, released):
    batch = schedule_batch(to_text(NOW), 900)
    held = waiting(NOW + seconds(entered + 5), NOW + seconds(entered))
    assert batches.due_at(batch, held) == NOW + seconds(released)


def test_a_schedule_without_recurrence_releases_once():
    batch = schedule_batch(to_text(NOW), 900, recurrence=0)
    assert batches.due_at(batch, waiting(NOW - seconds(1))) == NOW
    assert batches.due_at(batch, waiting(NOW)) is None


@unhurried
@given(entered=st.integers(-10_000, 10_000_000), period=st.integers(1, 100_000))
def test_a_schedule_keeps_a_message_no_longer_than_one_period(entered, period):
    moment = NOW + seconds(entered)
    due = batches.due_at(schedule_batch(to_text(NOW), period), waiting(moment))
    assert due > moment
    assert (due - NOW) % seconds(period) == seconds(0)
    assert due == NOW or due - moment <= seconds(period)


def test_a_timeout_counts_from_the_oldest_message(tracking):
    service = service_with(send_agreement(Batches=[timeout_batch(300)]))
    traffic.send(service, agreement="orders", now=NOW, tracking=tracking)
    traffic.send(service, agreement="orders", now=NOW + seconds(299), tracking=tracking)
    assert traffic.next_release(service) == NOW + seconds(300)
    assert traffic.release_due(service, now=NOW + timedelta(seconds=299, milliseconds=999), tracking=tracking) == []
    (release,) = traffic.release_due(service, now=NOW + seconds(300), tracking=tracking)
    assert (release["reason"], release["messages"]) == ("Timeout", 2)
    assert release["interchange"]["transaction_set_control_numbers"] == ["0001", "0002"]
    assert traffic.next_release(service) is None
    assert service["runtime"]["batch_messages"] == []


@unhurried
@given(count=st.integers(1, 9), sends=st.lists(st.integers(1, 12), max_size=6))
def test_a_count_batch_releases_exactly_that_many_at_once(count, sends, tmp_path_factory):
    tracking = traffic.TrackingDatabase(tmp_path_factory.mktemp("count") / "tracking.db")
    service = service_with(send_agreement(Batches=[count_batch(count)]))
    releases = []
    for index, messages in enumerate(sends):
        at = NOW + seconds(index)
        result = traffic.send(service, agreement="orders", messages=messages, now=at, tracking=tracking)
        assert result["interchanges"] == []
        assert result["batch"] == {"batch": "by count", "messages": len(service["runtime"]["batch_messages"])}
        releases += result["releases"]
    assert [release["messages"] for release in releases] == [count] * (sum(sends) // count)
    assert len(service["runtime"]["batch_messages"]) == sum(sends) % count


def test_a_size_batch_releases_with_the_message_that_reaches_the_size(tracking):
    service = service_with(send_agreement(Batches=[size_batch(1000)]))
    first = traffic.send(service, agreement="orders", messages=2, size=499, now=NOW, tracking=tracking)
    assert first["releases"] == []
    second = traffic.send(service, agreement="orders", size=2, now=NOW, tracking=tracking)
    assert [release["interchange"]["size"] for release in second["releases"]] == [1000]


def test_a_batch_that_became_full_by_an_edit_is_due_at_once(tracking):
    service = service_with(send_agreement(Batches=[count_batch(10)]))
    traffic.send(service, agreement="orders", messages=5, now=NOW, tracking=tracking)
    assert traffic.next_release(service) is None
    service["content"]["agreements"][0]["Batches"][0]["MessageCount"] = 5
    assert traffic.next_release(service) == NOW
    (release,) = traffic.release_due(service, now=NOW + seconds(9), tracking=tracking)
    assert release["messages"] == 5


def test_the_first_batch_whose_filter_holds_takes_the_message_and_others_leave_at_once(tracking):
    chosen = [
        count_batch(5, "big invoices", "DocumentType = '810' AND Size > 100"),
        count_batch(5, "invoices", "DocumentType = '810'"),
    ]
    service = service_with(send_agreement(Batches=chosen))

    def batch_of(document_type, size):
        order = {"agreement": "orders", "document_type": document_type, "size": size}
        result = traffic.send(service, **order, now=NOW, tracking=tracking)
        return result["batch"] and result["batch"]["batch"]

    assert [batch_of("810", 101), batch_of("810", 100), batch_of("850", 101)] == ["big invoices", "invoices", None]


@pytest.mark.parametrize("condition", ["nonsense", "1 = ", "Size > (SELECT MAX(a) FROM t)"])
def test_a_filter_that_is_no_condition_is_refused_and_nothing_changes(condition, tracking):
    service = service_with(send_agreement(Batches=[count_batch(2, condition=condition)]))
    before = deepcopy(service)
    with pytest.raises(TrafficRefused, match="no SQL-92 condition"):
        traffic.send(service, agreement="orders", now=NOW, tracking=tracking)
    assert service == before


def test_an_endless_filter_is_stopped():
    endless = "1 IN (WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n)"
    with pytest.raises(TrafficRefused, match="interrupted"):
        batches.accepts(count_batch(1, condition=endless), Size=1)


def test_a_batch_is_released_by_hand_even_when_its_description_is_gone(tracking):
    service = service_with(send_agreement(Batches=[count_batch(10)]))
    traffic.send(service, agreement="orders", messages=3, now=NOW, tracking=tracking)
    service["content"]["agreements"][0]["Batches"] = []
    release = traffic.release(service, agreement="orders", batch="by count", now=NOW, tracking=tracking)
    assert (release["reason"], release["messages"]) == ("Manual", 3)
    assert tracking.waiting() == []


def test_releasing_an_empty_or_unknown_batch_is_refused(tracking):
    service = service_with(send_agreement(Batches=[count_batch(10)]))
    with pytest.raises(TrafficRefused, match="holds no messages"):
        traffic.release(service, agreement="orders", batch="by count", now=NOW, tracking=tracking)
    with pytest.raises(TrafficRefused, match="has no batch 'other'"):
        traffic.release(service, agreement="orders", batch="other", now=NOW, tracking=tracking)


def test_a_release_that_fails_keeps_its_messages_lets_others_pass_and_is_tried_again_later(tracking):
    used_up = {"interchange": number_range(upper=1), "group": number_range(), "transaction_set": number_range()}
    service = service_with(
        send_agreement("stuck", ControlNumbers=used_up, Batches=[timeout_batch(10)]),
        send_agreement("fine", Batches=[timeout_batch(10)]),
    )
    service["content"]["control_numbers"]["generated"] = [{"Agreement": "stuck", "Kind": "interchange", "Last": 1}]
    for agreement in ("stuck", "fine"):
        traffic.send(service, agreement=agreement, messages=2, now=NOW, tracking=tracking)
    at = NOW + seconds(10)
    failed, done = traffic.release_due(service, now=at, tracking=tracking)
    assert failed["interchange"] is None
    assert "does not roll over" in failed["error"]
    assert done["interchange"]["messages"] == 2
    assert [row["agreement"] for row in tracking.waiting()] == ["stuck"]
    assert traffic.release_due(service, now=at + seconds(59), tracking=tracking) == []
    assert traffic.next_release(service) == at + traffic.RETRY
    with pytest.raises(ControlNumbersExhausted):
        traffic.release(service, agreement="stuck", batch="by timeout", now=at, tracking=tracking)
    service["content"]["agreements"][0]["ControlNumbers"]["interchange"]["UpperBound"] = 9
    (cured,) = traffic.release_due(service, now=at + traffic.RETRY, tracking=tracking)
    assert cured["interchange"]["control_number"] == "000000002"
    assert service["runtime"]["postponed"] == []


def test_a_disabled_agreement_releases_nothing_until_it_is_enabled(tracking):
    service = service_with(send_agreement(Batches=[timeout_batch(10)]))
    traffic.send(service, agreement="orders", now=NOW, tracking=tracking)
    service["content"]["agreements"][0]["EnabledInternal"] = False
    assert traffic.next_release(service) is None
    assert traffic.release_due(service, now=NOW + seconds(99), tracking=tracking) == []
    service["content"]["agreements"][0]["EnabledInternal"] = True
    assert len(traffic.release_due(service, now=NOW + seconds(99), tracking=tracking)) == 1


def test_status_reports_what_waits_since_when_and_until_when(tracking):
    service = service_with(send_agreement(Batches=[timeout_batch(60)]), send_agreement("b", Batches=[count_batch(2)]))
    traffic.send(service, agreement="orders", messages=2, size=10, now=NOW, tracking=tracking)
    busy, idle = batches.status(service)
    assert busy == {
        "AgreementName": "orders",
        "BatchName": "by timeout",
        "Protocol": "X12",
        "ReleaseCriteriaType": "Timeout",
        "Status": "Active",
        "ActiveMessageCount": 2,
        "ActiveSizeInBytes": 20,
        "OldestMessageTime": to_text(NOW),
        "NextReleaseTime": to_text(NOW + seconds(60)),
    }
    assert (idle["Status"], idle["ActiveMessageCount"], idle["NextReleaseTime"]) == ("Defined", 0, None)
