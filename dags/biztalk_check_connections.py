"""
### Check of the connections

Started by hand, before the first night and after each change of a connection, an option or a query. It reads:

- storage: whether records can be written; one probe is written, and deleted again
- alerts: whether the webhook's connection is there; nothing is sent
- the connection to each subscription
- each service: what its tracking database answers to both queries, with rows, columns, types, time zone and clock, and
  what we understood of it; whether its partner management can be read; and its archive of sent interchanges, where
  there is one

All of it is checked, whatever is wrong; the run is red when something is. The log of `check_connections` has it in
sentences, its XCom `report` as one text. Without names all services are checked that the options include and whose
edition has backups. Options: section `[biztalk_services]` of Airflow's configuration.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG
from biztalk_services.model.options import CHECK
from biztalk_services.model.requests import CheckRequest
from biztalk_services.provider.form import form
from biztalk_services.provider.misconfigured import page, tags
from biztalk_services.provider.operators.check_connections import CheckConnectionsOperator
from biztalk_services.provider.settings import Settings

settings = Settings.load()
problems = settings.problems_of(CHECK)

with DAG(
    CHECK,
    dag_display_name="BizTalk Services: check of the connections",
    description="Shows what every connection and every query answers, and what is wrong.",
    doc_md=page(__doc__, problems, works=True),
    schedule=None,
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
    tags=tags(["biztalk", "check"], problems),
    default_args={"owner": "biztalk", "retries": 0, "execution_timeout": timedelta(hours=4)},
) as dag:
    CheckConnectionsOperator(
        task_id="check_connections",
        services="{{ (params.services or []) | join(' ') }}",
        problems=problems,
    )

    # Last: Airflow copies the parameters that a DAG has into every task that is made after them.
    dag.params = form(CheckRequest)
