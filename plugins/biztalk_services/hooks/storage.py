"""The storage account behind an Airflow connection.

Azure's libraries are imported where they are used: a DAG is parsed before every task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from biztalk_services.archive.storage import StorageAccount


def storage_account(conn_id: str) -> StorageAccount:
    """
    The account that a ``wasb`` connection leads to.

    :param conn_id: id of the connection
    """
    from airflow.providers.microsoft.azure.hooks.wasb import WasbHook

    from biztalk_services.archive.storage import StorageAccount

    return StorageAccount(WasbHook(wasb_conn_id=conn_id).get_conn())


def taken(account: StorageAccount, container: str) -> str | None:
    """Why a backup cannot have this container: there is one already. None when it is free."""
    from biztalk_services.archive.storage import ContainerExistsError

    try:
        account.check_container_is_free(container)
    except ContainerExistsError as error:
        return str(error)
    return None
