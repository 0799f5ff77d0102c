import json
from copy import deepcopy
from datetime import datetime, timedelta

import pytest
from biztalk_emulator.business import traffic
from biztalk_emulator.business.clock import to_text
from biztalk_emulator.business.errors import ControlNumbersExhausted, TrafficRefused

from tests.emulator_business.scenes import (
    NOW,
    as2_agreement,
    count_batch,
    number_range,
    receive_agreement,
    send_agreement,
    service_with,
)


def test_each_message_leaves_as_an_interchange_of_its_own(tracking):
    service = service_with(send_agreement())
    result = traffic.send(service, agreement="orders", messages=3, now=NOW, tracking=tracking)
    assert [each["control_number"] for each in result["interchanges"]] == ["000000001", "000000002", "000000003"]
    assert [each["group_control_numbers"] for each in result["interchanges"]] == [["1"], ["2"], ["3"]]
    assert [each["transaction_set_control_numbers"] for each in result["interchanges"]] == [
        ["0001"],
        ["0002"],
        ["0003"],
    ]
    assert service["content"]["control_numbers"]["generated"] == [
        {"Agreement": "orders", "Kind": kind, "Last": 3} for kind in ("interchange", "group", "transaction_set")
    ]


def test_what_is_tracked_of_an_interchange_is_its_envelope(tracking):
    service = service_with(send_agreement())
    result = traffic.send(service, agreement="orders", size=700, now=NOW, tracking=tracking)
    (row,) = tracking.query("SELECT * FROM interchange_events")
    assert row["text"].startswith("ISA*00*")
    assert "*000000001*0*P*:~GS*PO*" in row["text"]
    assert (row["event"], row["size"], row["messages"]) == ("sent", 700, 1)
    assert row["sha256"] == result["interchanges"][0]["sha256"]


def test_a_batch_of_mixed_documents_has_one_group_for_each_function(tracking):
    service = service_with(send_agreement(Batches=[count_batch(3)]))
    order = {"agreement": "orders", "now": NOW, "tracking": tracking}
    for document_type in ("850", "810", "850"):
        result = traffic.send(service, document_type=document_type, **order)
    interchange = result["releases"][0]["interchange"]
    assert interchange["group_control_numbers"] == ["1", "2"]
    (row,) = tracking.query("SELECT text FROM interchange_events")
    assert [segment[:5] for segment in row["text"].split("~") if segment.startswith("GS")] == ["GS*IN", "GS*PO"]


def test_edifact_takes_group_numbers_only_where_groups_are_used(tracking):
    service = service_with(send_agreement("flat", "EDIFACT"), send_agreement("grouped", "EDIFACT", UseGroups=True))
    for agreement in ("flat", "grouped"):
        traffic.send(service, agreement=agreement, now=NOW, tracking=tracking)
    kinds = {(each["Agreement"], each["Kind"]) for each in service["content"]["control_numbers"]["generated"]}
    assert ("grouped", "group") in kinds
    assert ("flat", "group") not in kinds


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("kind", ["interchange", "group", "transaction_set"])
def test_a_range_that_ends_half_way_sends_nothing_and_consumes_nothing(kind, batched, tracking):
    ranges = {each: number_range() for each in ("interchange", "group", "transaction_set")}
    ranges[kind] = number_range(upper=2)
    batches = [count_batch(1)] if batched else []
    service = service_with(send_agreement(ControlNumbers=ranges, Batches=batches))
    before = deepcopy(service)
    with pytest.raises(ControlNumbersExhausted, match=f"last {kind} control number"):
        traffic.send(service, agreement="orders", messages=3, now=NOW, tracking=tracking)
    assert service == before
    assert tracking.query("SELECT * FROM message_events") == []
    assert (
        len(traffic.send(service, agreement="orders", messages=2, now=NOW, tracking=tracking)["releases"])
        == 2 * batched
    )


def test_when_tracking_cannot_be_written_nothing_was_sent(tracking):
    service = service_with(send_agreement())
    before = deepcopy(service)
    tracking.path.unlink()
    with pytest.raises(Exception, match="unable to open database file"):
        traffic.send(service, agreement="orders", now=NOW, tracking=tracking)
    assert service == before


