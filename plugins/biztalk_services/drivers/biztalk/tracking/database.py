"""The tracking database of one service, asked through its connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from biztalk_services.drivers.biztalk.tracking import contradictions
from biztalk_services.drivers.biztalk.tracking.answers import drain_status, use_report
from biztalk_services.drivers.biztalk.tracking.queries import (
    DEFAULT_CONTROL_NUMBER_QUERY,
    DEFAULT_DRAIN_QUERY,
    name_of,
    problem_of_control_number_query,
    problem_of_drain_query,
    since_text,
)
from biztalk_services.drivers.registry import ConnectionNotFoundError
from biztalk_services.drivers.sql.errors import QueryRefusedError
from biztalk_services.model.control_numbers import EVER, UseReport
from biztalk_services.model.drain import DrainStatus, DrainUnknownError
from biztalk_services.model.errors import Advice, BackupServiceError
from biztalk_services.model.redaction import redact

if TYPE_CHECKING:
    from biztalk_services.drivers.biztalk.options import BizTalkOptions
    from biztalk_services.drivers.registry import Connections


class TrackingDatabase:
    """What the tracking database of a service answers.

    :param conn_id: of the connection to it.
    :param service: its name.
    :param options: the two queries, and how long each may take.
    """

    def __init__(self, connections: Connections, conn_id: str, service: str, options: BizTalkOptions) -> None:
        self._connections = connections
        self._conn_id = conn_id
        self._service = service
        self._drain_query = options.drain_query or DEFAULT_DRAIN_QUERY
        self._number_query = options.control_number_query or DEFAULT_CONTROL_NUMBER_QUERY
        self._seconds = float(options.tracking_query_seconds)
        self.source = source_of(conn_id)

    def drain_status(self) -> DrainStatus:
        """Which batches hold messages.

        :raises DrainUnknownError: it is unknown; advice ``stop`` where another try cannot help.
        """
        try:
            columns, rows = self._ask(self._drain_query, problem_of_drain_query, {"service": self._service})
        except Exception as error:
            raise drain_unknown(self.source, error, self._remark("drain_query", self._drain_query)) from None
        status = drain_status(columns, rows, source=self.source, checked_at=datetime.now(UTC))
        if status.answer == "unknown":
            raise DrainUnknownError(status)
        return status

    def control_numbers_since(self, since: datetime) -> UseReport:
        """Which control numbers were given out, held against those given out ever.

        What contradicts itself is left out of the report and is its ``problem``; see
        :mod:`biztalk_services.drivers.biztalk.tracking.contradictions`. In an answer since ever only a
        time can be wrong, so that its numbers stay.

        :param since: aware.
        """
        first = self._numbers(since)
        if since == EVER:
            if found := contradictions.in_time(first.uses, since=since, checked_at=datetime.now(UTC)):
                return replace(first, problem=first.problem or contradictions.problem_of(found))
            return first
        if first.problem:
            return first
        ever = self._numbers(EVER)
        report = replace(first, ever=ever.uses)
        if ever.problem:
            problem = f"It cannot be held against the numbers given out ever: {ever.problem}"
            return replace(report, problem=problem)
        found = contradictions.all_of(report, datetime.now(UTC))
        if any(each.may_be_traffic for each in found):
            second = self._numbers(since)
            if second.problem:
                return replace(report, problem=second.problem)
            report = replace(second, ever=contradictions.caught_up(first.uses, ever.uses, second.uses))
            found = [
                *(each for each in found if contradictions.confirmed(each, first.uses, ever.uses, second.uses)),
                *contradictions.shrunk(first.uses, second.uses),
                *contradictions.in_time(second.uses, since=since, checked_at=datetime.now(UTC)),
            ]
        return contradictions.without(report, found)

    def _numbers(self, since: datetime) -> UseReport:
        """One answer as it is read, or as a problem why there is none."""
        checked_at, query = datetime.now(UTC), name_of(self._number_query)
        try:
            offered = {"service": self._service, "since": since_text(since)}
            columns, rows = self._ask(self._number_query, problem_of_control_number_query, offered)
        except Exception as error:
            problem = problem_of(self.source, error, self._remark("control_number_query", self._number_query))
            return UseReport(source=self.source, query=query, problem=problem, since=since, checked_at=checked_at)
        return use_report(columns, rows, source=self.source, since=since, checked_at=checked_at, query=query)

    def _ask(
        self, sql: str, problem_of_query: Callable[[str], str | None], offered: Mapping[str, str]
    ) -> tuple[list[str], Sequence[Sequence[Any]]]:
        if problem := problem_of_query(sql):
            raise QueryRefusedError(problem)
        return self._connections.query(self._conn_id, sql, offered, self._seconds)

    @staticmethod
    def _remark(option: str, query: str) -> str:
        if query in (DEFAULT_DRAIN_QUERY, DEFAULT_CONTROL_NUMBER_QUERY):
            return f" The default query is for the emulator's tables; option {option} holds that for others."
        return ""


def source_of(conn_id: str) -> str:
    """How reports name the database behind a connection."""
    return f"tracking database of connection {conn_id}"


def drain_unknown(source: str, error: Exception, remark: str = "") -> DrainUnknownError:
    """That the batch status is unknown, because the source could not be asked."""
    reason, checked_at = problem_of(source, error, remark), datetime.now(UTC)
    status = DrainStatus(answer="unknown", source=source, reason=reason, checked_at=checked_at)
    advice: Advice | None = None
    if isinstance(error, BackupServiceError) and error.advice == "stop":
        advice = "stop"
    return DrainUnknownError(status, advice=advice)


def problem_of(source: str, error: Exception, remark: str = "") -> str:
    """Why a source could not be asked, without secrets.

    :param remark: what else may be the reason where the database itself raised the error.
    """
    if isinstance(error, ConnectionNotFoundError):
        return str(error)
    if isinstance(error, BackupServiceError):
        return f"The {source} cannot be queried: {error}"
    said = redact(str(error), limit=200).rstrip(".")
    end = "" if said.endswith(("?", "!")) else "."
    return f"The {source} cannot be queried: {type(error).__name__}: {said}{end}{remark}"
