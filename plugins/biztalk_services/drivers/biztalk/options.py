"""The options of this driver, and what a restore may give other than the backup's values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from biztalk_services.drivers.biztalk.numbers.partners import partners_rule
from biztalk_services.drivers.biztalk.wire.hosts import ACS_HOST, HOST_NAME, SERVICE_HOST, read_namespace
from biztalk_services.model.choices import CONNECTION_ID, choice
from biztalk_services.model.options import CHECK, NIGHTLY, RESTORE, Rule, matches, option

_CONNECTION: dict[str, Any] = {
    "section": "Other values than the backup's",
    "pattern": CONNECTION_ID,
    "is_option": False,
}
_ID = "Connection id (no secrets). Leave empty to use the connection that matches the value in the backup."


_BACKUP_AND_RESTORE = (NIGHTLY, RESTORE)
_AND_CHECK = (*_BACKUP_AND_RESTORE, CHECK)
_HOST = matches(HOST_NAME, "a host name, without scheme, port and path")


def _drain_query(text: str) -> str | None:
    """The rule of a drain query; what reads SQL is imported only where one is set."""
    from biztalk_services.drivers.biztalk.tracking.queries import problem_of_drain_query

    return _clause(problem_of_drain_query(text))


def _control_number_query(text: str) -> str | None:
    from biztalk_services.drivers.biztalk.tracking.queries import problem_of_control_number_query

    return _clause(problem_of_control_number_query(text))


def _clause(sentence: str | None) -> str | None:
    return sentence and f"{sentence[0].lower()}{sentence[1:]}".rstrip(".")


def _id_with(place: str) -> Rule:
    """The rule that a text is a connection id, which may hold this place for a name and no other."""
    return matches(
        rf"(?=.*[A-Za-z])([A-Za-z0-9._-]|\{{{place}\}}){{1,250}}",
        f"a connection id: letters, digits, '.', '_' and '-', with {{{place}}} where the name is to stand",
    )


@dataclass(frozen=True)
class BizTalkOptions:
    """How a service's surroundings are found, by names that follow from the service."""

    tracking_conn_id: str = option(
        "biztalk_tracking_{service}",
        "SQL connection to read a service's tracking database; {service} stands for its name in lower case.",
        dags=_AND_CHECK,
        rule=_id_with("service"),
        example="tracking_of_{service}",
    )
    drain_query: str = option(
        "",
        "SQL query that lists the batches that hold messages (columns agreement, batch, messages, oldest): one SELECT, "
        "which may use :service, the service's name, whatever the database. Empty: the query for the emulator's "
        "tracking schema.",
        dags=_AND_CHECK,
        rule=_drain_query,
        example="SELECT agreement, batch, messages, oldest FROM batches WHERE service = :service",
    )
    control_number_query: str = option(
        "",
        "SQL query that lists the control numbers given out since :since (columns agreement, kind, highest, latest, "
        "used, last_used): one SELECT, which has to use :since (text, ISO 8601 in UTC with Z) and may use :service. "
        "Empty: the query for the emulator's tracking schema.",
        dags=_AND_CHECK,
        rule=_control_number_query,
        example="SELECT agreement, kind, highest, latest, used, last_used FROM numbers WHERE given_out >= :since",
    )
    tracking_query_seconds: int = option(
        60,
        "Seconds after which a query of a tracking database is given up, whatever its server does.",
        dags=_AND_CHECK,
        minimum=1,
        maximum=240,
        example="30",
    )
    sent_interchanges_conn_id: str = option(
        "biztalk_sent_{service}",
        "Azure Blob Storage connection to an archive of the interchanges that a service has sent (extra: container, "
        "prefix), the second source of used control numbers; {service} stands for its name in lower case. Where there "
        "is no such connection, there is no second source.",
        dags=(RESTORE, CHECK),
        rule=_id_with("service"),
        example="sent_by_{service}",
    )
    control_number_partners: str = option(
        "",
        "What partners accept of control numbers, by agreement, as JSON; * is every other agreement. policy: unique, "
        "increasing or gapless; window_days: after which a number may come again, 0 for never. Empty: increasing, 0.",
        dags=(RESTORE,),
        rule=partners_rule,
        example='{"*": {"policy": "increasing", "window_days": 0}, "Fabrikam X12 send": {"policy": "gapless"}}',
    )
    access_control_conn_id: str = option(
        "biztalk_acs_{namespace}",
        "Connection to the Access Control namespace of a service, which guards its partner management; {namespace} "
        "stands for its name in lower case.",
        dags=_AND_CHECK,
        rule=_id_with("namespace"),
        example="acs_of_{namespace}",
    )
    tracking_store_conn_id: str = option(
        "biztalk_sql_{database}",
        "Connection with server, database, user and password as a service itself uses its tracking database; "
        "{database} stands for its name in lower case.",
        dags=_BACKUP_AND_RESTORE,
        rule=_id_with("database"),
        example="sql_of_{database}",
    )
    service_store_conn_id: str = option(
        "biztalk_store_{account}",
        "Azure Blob Storage connection to a service's archiving or monitoring store; {account} stands for its name.",
        dags=_BACKUP_AND_RESTORE,
        rule=_id_with("account"),
        example="store_of_{account}",
    )

    access_control_host: str = option(
        ACS_HOST,
        "Host of the Access Control Service, below which a namespace is; another one in a sovereign cloud "
        "(accesscontrol.chinacloudapi.cn).",
        dags=_AND_CHECK,
        rule=_HOST,
        example="accesscontrol.chinacloudapi.cn",
    )
    service_host: str = option(
        SERVICE_HOST,
        "What the host names of services end with; another one in a sovereign cloud (biztalk.chinacloudapi.cn).",
        dags=_AND_CHECK,
        rule=_HOST,
        example="biztalk.chinacloudapi.cn",
    )

    def access_control_conn_id_of(self, namespace: str) -> str:
        """Connection id of an Access Control namespace, which may be given with its host."""
        return self.access_control_conn_id.replace("{namespace}", read_namespace(namespace)[0].lower())

    def sent_interchanges_conn_id_of(self, service: str) -> str:
        """Connection id of the archive of interchanges that this service has sent."""
        return self.sent_interchanges_conn_id.replace("{service}", service.lower())

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