def test_interchanges_from_the_partner_are_recorded_and_acknowledged(tracking):
    service = service_with(receive_agreement())
    result = traffic.send(service, agreement="responses", messages=2, control_number=41, now=NOW, tracking=tracking)
    assert [each["control_number"] for each in result["interchanges"]] == ["000000041", "000000042"]
    assert result["acknowledgements"] == ["000000001", "000000002"]
    assert service["content"]["control_numbers"] == {
        "generated": [{"Agreement": "responses", "Kind": "acknowledgement", "Last": 2}],
        "received": [
            {
                "Agreement": "responses",
                "Interchange": f"0000000{number}",
                "Group": str(number),
                "TransactionSet": "0001",
                "ReceivedAt": to_text(NOW),
            }
            for number in (41, 42)
        ],
    }
    acknowledgements = tracking.query("SELECT text FROM interchange_events WHERE event = 'sent' ORDER BY position")
    assert ["AK1*PO*41~" in row["text"] for row in acknowledgements] == [True, False]


def test_the_partner_counts_on_from_what_was_tracked_even_after_a_restore(tracking):
    service = service_with(receive_agreement())
    backup = deepcopy(service)
    traffic.send(service, agreement="responses", messages=5, now=NOW, tracking=tracking)
    restored = backup
    later = traffic.send(restored, agreement="responses", now=NOW + timedelta(hours=1), tracking=tracking)
    assert later["interchanges"][0]["control_number"] == "000000006"


def test_the_partner_counts_on_from_the_recorded_numbers_when_the_tracking_database_is_new(tracking, tmp_path):
    service = service_with(receive_agreement(protocol="EDIFACT"))
    traffic.send(service, agreement="responses", messages=5, now=NOW, tracking=tracking)
    fresh = traffic.TrackingDatabase(tmp_path / "fresh.db")
    later = traffic.send(service, agreement="responses", now=NOW, tracking=fresh)
    assert later["interchanges"][0]["control_number"] == "6"


def test_a_duplicate_from_the_partner_is_rejected_and_not_processed(tracking):
    service = service_with(receive_agreement())
    order = {"agreement": "responses", "control_number": 7, "tracking": tracking}
    traffic.send(service, **order, now=NOW)
    again = traffic.send(service, **order, now=NOW + timedelta(days=29))
    assert (again["rejected"], again["interchanges"], again["acknowledgements"]) == (["000000007"], [], [])
    assert len(service["content"]["control_numbers"]["received"]) == 1
    assert [row["event"] for row in tracking.query("SELECT event FROM message_events ORDER BY position")] == [
        "received",
        "rejected",
    ]
    late = traffic.send(service, **order, now=NOW + timedelta(days=31))
    assert late["rejected"] == []


def test_a_duplicate_passes_where_it_is_not_checked(tracking):
    service = service_with(receive_agreement(DuplicateCheckDays=0))
    for _ in range(2):
        result = traffic.send(service, agreement="responses", control_number=7, now=NOW, tracking=tracking)
    assert result["rejected"] == []


def test_as2_sends_have_a_message_id_and_a_mic_that_is_kept(tracking):
    service = service_with(as2_agreement("transport", "Send"))
    result = traffic.send(service, agreement="transport", messages=2, now=NOW, tracking=tracking)
    kept = service["content"]["mic_values"]
    assert [each["MessageId"] for each in kept] == [each["as2_message_id"] for each in result["interchanges"]]
    assert [each["Mic"] for each in kept] == [each["mic"] for each in result["interchanges"]]
    assert len({each["MessageId"] for each in kept}) == 2
    assert kept[0]["MessageId"].startswith("<")
    assert kept[0]["MessageId"].endswith("@scene1.biztalk.windows.net>")
    assert service["content"]["control_numbers"]["generated"] == []


def test_x12_over_as2_has_control_numbers_and_a_mic(tracking):
    over_as2 = {"Transport": {"Kind": "AS2", "Agreement": "transport"}}
    service = service_with(as2_agreement("transport", "Send"), send_agreement(**over_as2))
    (interchange,) = traffic.send(service, agreement="orders", now=NOW, tracking=tracking)["interchanges"]
    assert interchange["control_number"] == "000000001"
    assert service["content"]["mic_values"][0]["Agreement"] == "transport"
    assert service["content"]["mic_values"][0]["Mic"] == interchange["mic"] is not None


