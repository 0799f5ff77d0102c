"""Checks of the run itself, before the first step does anything: :mod:`biztalk_services.flows.run_rules` on the facts
that Airflow has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Context

from biztalk_services.flows.run_rules import (
    BACKUP_REMEDY,
    RESTORE_REMEDY,
    TRY_A_BACKUP,
    TRY_A_RESTORE,
    RunFacts,
    form_checks,
    moment_check,
    start_window_checks,
    trial_check,
)
from biztalk_services.model.checks import Check, refuse_if_broken

_USER_OF_DAGS_TEST = "dag_test"


def refuse_backup_run(context: Context, start_window: timedelta = timedelta.max, start_before: str = "") -> None:
    """Refuse a backup run that would do something else than what it was started for.

    :param start_window: how late a scheduled run may start.
    :param start_before: date and time with time zone after which the run may not start; empty: no limit.
    :raises RefusedError: with every broken rule.
    """
    run, now = run_facts(context), datetime.now(UTC)

    def checks() -> Iterator[Check]:
        yield from form_checks(run)
        if not run.values.get("run_for_another_moment"):
            yield moment_check(run, now, remedy=BACKUP_REMEDY)
        yield from start_window_checks(run, now, start_window, start_before.strip())
        yield trial_check(is_trial(context), how=TRY_A_BACKUP)

    refuse_if_broken(checks(), "the run")


def refuse_restore_run(context: Context) -> None:
    """Refuse a run of a restore that would do something else than what it was started for. One that only plans may be
    of any type.

    :raises RefusedError: with every broken rule.
    """
    run = run_facts(context)

    def checks() -> Iterator[Check]:
        yield from form_checks(run)
        if not run.values.get("plan_only"):
            yield moment_check(run, datetime.now(UTC), remedy=RESTORE_REMEDY)
            yield trial_check(is_trial(context), how=TRY_A_RESTORE)

    refuse_if_broken(checks(), "the run")


def refuse_trial(context: Context) -> None:
    """Refuse to change something in ``airflow dags test`` or ``airflow tasks test``.

    :raises RefusedError: this is one of the two.
    """
    refuse_if_broken([trial_check(is_trial(context), how=f"{TRY_A_BACKUP} {TRY_A_RESTORE}")], "the step")


def run_facts(context: Context) -> RunFacts:
    """What Airflow knows of the run of a step."""
    run: Any = context["dag_run"]
    params: Mapping[str, Any] = getattr(context.get("dag"), "params", None) or {}
    return RunFacts(
        kind=str(getattr(run.run_type, "value", run.run_type)),
        due=run.run_after,
        logical_date=run.logical_date,
        fields=list(params) or None,
        values=context["params"],
        requested=run.conf or {},
    )


def is_trial(context: Context) -> bool:
    """Whether ``airflow dags test`` or ``airflow tasks test`` carries the step out: then it runs inside of the program
    that started it, without a worker, or, with ``--use-executor``, for a user whom only ``airflow dags test`` has."""
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

    comms = getattr(task_runner, "SUPERVISOR_COMMS", None)
    run: Any = context["dag_run"]
    return isinstance(comms, InProcessSupervisorComms) or run.triggering_user_name == _USER_OF_DAGS_TEST
