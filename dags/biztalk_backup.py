"""
### Backup of one BizTalk service

Backs one service up. A nightly run starts such a run for each of its services; start that by hand, with one service in
its form, rather than this.

1. check that the backup is allowed, before anything is changed
2. wait for a slot: only so many services are suspended at the same time
3. wait until no batch holds messages: a backup never contains them
4. suspend the service
5. back it up into a new container of the storage account; beside that record what it holds
6. resume the service; beside that read the backup back, and publish its reference in the catalog

To try a service again whose run failed, clear its failed steps, or start a nightly run with it. Options: section
`[biztalk_services]` of Airflow's configuration.
"""

from __future__ import annotations

from airflow.sdk import DAG
from biztalk_services.model.options import BACKUP, NIGHTLY
from biztalk_services.model.requests import BackupRequest, ServiceRequest
from biztalk_services.provider.form import form
from biztalk_services.provider.misconfigured import page, tags
from biztalk_services.provider.settings import Settings
from biztalk_services.provider.task_groups import default_args, service_backup

settings = Settings.load()
problems = settings.problems_of(NIGHTLY)

with DAG(
    BACKUP,
    dag_display_name="BizTalk Services: backup of one service",
    description="Backs one BizTalk service up, and resumes it. Started by the nightly backup.",
    doc_md=page(__doc__, problems),
    schedule=None,
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=settings.max_active_backups,
    max_active_tasks=64,
    tags=tags(["biztalk", "backup"], problems),
    default_args=default_args(settings) | {"service": "{{ params.service }}", "conn_id": "{{ params.conn_id }}"},
) as dag:
    service_backup(settings, problems)

    # Last: Airflow copies the parameters that a DAG has into every task that is made after them.
    dag.params = form(
        ServiceRequest, BackupRequest, defaults={"drain_deadline_minutes": settings.drain_deadline_minutes}
    )