def test_as2_messages_from_the_partner_leave_their_mic(tracking):
    service = service_with(as2_agreement("inbox", "Receive"))
    traffic.send(service, agreement="inbox", now=NOW, tracking=tracking)
    assert service["content"]["mic_values"][0]["Direction"] == "Receive"
    assert service["content"]["mic_values"][0]["MessageId"].endswith("@Fabrikam-AS2>")


def test_received_numbers_and_mic_values_are_forgotten_after_thirty_days(tracking):
    service = service_with(receive_agreement(), as2_agreement("inbox", "Receive"))
    for agreement in ("responses", "inbox"):
        traffic.send(service, agreement=agreement, now=NOW, tracking=tracking)
    traffic.send(service, agreement="responses", now=NOW + timedelta(days=30, seconds=1), tracking=tracking)
    assert [each["Interchange"] for each in service["content"]["control_numbers"]["received"]] == ["000000002"]
    assert service["content"]["mic_values"] == []


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({"agreement": "nobody"}, "has no agreement 'nobody'"),
        ({"messages": 0}, "whole number from 1 to"),
        ({"messages": 10_001}, "whole number from 1 to"),
        ({"messages": True}, "whole number from 1 to"),
        ({"messages": "3"}, "whole number from 1 to"),
        ({"size": 0}, "whole number of bytes"),
        ({"document_type": "856"}, "carries 850, 810, not '856'"),
        ({"control_number": 4}, "come from its own range"),
        ({"agreement": "closed"}, "not in force"),
        ({"agreement": "future"}, "not in force"),
        ({"agreement": "stranger"}, "has no identity 'GLN'"),
        ({"agreement": "unmapped"}, "No GS01 mapping"),
        ({"agreement": "lost"}, "no AS2 agreement here"),
        ({"agreement": "inbox", "control_number": 4}, "no control numbers"),
        ({"agreement": "inward", "control_number": 0}, "whole number from 1 to 999999999"),
        ({"agreement": "inward", "control_number": "4"}, "whole number from 1 to 999999999"),
    ],
)
def test_what_cannot_be_sent_is_refused_in_a_sentence_and_changes_nothing(order, reason, tracking):
    party = {"Partner": "Fabrikam", "Profile": "Default", "Identity": "GLN"}
    service = service_with(
        send_agreement(),
        send_agreement("closed", EnabledInternal=False),
        send_agreement("future", StartDateInternal=to_text(NOW + timedelta(seconds=1))),
        send_agreement("stranger", Receiver=party),
        send_agreement("unmapped", DocumentTypes=["940"]),
        send_agreement("lost", Transport={"Kind": "AS2", "Agreement": "nowhere"}),
        as2_agreement("inbox", "Receive"),
        receive_agreement("inward"),
    )
    before = deepcopy(service)
    with pytest.raises(TrafficRefused, match=reason) as refusal:
        traffic.send(service, **({"agreement": "orders"} | order), now=NOW, tracking=tracking)
    assert str(refusal.value).endswith(".")
    assert service == before
    assert tracking.query("SELECT * FROM message_events") == []


def test_a_time_without_zone_is_refused(tracking):
    with pytest.raises(ValueError, match="time zone"):
        traffic.send(service_with(send_agreement()), agreement="orders", now=datetime(2026, 1, 1), tracking=tracking)


def test_traffic_is_deterministic_and_documents_stay_plain_json(tmp_path):
    outcomes = []
    for name in ("one", "two"):
        service = service_with(send_agreement(Batches=[count_batch(2)]), receive_agreement())
        service["runtime"]["history"] = "history"
        tracking = traffic.TrackingDatabase(tmp_path / f"{name}.db")
        results = [
            traffic.send(service, agreement=agreement, messages=3, now=NOW, tracking=tracking)
            for agreement in ("orders", "responses")
        ]
        outcomes.append(json.dumps([service, results]))
    assert outcomes[0] == outcomes[1]
