"""
### Nightly backup of BizTalk Services

Backs up every service of the subscription whose edition has backups, each on its own and a few at a time:

1. check that the backup is allowed, before anything is done
2. wait until no batch holds messages: a backup never contains them
3. suspend the service
4. back it up into a new container of the storage account; beside that record what it holds
5. bring the service back; beside that read the backup, and publish its reference in the catalog

The run is green only when every service was backed up, read back and is as it was before. Start it by hand with the
form to choose services or to decide about batches. Options: section `[biztalk_services]` of Airflow's configuration.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import (
    DAG,
    AsyncCallback,
    CronTriggerTimetable,
    DeadlineAlert,
    Param,
    task_group,
)
from biztalk_services.deadlines import RunCreated
from biztalk_services.notifications.alert import AlertNotifier, OverdueNotifier
from biztalk_services.operators.backup_steps import INSIST, backup_steps
from biztalk_services.operators.batches import FAIL, RECORD
from biztalk_services.operators.find import BizTalkFindServicesOperator
from biztalk_services.operators.report import BizTalkReportOperator
from biztalk_services.operators.suspend import BizTalkResumeOperator
from biztalk_services.sensors.turn import BizTalkTurnSensor
from biztalk_services.settings import Settings
from biztalk_services.triggers.batches import PROCEED, REFUSE

settings = Settings.load()

PARAMS = {
    "services": Param(
        None,
        type=["null", "array"],
        items={"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
        title="Services",
        description="Names of the services to back up, one a line. Empty: all that the configuration includes.",
        section="What",
    ),
    "label": Param(
        None,
        type=["null", "string"],
        maxLength=200,
        title="Label",
        description="Kept in the backup references, for example the change that this backup precedes.",
        section="What",
    ),
    "drain_deadline_minutes": Param(
        settings.drain_deadline_minutes,
        type="integer",
        minimum=0,
        maximum=720,
        title="Wait for batches (minutes)",
        description="How long to wait for batches before a service is given up. Nothing is suspended meanwhile.",
        section="Batches",
    ),
    "batches_are_empty": Param(
        False,
        type="boolean",
        title="I have looked: all batches are empty",
        description="Your word, recorded with your name. It counts where the tracking database has no answer.",
        section="Batches",
    ),
    "when_batches_are_unknown": Param(
        REFUSE,
        type="string",
        enum=[REFUSE, PROCEED],
        values_display={REFUSE: "refuse: do not suspend", PROCEED: "proceed: record the possible loss"},
        title="When nobody can say whether batches are empty",
        section="Batches",
    ),
    "when_a_message_slips_in": Param(
        RECORD,
        type="string",
        enum=[RECORD, FAIL],
        values_display={RECORD: "record the possible loss", FAIL: "fail: the backup does not count"},
        title="When a message slips into a batch while the service is being suspended",
        section="Batches",
    ),
}


def found(field: str) -> str:
    """
    What `find_services` found for the service of this task, as a template.

    The mapped argument of the group would say the same, and draw a line from `find_services` to every single step.
    """
    return f"{{{{ ti.xcom_pull(task_ids='find_services')[ti.map_index]['{field}'] }}}}"


with DAG(
    "biztalk_nightly_backup",
    dag_display_name="BizTalk Services: nightly backup",
    description="Backs up every BizTalk service of the subscription, and brings each one back.",
    doc_md=__doc__,
    schedule=CronTriggerTimetable(settings.schedule, timezone=settings.timezone, run_immediately=timedelta(0)),
    catchup=False,
    max_active_runs=1,
    max_active_tasks=64,
    tags=["biztalk", "backup"],
    default_args={
        "owner": "biztalk",
        "retries": 5,
        "execution_timeout": timedelta(minutes=30),
        "retry_delay": timedelta(seconds=2),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=1),
    },
    on_failure_callback=AlertNotifier(subject="The nightly backup of BizTalk Services failed"),
    deadline=DeadlineAlert(
        reference=RunCreated(),
        interval=settings.night_deadline,
        callback=AsyncCallback(
            OverdueNotifier,
            kwargs={"subject": f"The nightly backup of BizTalk Services takes longer than {settings.night_deadline}"},
        ),
    ),
) as dag:
    find = BizTalkFindServicesOperator(
        task_id="find_services", conn_id=settings.conn_id, services="{{ (params.services or []) | join(' ') }}"
    )

    @task_group(group_id="service")
    def back_up_service(target: dict[str, str]) -> None:
        at = {"service": found("service"), "conn_id": settings.conn_id}
        steps = backup_steps(
            settings,
            at=at,
            reason="backup",
            backup_name=found("backup_name"),
            backup_label="{{ params.label or '' }}",
            tracking_conn_id=found("tracking_conn_id"),
            drain={
                "deadline_minutes": "{{ params.drain_deadline_minutes }}",
                "when_unknown": "{{ params.when_batches_are_unknown }}",
                "batches_are_empty": "{{ params.batches_are_empty }}",
            },
            when_slipped_in="{{ params.when_a_message_slips_in }}",
        )
        turn = BizTalkTurnSensor(
            task_id="wait_for_turn",
            excused="service.wait_until_batches_are_empty",
            last="service.resume",
            at_once=settings.services_at_once,
            deadline_minutes=settings.night_deadline_minutes,
            **at,
        )
        resume = BizTalkResumeOperator(
            task_id="resume",
            suspension=steps.suspended.output,
            storage_conn_id=settings.storage_conn_id,
            catalog_container=settings.catalog_container,
            deadline_minutes=settings.resume_deadline_minutes,
            patience_seconds=settings.trouble_patience_seconds,
            retries=INSIST,
            **at,
        ).as_teardown(setups=steps.suspended)

        steps.checked >> turn >> steps.drained
        [steps.backed_up, steps.looked_again] >> resume

    backups = back_up_service.expand(target=find.output)
    report = BizTalkReportOperator(
        task_id="report",
        conn_id=settings.conn_id,
        find=find.task_id,
        steps=[step.task_id for step in dag.topological_sort() if step.task_id.startswith("service.")],
        still="service.wait_until_suspended",
        back="service.resume",
        published="service.publish_reference",
        storage_conn_id=settings.storage_conn_id,
        catalog_container=settings.catalog_container,
        trigger_rule="all_done",
    )
    # The arrow from a group leaves its teardowns out.
    [backups, dag.get_task("service.resume")] >> report

    # Last: Airflow copies the parameters that a DAG has into every task that is made after them.
    dag.params = PARAMS
