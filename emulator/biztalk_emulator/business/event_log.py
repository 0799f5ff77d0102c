"""The tracking events of one step of traffic, in the order in which they happened."""

import hashlib
from typing import Any

from .content import BatchMessage, Runtime
from .control_numbers import ControlNumber
from .tracking import BatchEvent, ControlNumberEvent, Event, InterchangeEvent, MessageEvent, entered


def sha256(text: str) -> str:
    """Hexadecimal SHA-256 of the UTF-8 bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


class EventLog:
    """Records events at the position that the runtime has reached.

    :param runtime: the working copy whose position moves on with the step.
    :param moment: text of the instant of all events.
    """

    def __init__(self, runtime: Runtime, moment: str) -> None:
        self._runtime = runtime
        self._moment = moment
        self.events: list[Event] = []

    def message(self, message: BatchMessage, event: str, interchange_id: str | None) -> None:
        """Record what happened to a message: batched, sent, received or rejected."""
        self.events.append(
            MessageEvent(
                **self._place(f"{message['id']}:message:{event}"),
                agreement=message["agreement"],
                event=event,
                message_id=message["id"],
                document_type=message["document_type"],
                size=message["size"],
                interchange_id=interchange_id,
            )
        )

    def entered(self, message: BatchMessage) -> None:
        """Record that a message waits in its batch."""
        self.events.append(entered(message, self._runtime["history"], self._runtime["position"]))

    def released(self, message: BatchMessage, reason: str) -> None:
        """Record that a message left its batch."""
        self.events.append(
            BatchEvent(
                **self._place(f"{message['id']}:released"),
                agreement=message["agreement"],
                event="released",
                batch=message["batch"],
                message_id=message["id"],
                size=message["size"],
                reason=reason,
            )
        )

    def control_number(
        self, agreement: str, kind: str, direction: str, number: ControlNumber, interchange_id: str
    ) -> None:
        """Record a control number, generated or received."""
        self.events.append(
            ControlNumberEvent(
                **self._place(f"{interchange_id}:{direction}:{kind}:{len(self.events):06d}"),
                agreement=agreement,
                kind=kind,
                direction=direction,
                number=number.value,
                text=number.text,
                interchange_id=interchange_id,
            )
        )

    def interchange(self, agreement: str, event: str, interchange_id: str, text: str, **details: Any) -> None:
        """Record an interchange or acknowledgement, sent, received or rejected.

        :param details: control_number, messages, size, and as2_message_id, mic where AS2 carries it.
        """
        self.events.append(
            InterchangeEvent(
                **self._place(f"{interchange_id}:interchange"),
                agreement=agreement,
                event=event,
                text=text,
                sha256=sha256(text),
                **details,
            )
        )

    def _place(self, event_id: str) -> dict[str, Any]:
        return {
            "event_id": event_id,
            "history": self._runtime["history"],
            "position": self._runtime["position"],
            "occurred_at": self._moment,
        }
