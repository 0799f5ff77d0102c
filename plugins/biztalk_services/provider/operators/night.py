"""Backs the services of a nightly run up, each in a run of its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Context

from biztalk_services.flows import night
from biztalk_services.model.choices import choices_of
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.options import BACKUP
from biztalk_services.model.requests import NIGHTLY, BackupRequest
from biztalk_services.model.steps import BackupJob
from biztalk_services.provider import service_runs
from biztalk_services.provider.base import RetriedOperator, failure_pushed, first_moment, run_of
from biztalk_services.provider.night_trigger import ServiceRunsTrigger
from biztalk_services.provider.waiting import GRACE


class ServiceRunsFailedError(BackupServiceError):
    """Runs of services failed, did not end, or were not begun in time."""

    default_advice = "stop"


class BackUpServicesOperator(RetriedOperator):
    """Backs services up, each in a run of its own: starts the runs in order, a few more than are at work, and waits for
    all of them.

    Fails when one of them failed, or when the window ended before all were started; those that were are waited for. In
    the triggerer it waits for them all with one request.

    XCom: how many services there are (``services``).

    **Idempotency:** the ids of the runs follow from this run and the services, and Airflow refuses a second one, so
    that none is started twice. **On retry** and when the task is cleared, runs that exist are waited for; one that
    has failed is not started again: clear what failed in it, or start another nightly run with its service.

    :param find: id of the task that found the services
    :param at_once: how many services are suspended at the same time, for the record of the night
    :param ahead: how many runs that have not ended may exist; Airflow begins as many of them as their DAG allows
    :param window_minutes: how long after the first try of this step runs may begin
    :param longest_run_minutes: how long after that a run may take
    """

    def __init__(
        self, *, find: str, at_once: int, ahead: int, window_minutes: float, longest_run_minutes: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if ahead < 1:
            raise ValueError(f"ahead is {ahead}; at least one run exists.")
        self.find = find
        self.at_once = at_once
        self.ahead = ahead
        self.window = timedelta(minutes=window_minutes)
        self.longest_run = timedelta(minutes=longest_run_minutes)

    def run_step(self, context: Context) -> Any:
        jobs = self._runs(context)
        runs = list(jobs)
        if runs:
            service_runs.require_startable()
        existing = set(service_runs.existing(runs))
        begun = next((at for at, run_id in enumerate(runs) if run_id not in existing), len(runs))
        running, failed = service_runs.sorted_out(runs[:begun])
        left = [jobs[run_id] for run_id in (*running, *failed, *runs[begun:])]
        if left or not runs:
            kind, at = self._kind(context), datetime.now(UTC)
            night.begin_night(self.open_archive, run_of(context["ti"]), left, at, self.at_once, kind)
        return self._go_on(context, running, begun, failed_since=failed)

    def execute_complete(self, context: Context, event: Any, runs: list[str], failed: list[str], begun: int) -> Any:
        """Comes back from the trigger: ends, or starts more runs and waits again.

        :param runs: those that were waited for
        :param failed: those that had failed before
        :param begun: how many were started, in order
        """
        with failure_pushed(context):
            running, failed_since = service_runs.sorted_out(runs)
            return self._go_on(context, running, begun, failed, failed_since)

    def _go_on(
        self,
        context: Context,
        running: list[str],
        begun: int,
        failed_before: Sequence[str] = (),
        failed_since: Sequence[str] = (),
    ) -> Any:
        runs, until = self._runs(context), first_moment(context) + self.window
        in_order = list(runs)
        if datetime.now(UTC) < until:
            for run_id in in_order[begun : begun + max(0, self.ahead - len(running))]:
                service_runs.start(run_id, self._conf(context, runs[run_id], until))
                running.append(run_id)
                begun += 1
        failed = [*failed_before, *failed_since]
        sentence = night.progress_sentence(
            self.open_archive,
            run_of(context["ti"]),
            services=len(runs),
            done=begun - len(running),
            at_work=len(running),
            failed=len(failed),
            failed_since=[runs[run_id] for run_id in failed_since],
        )
        self.log.info(sentence)
        may_start, end = begun < len(runs) and datetime.now(UTC) < until, until + self.longest_run
        if running and datetime.now(UTC) < end:
            most, back = (self.ahead * 3 // 4, until) if may_start else (0, end)
            return self.defer(
                trigger=ServiceRunsTrigger(run_ids=running, most=most, until=back.isoformat()),
                method_name="execute_complete",
                kwargs={"runs": running, "failed": failed, "begun": begun},
                timeout=back - datetime.now(UTC) + GRACE,
            )
        self._require_success(len(runs), len(running), len(failed), len(runs) - begun)
        return {"services": len(runs)}

    def _runs(self, context: Context) -> dict[str, BackupJob]:
        """Id of the run of each service, in order."""
        ti = context["ti"]
        jobs = map(BackupJob.from_xcom, ti.xcom_pull(task_ids=self.find) or [])
        return {service_runs.service_run_id(ti.run_id, job): job for job in jobs}

    @staticmethod
    def _kind(context: Context) -> str:
        return NIGHTLY if context["dag_run"].run_type == "scheduled" else context["params"]["kind"]

    def _conf(self, context: Context, job: BackupJob, until: datetime) -> dict[str, Any]:
        form = context["params"]
        own = {"kind": self._kind(context), "start_before": until.isoformat(timespec="seconds")}
        asked = {each.name: form[each.name] for each, _ in choices_of(BackupRequest) if each.name not in own}
        return {**job.to_xcom(), **asked, **own}

    def _require_success(self, runs: int, running: int, failed: int, late: int) -> None:
        """:raises ServiceRunsFailedError: not all of the runs have succeeded."""
        sentences = [
            f"{failed} of {runs} runs of DAG {BACKUP} failed." if failed else "",
            f"{running} did not end in time." if running else "",
            f"{late} were not begun within {self.window} (option completion_window_minutes)." if late else "",
        ]
        if failed or late or running:
            raise ServiceRunsFailedError(" ".join([*filter(None, sentences), "The report names them."]))
