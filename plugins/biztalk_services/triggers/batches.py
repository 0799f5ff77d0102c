"""Wait until no batch of a service holds messages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from biztalk_services.hooks.tracking import read_batches
from biztalk_services.model.drain import DrainStatus
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.triggers.wait import Missed, Reached, WaitTrigger

REFUSE, PROCEED = "refuse", "proceed"
"""What to do when nobody can say whether batches hold messages."""

_RELEASE = "Nothing was suspended. Let the batches be released, or release them by hand, and run the backup again."


class BatchDrainTrigger(WaitTrigger):
    """
    Waits until no batch of a service holds messages.

    :param service: name of the service
    :param tracking_conn_id: SQL connection to its tracking database
    :param query: the drain query
    :param when_unknown: ``refuse`` or ``proceed``
    :param word: name of the person who said for this run that all batches are empty, or None; counts only where the
        query has no answer, and no batch was seen to hold messages
    :param seen: report of the last look that showed batches with messages, or None. It passes from the worker to the
        triggerer; what only the triggerer saw is forgotten when another one goes on.
    """

    fields = ("service", "tracking_conn_id", "query", "when_unknown", "word", "seen")

    def __init__(
        self,
        *,
        service: str,
        tracking_conn_id: str,
        query: str,
        when_unknown: str,
        word: str | None,
        seen: dict[str, Any] | None = None,
        **wait: Any,
    ) -> None:
        super().__init__(**wait)
        self.service = service
        self.tracking_conn_id = tracking_conn_id
        self.query = query
        self.when_unknown = when_unknown
        self.word = word
        self.seen = seen

    def waiting_for(self) -> str:
        return f"the batches of service {self.service} to be empty"

    def look(self) -> Reached | Missed | None:
        report = read_batches(self.tracking_conn_id, self.query, self.service)
        if report.answer == "empty":
            return Reached(report.to_dict())
        active = report.to_dict()
        if self.seen is None or active["batches"] != self.seen["batches"]:
            self.log.info(report.sentence())
        self.seen = active
        return None

    def overdue(self) -> Missed:
        return Missed(f"{super().overdue().sentence} {self._last_seen()} {_RELEASE}")

    def refused(self, trouble: BackupServiceError) -> Reached | Missed:
        """
        What follows when the database has no answer.

        Batches that were seen to hold messages outweigh everything; then a person's word counts, then the policy of
        the run.
        """
        if self.seen:
            return Missed(
                f"The tracking database of service {self.service} stopped answering while batches held messages, which "
                f"a backup would leave out. {self._last_seen()} {trouble} {_RELEASE}"
            )
        if self.word:
            return self._without_database("empty", f"the word of {self.word} for this run", trouble)
        if self.when_unknown == PROCEED:
            return self._without_database("unknown", "nobody", trouble)
        return Missed(
            f"Nobody can say whether batches of service {self.service} hold messages, which a backup would leave out. "
            f"{trouble} Nothing was suspended. Repair the tracking connection, or start a run by hand that says that "
            "the batches are empty or that the loss is accepted."
        )

    out_of_patience = refused

    def _last_seen(self) -> str:
        return DrainStatus.from_dict(self.seen).sentence() if self.seen else ""

    def _without_database(self, answer: str, source: str, trouble: BackupServiceError) -> Reached:
        report = DrainStatus(answer=answer, source=source, reason=str(trouble), checked_at=datetime.now(UTC))
        return Reached(report.to_dict())
