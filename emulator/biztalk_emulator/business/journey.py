"""One step of traffic: works on copies, collects the tracking events, and puts everything in place at its commit."""

from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from . import as2, control_numbers, directory, edifact, x12
from .batches import waiting_in
from .clock import to_text
from .content import Agreement, BatchMessage, Kind
from .control_numbers import HIGHEST, ControlNumber
from .envelope import Group, Interchange, TransactionSet
from .event_log import EventLog, sha256
from .tracking import TrackingDatabase

RETENTION = timedelta(days=30)
"""How long received control numbers and MIC values are kept: while duplicates are checked and receipts may come."""

_RENDERER = {"X12": x12, "EDIFACT": edifact}
_DATA_PLANE = "biztalk.windows.net"


class Journey:
    """A step of one service at one instant.

    :param service: the document; changed by :meth:`commit` only.
    :param now: the instant of everything that happens in this step, aware.
    """

    def __init__(self, service: dict[str, Any], now: datetime) -> None:
        self._service = service
        self._now, self._moment = now, to_text(now)
        self._content = service["content"]
        numbers = self._content["control_numbers"]
        self._numbers = {"generated": [dict(each) for each in numbers["generated"]], "received": [*numbers["received"]]}
        self._mic_values = list(self._content["mic_values"])
        self.runtime = {**service["runtime"], "batch_messages": [*service["runtime"]["batch_messages"]]}
        self._start = self.runtime["position"]
        self._log = EventLog(self.runtime, self._moment)

    def commit(self, tracking: TrackingDatabase) -> None:
        """Write the tracking events, then change the document."""
        tracking.record(self._log.events, history=self.runtime["history"], after=self._start)
        oldest = to_text(self._now - RETENTION)
        received = [each for each in self._numbers["received"] if each["ReceivedAt"] >= oldest]
        self._content["control_numbers"] = {**self._numbers, "received": received}
        self._content["mic_values"] = [each for each in self._mic_values if each["CreatedAt"] >= oldest]
        self._service["runtime"] = self.runtime

    def new_message(self, agreement: Agreement, document_type: str, size: int) -> BatchMessage:
        """A message that arrives now, bound to no batch yet."""
        return {
            "id": self._next_id(),
            "agreement": agreement["Name"],
            "batch": "",
            "document_type": document_type,
            "size": size,
            "when": self._moment,
        }

    def enter(self, batch: str, message: BatchMessage) -> None:
        """Let a message wait in a batch."""
        message = {**message, "batch": batch}
        self.runtime["batch_messages"].append(message)
        self._log.entered(message)
        self._log.message(message, "batched", None)

    def release(self, agreement: Agreement, batch: str, reason: str) -> dict[str, Any]:
        """Send all that waits in a batch as one interchange; what is returned see :func:`.traffic.release`."""
        waiting = waiting_in(self.runtime, agreement["Name"], batch)
        interchange = self.send(agreement, waiting)
        self.runtime["postponed"] = [
            each
            for each in self.runtime["postponed"]
            if (each["agreement"], each["batch"]) != (agreement["Name"], batch)
        ]
        gone = {message["id"] for message in waiting}
        self.runtime["batch_messages"] = [each for each in self.runtime["batch_messages"] if each["id"] not in gone]
        for message in waiting:
            self._log.released(message, reason)
        return {
            "agreement": agreement["Name"],
            "batch": batch,
            "reason": reason,
            "messages": len(waiting),
            "interchange": interchange,
        }

    def send(self, agreement: Agreement, messages: list[BatchMessage]) -> dict[str, Any]:
        """Send messages as one interchange, taking control numbers; AS2 alone has none."""
        interchange_id = self._next_id()
        if agreement["Protocol"] == "AS2":
            return self._note_interchange(
                agreement, "sent", interchange_id, messages, None, self._plain_payload(messages)
            )
        interchange = self._numbered_interchange(agreement, messages, interchange_id)
        text = _RENDERER[agreement["Protocol"]].render(interchange, self._now)
        return self._note_interchange(agreement, "sent", interchange_id, messages, interchange, text)

    def next_received(self, agreement: Agreement, tracked: int | None) -> int:
        """The interchange control number with which the partner goes on: after the last one tracked, else recorded.

        Tracking comes first because a partner does not go back when the service is restored.
        """
        if tracked is None:
            mine = [each for each in self._numbers["received"] if each["Agreement"] == agreement["Name"]]
            tracked = int(mine[-1]["Interchange"]) if mine else 0
        return tracked % HIGHEST + 1

    def receive(self, agreement: Agreement, message: BatchMessage, number: int) -> dict[str, Any]:
        """Take one message from the partner in an interchange with this control number.

        :return: ``interchange``, ``rejected`` (a duplicate), ``acknowledgement`` (control number or ``None``).
        """
        interchange_id = self._next_id()
        if agreement["Protocol"] == "AS2":
            noted = self._note_interchange(
                agreement, "received", interchange_id, [message], None, self._plain_payload([message])
            )
            return {"interchange": noted, "rejected": False, "acknowledgement": None}
        number = (number - 1) % HIGHEST + 1
        interchange = self._partner_interchange(agreement, message, number)
        rejected = self._is_duplicate(agreement, interchange.control_number)
        text = _RENDERER[agreement["Protocol"]].render(interchange, self._now)
        event = "rejected" if rejected else "received"
        noted = self._note_interchange(agreement, event, interchange_id, [message], interchange, text)
        if rejected:
            return {"interchange": noted, "rejected": True, "acknowledgement": None}
        self._note_received(agreement, interchange, number, interchange_id)
        acknowledgement = (
            self._acknowledge(agreement, interchange) if agreement.get("AcknowledgementRequired") else None
        )
        return {"interchange": noted, "rejected": False, "acknowledgement": acknowledgement}

    def _next_id(self) -> str:
        self.runtime["position"] += 1
        return f"{self.runtime['history']}-{self.runtime['position']:08d}"

    def _draw(self, agreement: Agreement, kind: Kind, interchange_id: str) -> str:
        number = control_numbers.draw(self._numbers["generated"], agreement, kind)
        self._log.control_number(agreement["Name"], kind, "generated", number, interchange_id)
        return number.text

    def _numbered_interchange(
        self, agreement: Agreement, messages: list[BatchMessage], interchange_id: str
    ) -> Interchange:
        control_number = self._draw(agreement, "interchange", interchange_id)
        groups = []

        def function(message: BatchMessage) -> str:
            return directory.functional_id(self._content, agreement, message["document_type"])

        for functional_id, members in groupby(sorted(messages, key=function), key=function):
            with_group = agreement["Protocol"] == "X12" or agreement.get("UseGroups", False)
            number = self._draw(agreement, "group", interchange_id) if with_group else ""
            sets = tuple(
                TransactionSet(
                    each["document_type"], self._draw(agreement, "transaction_set", interchange_id), each["id"]
                )
                for each in members
            )
            groups.append(Group(functional_id, number, sets))
        return self._interchange(agreement, control_number, tuple(groups))

    def _partner_interchange(self, agreement: Agreement, message: BatchMessage, number: int) -> Interchange:
        x12_style = agreement["Protocol"] == "X12"
        group = str(number) if x12_style or agreement.get("UseGroups", False) else ""
        only = TransactionSet(message["document_type"], "0001" if x12_style else "1", message["id"])
        functional_id = directory.functional_id(self._content, agreement, message["document_type"])
        control_number = f"{number:09d}" if x12_style else str(number)
        return self._interchange(agreement, control_number, (Group(functional_id, group, (only,)),))

    def _interchange(self, agreement: Agreement, control_number: str, groups: tuple[Group, ...]) -> Interchange:
        sender, receiver = (directory.identity_of(self._content, agreement[end]) for end in ("Sender", "Receiver"))
        return Interchange(sender, receiver, control_number, agreement["Version"], groups)

    def _plain_payload(self, messages: list[BatchMessage]) -> str:
        documents = "".join(
            f'<Document id="{each["id"]}" type="{each["document_type"]}" created="{each["when"]}"/>'
            for each in messages
        )
        return f'<?xml version="1.0" encoding="utf-8"?><Documents>{documents}</Documents>'

    def _is_duplicate(self, agreement: Agreement, control_number: str) -> bool:
        since = to_text(self._now - timedelta(days=agreement.get("DuplicateCheckDays", 0)))
        return agreement.get("DuplicateCheckDays", 0) > 0 and any(
            (each["Agreement"], each["Interchange"]) == (agreement["Name"], control_number)
            and each["ReceivedAt"] >= since
            for each in self._numbers["received"]
        )

    def _note_received(self, agreement: Agreement, interchange: Interchange, number: int, interchange_id: str) -> None:
        (group,) = interchange.groups
        (only,) = group.transaction_sets
        self._numbers["received"].append(
            {
                "Agreement": agreement["Name"],
                "Interchange": interchange.control_number,
                "Group": group.control_number,
                "TransactionSet": only.control_number,
                "ReceivedAt": self._moment,
            }
        )
        received = [("interchange", number, interchange.control_number), ("transaction_set", 1, only.control_number)]
        if group.control_number:
            received.append(("group", number, group.control_number))
        for kind, value, text in received:
            self._log.control_number(agreement["Name"], kind, "received", ControlNumber(value, text), interchange_id)

    def _acknowledge(self, agreement: Agreement, interchange: Interchange) -> str:
        interchange_id = self._next_id()
        control_number = self._draw(agreement, "acknowledgement", interchange_id)
        text = _RENDERER[agreement["Protocol"]].acknowledge(interchange, control_number, self._now)
        details = {"control_number": control_number, "messages": 1, "size": len(text)}
        self._log.interchange(agreement["Name"], "sent", interchange_id, text, **details)
        return control_number

    def _note_interchange(
        self,
        agreement: Agreement,
        event: str,
        interchange_id: str,
        messages: list[BatchMessage],
        interchange: Interchange | None,
        text: str,
    ) -> dict[str, Any]:
        control_number = interchange.control_number if interchange else ""
        size = sum(message["size"] for message in messages)
        message_id, mic = (
            self._as2_identifiers(agreement, interchange_id, text) if event != "rejected" else (None, None)
        )
        self._log.interchange(
            agreement["Name"],
            event,
            interchange_id,
            text,
            control_number=control_number,
            messages=len(messages),
            size=size,
            as2_message_id=message_id,
            mic=mic,
        )
        for message in messages:
            self._log.message(message, event, interchange_id)
        groups = interchange.groups if interchange else ()
        return {
            "interchange_id": interchange_id,
            "control_number": control_number,
            "group_control_numbers": [group.control_number for group in groups if group.control_number],
            "transaction_set_control_numbers": [
                each.control_number for group in groups for each in group.transaction_sets
            ],
            "messages": len(messages),
            "size": size,
            "sha256": sha256(text),
            "as2_message_id": message_id,
            "mic": mic,
        }

    def _as2_identifiers(self, agreement: Agreement, interchange_id: str, text: str) -> tuple[str | None, str | None]:
        carrier = directory.as2_carrier(self._content, agreement)
        if carrier is None:
            return None, None
        sending = carrier["Direction"] == "Send"
        host = (
            f"{self._service['name'].lower()}.{_DATA_PLANE}"
            if sending
            else directory.identity_of(self._content, carrier["Sender"])["Value"]
        )
        message_id = as2.message_id(interchange_id, host.replace(" ", "-"))
        settings = carrier["AS2"]
        mic = as2.mic(text.encode(), as2.MEDIA_TYPE[agreement["Protocol"]], settings)
        self._mic_values.append(
            {
                "Agreement": carrier["Name"],
                "Direction": carrier["Direction"],
                "MessageId": message_id,
                "Algorithm": settings["MicAlgorithm"],
                "Mic": mic,
                "CreatedAt": self._moment,
            }
        )
        return message_id, mic
