"""Records that the archive keeps of runs: who works on a service, who suspended it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from biztalk_services.model.run import Run


@dataclass(frozen=True)
class Lock:
    """
    :param service: name of the service.
    :param run: the run that works on it.
    :param purpose: what it does (``backup``, ``restore``).
    :param until: when the claim ends by itself, aware.
    """

    service: str
    run: Run
    purpose: str
    until: datetime

    def is_over(self) -> bool:
        """Whether its time has passed."""
        return self.until <= datetime.now(UTC)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the time as ISO 8601."""
        return asdict(self) | {"until": self.until.isoformat()}

    def to_bytes(self) -> bytes:
        """As JSON."""
        return json.dumps(self.to_dict(), sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Lock:
        """The claim behind ``to_bytes``.

        :raises ValueError: it is none.
        """
        try:
            values = json.loads(content)
            until = datetime.fromisoformat(values["until"])
            if until.tzinfo is None:
                raise ValueError("This is not a claim: its end has no time zone.")
            return cls(values["service"], Run(**values["run"]), values["purpose"], until)
        except (KeyError, TypeError) as error:
            raise ValueError(f"This is not a claim: {error}.") from None


@dataclass(frozen=True)
class SuspensionRecord:
    """
    :param service: address of the service, ``cloud service/name``.
    :param subscription_id: its subscription.
    :param run: the run that suspends it.
    :param reason: what for (``backup``).
    :param opened_at: when, aware.
    :param back_by: when it has to be back at the latest, aware.
    """

    service: str
    subscription_id: str
    run: Run
    reason: str
    opened_at: datetime
    back_by: datetime

    @property
    def name(self) -> str:
        """Under which it lies in each folder: service, moment and run."""
        return f"{self.service.lower()}/{self.opened_at.astimezone(UTC):%Y%m%d-%H%M%S-%f}-{short_hash(self.run)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; times as ISO 8601."""
        return asdict(self) | {"opened_at": self.opened_at.isoformat(), "back_by": self.back_by.isoformat()}

    @classmethod
    def from_dict(cls, values: Any) -> SuspensionRecord:
        """The ticket behind ``to_dict``.

        :raises ValueError: it is none.
        """
        try:
            opened_at, back_by = (datetime.fromisoformat(values[name]) for name in ("opened_at", "back_by"))
            if not (opened_at.tzinfo and back_by.tzinfo):
                raise ValueError("a time has no time zone")
            texts = (str(values[name]) for name in ("service", "subscription_id"))
            return cls(*texts, Run(**values["run"]), str(values["reason"]), opened_at, back_by)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{error} is missing or of the wrong kind") from None


def short_hash(run: Run) -> str:
    return hashlib.sha256(f"{run.dag_id}/{run.run_id}".encode()).hexdigest()[:12]
