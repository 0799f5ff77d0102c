"""The options of this driver, and what a restore may give other than the backup's values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from biztalk_services.model.choices import CONNECTION_ID, choice
from biztalk_services.model.options import option

_CONNECTION: dict[str, Any] = {
    "section": "Other values than the backup's",
    "pattern": CONNECTION_ID,
    "is_option": False,
}
_ID = "Connection id (no secrets). Leave empty to use the connection that matches the value in the backup."


@dataclass(frozen=True)
class BizTalkOptions:
    """How a service's surroundings are found, by names that follow from the service."""

    tracking_conn_id: str = option(
        "biztalk_tracking_{service}",
        "SQL connection to read a service's tracking database; {service} stands for its name in lower case.",
    )
    drain_query: str = option(
        "",
        "SQL query that lists the batches that hold messages (columns agreement, batch, messages, oldest). "
        "It may use the service's name, as the database driver writes a parameter: :service or %(service)s (in "
        "airflow.cfg write %% for %). Empty: the query for the emulator's tracking schema.",
    )
    control_number_query: str = option(
        "",
        "SQL query that lists the control numbers given out since :since (columns agreement, kind, highest, latest, "
        "used, last_used). Empty: the query for the emulator's tracking schema.",
    )
    access_control_conn_id: str = option(
        "biztalk_acs_{namespace}",
        "Connection to the Access Control namespace of a service, which guards its partner management; {namespace} "
        "stands for its name in lower case.",
    )
    tracking_store_conn_id: str = option(
        "biztalk_sql_{database}",
        "Connection with server, database, user and password as a service itself uses its tracking database; "
        "{database} stands for its name in lower case.",
    )
    service_store_conn_id: str = option(
        "biztalk_store_{account}",
        "Azure Blob Storage connection to a service's archiving or monitoring store; {account} stands for its name.",
    )

    def tracking_conn_id_of(self, service: str) -> str:
        """Connection id of the tracking database of this service."""
        return self.tracking_conn_id.replace("{service}", service.lower())


@dataclass(frozen=True, kw_only=True)
class BizTalkOverrides:
    """Values of a restored BizTalk service other than the backup's."""

    edition: str = choice(
        "",
        "Edition",
        "The backup's or a higher one. Empty: the backup's.",
        section="Target",
        values={"basic": "", "standard": "", "premium": ""},
    )
    unit_count: int = choice(
        0, "Scale units", "Empty: as many as the backup's.", section="Target", minimum=1, maximum=8
    )
    acs_conn_id: str = choice(
        "", "Access Control namespace", f"Connection with the namespace and its key. {_ID}", **_CONNECTION
    )
    tracking_conn_id: str = choice(
        "",
        "Tracking database",
        f"Connection with server, database and login as the service has them. {_ID}",
        **_CONNECTION,
    )
    archive_conn_id: str = choice(
        "", "Archiving store", f"Azure Blob Storage connection with the account key. {_ID}", **_CONNECTION
    )
    monitoring_conn_id: str = choice(
        "", "Monitoring store", f"Azure Blob Storage connection with the account key. {_ID}", **_CONNECTION
    )
    certificate_conn_id: str = choice(
        "", "SSL certificate", f"Connection that names a PFX file and opens it. {_ID}", **_CONNECTION
    )
