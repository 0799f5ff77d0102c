"""The runs of single services that a nightly run starts, follows and reports."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.sdk.execution_time.xcom import XCom

from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.options import BACKUP
from biztalk_services.model.steps import BackupJob, decode_xcom

SUCCESS, FAILED = "success", "failed"
"""States of a run that has ended."""
UNFINISHED = ("queued", "running")
"""States of a run that has not."""

FIRST, QUIESCED, RECORDED, RESUMED, PUBLISHED = (
    "check_backup",
    "wait_until_suspended",
    "record_inventory",
    "resume",
    "publish_reference",
)
STEPS = (
    FIRST,
    "wait_for_slot",
    "wait_until_drained",
    "suspend",
    QUIESCED,
    "back_up",
    "recheck_batches",
    RECORDED,
    "wait_for_backup",
    RESUMED,
    "verify_backup",
    PUBLISHED,
)
"""Ids of the steps of such a run, in the order in which they begin."""

_LONGEST_RUN_ID = 250
_AT_ONCE = 50


class ServiceRunError(BackupServiceError):
    """The run of a service cannot be started."""

    default_advice = "check"


def service_run_id(run_id: str, job: BackupJob) -> str:
    """Id of the run that backs a service up: that of the nightly run, then the service.

    :param run_id: of the nightly run.
    """
    digest = hashlib.sha256(f"{run_id}/{job.conn_id}/{job.service}".encode()).hexdigest()[:6]
    part = f"__{re.sub('[/.]+', '.', job.service)[-100:]}-{digest}"  # Airflow refuses two dots beside each other
    return run_id[: _LONGEST_RUN_ID - len(part)] + part


def require_startable() -> None:
    """
    :raises ServiceRunError: the DAG of the runs is not there, or is paused, so that none of them would begin. A paused
        one stays so until a person switches it on, and is not waited for.
    """
    try:
        paused = RuntimeTaskInstance.get_dag(BACKUP).is_paused
    except AirflowRuntimeError as error:
        raise ServiceRunError(f"Airflow does not have DAG {BACKUP}, which backs single services up: {error}") from None
    if paused:
        raise ServiceRunError(
            f"DAG {BACKUP}, which backs single services up, is paused, so no backup would begin. Switch it on, and "
            "clear this step.",
            advice="stop",
        )


def start(run_id: str, conf: Mapping[str, Any]) -> bool:
    """Start the run of a service; False when it was started before.

    :raises ServiceRunError: Airflow refuses it.
    """
    try:
        # As TriggerDagRunOperator does it, of which one task starts one run.
        answer = task_runner.SUPERVISOR_COMMS.send(TriggerDagRun(dag_id=BACKUP, run_id=run_id, conf=dict(conf)))
    except AirflowRuntimeError as error:
        raise ServiceRunError(f"Run {run_id} of DAG {BACKUP} cannot be started: {error}") from None
    if isinstance(answer, ErrorResponse):
        if answer.error is not ErrorType.DAGRUN_ALREADY_EXISTS:
            raise ServiceRunError(f"Run {run_id} of DAG {BACKUP} cannot be started: {answer.error.value}.")
        return False
    return True


def step_states(run_ids: Sequence[str], steps: Sequence[str] = STEPS) -> dict[str, dict[str, str | None]]:
    """State of each of these steps, by run; only of runs that exist."""
    found: dict[str, dict[str, str | None]] = {}
    for some in _some_at_once(run_ids):
        found |= RuntimeTaskInstance.get_task_states(dag_id=BACKUP, task_ids=list(steps), run_ids=some)
    return found


def existing(run_ids: Sequence[str]) -> list[str]:
    """Those of these runs that exist."""
    return list(step_states(run_ids, [FIRST]))


def left(run_id: str, step: str, key: str = "return_value") -> Any:
    """What a step of a run has left in XCom; None when nothing."""
    return decode_xcom(XCom.get_one(key=key, dag_id=BACKUP, task_id=step, run_id=run_id))


def sorted_out(run_ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those of these runs that have not ended, and those that have failed; one that a person has deleted has failed."""
    running, failed = [], []
    for some in _some_at_once(run_ids):
        if count(some, [SUCCESS]) == len(some):
            continue
        here = set(existing(some))
        for run_id in some:
            is_here = run_id in here
            state = RuntimeTaskInstance.get_dagrun_state(dag_id=BACKUP, run_id=run_id) if is_here else FAILED
            if state == FAILED:
                failed.append(run_id)
            elif state != SUCCESS:
                running.append(run_id)
    return running, failed


def count(run_ids: Sequence[str], states: Sequence[str]) -> int:
    """How many of these runs are in one of these states."""
    return sum(
        RuntimeTaskInstance.get_dr_count(dag_id=BACKUP, run_ids=some, states=list(states))
        for some in _some_at_once(run_ids)
    )


def _some_at_once(run_ids: Sequence[str]) -> Iterator[list[str]]:
    """Parts of a list that fit into the address of a request."""
    return (list(run_ids[at : at + _AT_ONCE]) for at in range(0, len(run_ids), _AT_ONCE))
