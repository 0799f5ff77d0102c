"""Rules on a run itself, whoever started it and however: what it is asked for is what it does, and it is one of now.

A backup holds the state of the moment at which it is taken, whatever moment the run is said to be for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from biztalk_services.model.checks import Check

SOURCE = "rule of this project"

SCHEDULED = "scheduled"
_OF_NOW = ("manual", "operator_triggered")
"""Types of runs that are started for the moment at which they are started."""

_NEAR = timedelta(hours=1)
"""How far the moment that a person's run is for may be from the one at which it was requested: a form is filled in."""

_LONGEST_QUEUE = timedelta(days=1)
"""How long a run that a person or another DAG started may wait before it starts."""

_NOTHING_DONE = "Nothing was done."
_BY_HAND = "Start a run by hand, without a logical date"


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What is known of a run.

    :param kind: its type, as Airflow names it (``scheduled``).
    :param due: when it was due, or was requested; aware.
    :param logical_date: the moment that it is for, aware; None where it is for none.
    :param fields: names of the fields of its form; None: it has none.
    :param values: what the steps work with, by field.
    :param requested: what the run was started with, by field.
    """

    kind: str
    due: datetime
    logical_date: datetime | None
    fields: Sequence[str] | None
    values: Mapping[str, Any]
    requested: Mapping[str, Any]


def form_checks(run: RunFacts) -> Iterator[Check]:
    """Whether what the run was started with is what it works with."""
    if run.fields is None:
        return
    unknown = sorted(set(run.requested) - set(run.fields))
    message = (
        f"The form has no field {', '.join(unknown)}; it has {', '.join(run.fields)}. Correct it. {_NOTHING_DONE}"
        if unknown
        else "The form has every field that the run was started with."
    )
    yield Check("form-fields", not unknown, message, SOURCE)
    differing = sorted(
        name
        for name in set(run.requested) & set(run.fields)
        if name not in run.values or _plain(run.values[name]) != _plain(run.requested[name])
    )
    message = (
        f"What the form says of {', '.join(differing)} does not reach the steps, which would do something else. Set "
        "Airflow's option dag_run_conf_overrides_params of [core] to True, or remove what changes the params, and "
        f"start another run. {_NOTHING_DONE}"
        if differing
        else "The steps work with what the form says."
    )
    yield Check("form-agrees", not differing, message, SOURCE)


def moment_check(run: RunFacts, now: datetime, *, remedy: str) -> Check:
    """Whether the run is one of now. A scheduled run has its start window instead.

    :param remedy: what to do, a sentence, when it is not.
    """
    why = None
    if run.kind not in (SCHEDULED, *_OF_NOW):
        why = f"This is a run of type {run.kind}, which is not started for the moment of its start."
    elif run.kind in _OF_NOW:
        if run.logical_date and abs(run.logical_date - run.due) > _NEAR:
            why = f"The run is for {_utc(run.logical_date)} (its logical date), and was requested for {_utc(run.due)}."
        elif abs(now - run.due) > _LONGEST_QUEUE:
            why = f"The run was requested for {_utc(run.due)}, more than a day from now."
    message = f"{why} {remedy} {_NOTHING_DONE}" if why else "The run is one of now."
    return Check("run-is-of-now", why is None, message, SOURCE)


BACKUP_REMEDY = (
    f"A backup always holds the state of now. {_BY_HAND}, or set run_for_another_moment in the form where a backup of "
    "now is wanted all the same."
)
RESTORE_REMEDY = f"A restore is planned and approved for now. {_BY_HAND}; with plan_only any run may make a plan."


def start_window_checks(run: RunFacts, now: datetime, window: timedelta, start_before: str = "") -> Iterator[Check]:
    """Whether the run starts in time.

    :param window: how late a scheduled run may start.
    :param start_before: the latest start that the form allows, ISO 8601 with time zone; empty: any.
    """
    late = now - run.due
    minutes, limit = (each.total_seconds() / 60 for each in (late, window))
    if run.kind == SCHEDULED:
        message = (
            f"The run missed its start window (scheduled {_utc(run.due)}, {minutes:.0f} minutes late, limit "
            f"{limit:.0f}; option start_window_minutes). Start a run by hand if the missed backups are wanted now."
            if late > window
            else "The run starts within its start window."
        )
        yield Check("start-window", late <= window, message, "configuration")
    if start_before:
        latest = _moment(start_before)
        message = (
            f"The run was to start before {_utc(latest)} (start_before of its form), and it is {_utc(now)}: it waited "
            "too long in the queue. Start another run if its backups are wanted now."
            if latest
            else f"start_before is {start_before!r}, which is not a date and time with time zone. Correct the form."
        )
        yield Check("start-window", latest is not None and now <= latest, message, "form of the run")


def trial_check(is_trial: bool, *, how: str) -> Check:
    """Whether a real run carries the step out.

    :param is_trial: whether ``airflow dags test`` or ``airflow tasks test`` does, in which the waits fail.
    :param how: how to try it instead, a sentence.
    """
    message = (
        "airflow dags test and airflow tasks test carry steps out for real, and a wait cannot end in them: a service "
        f"would be suspended for nothing. {how} {_NOTHING_DONE}"
        if is_trial
        else "A real run carries the step out."
    )
    return Check("real-run", not is_trial, message, SOURCE)


TRY_A_BACKUP = "To try a backup, start a run by hand with one service in the form."
TRY_A_RESTORE = "To try a restore, set plan_only in the form, or start a run by hand with another target_name."


def _plain(value: Any) -> Any:
    """A value as JSON hands it on."""
    return json.loads(json.dumps(value, default=str))


def _moment(text: str) -> datetime | None:
    """A moment with its time zone; None when the text is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
