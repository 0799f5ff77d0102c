"""What the DAG is measured against: the same REST calls in a plain script, which verifies and records nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import requests

POLL_SECONDS = 0.5
RESPONSE_SECONDS = 30
WAIT_SECONDS = 300


def back_up(session: requests.Session, service_url: str, connection_string: str, backup_name: str) -> None:
    """
    Suspend, back up, resume.

    Raises ``requests.RequestException`` when a request is refused or has no response within `RESPONSE_SECONDS`, and
    ``RuntimeError`` when the service or the backup fails, or a wait takes longer than `WAIT_SECONDS`.

    :param session: with the management certificate and the ``x-ms-version`` header
    :param service_url: pass-through address of the service (``.../~/biztalk/<name>``)
    :param connection_string: of the storage account
    :param backup_name: name of the new container
    """
    _suspend_and_back_up(session, service_url, connection_string, backup_name)
    _resume(session, service_url)


def restore(
    session: requests.Session, service_url: str, connection_string: str, safety_backup_name: str, backup_name: str
) -> None:
    """
    Suspend, back up, delete, restore to the same name as soon as it is free, resume. Raises as `back_up`.

    :param session: as of `back_up`
    :param service_url: as of `back_up`
    :param connection_string: of the storage account of both backups
    :param safety_backup_name: name of the new container
    :param backup_name: name of the backup that is restored
    """
    _suspend_and_back_up(session, service_url, connection_string, safety_backup_name)
    resource = service_url.replace("/~/", "/")
    session.delete(resource, timeout=RESPONSE_SECONDS).raise_for_status()
    _await("gone", lambda: _read(session, service_url, "SubState", missing="gone"))
    body = (
        "<Resource><SchemaVersion>1.0</SchemaVersion><Plan/><IntrinsicSettings><ServiceRestoreSettings>"
        f"<BackupStoreConnectionString>{connection_string}</BackupStoreConnectionString>"
        f"<BackupName>{backup_name}</BackupName></ServiceRestoreSettings></IntrinsicSettings></Resource>"
    )
    _await("accepted", lambda: _put(session, resource, body))
    _await("Suspended", lambda: _read(session, service_url, "SubState"))
    _resume(session, service_url)


def _suspend_and_back_up(session: requests.Session, service_url: str, connection_string: str, backup_name: str) -> None:
    _post(session, f"{service_url}?comp=suspend")
    _await("Suspended", lambda: _read(session, service_url, "SubState"))
    body = (
        f"<ServiceBackupSettings><BackupStoreConnectionString>{connection_string}</BackupStoreConnectionString>"
        f"<BackupName>{backup_name}</BackupName></ServiceBackupSettings>"
    )
    operation = _post(session, f"{service_url}?comp=backup", body)
    _await("Succeeded", lambda: _read(session, f"{service_url}?OperationStatus/{operation}", "Result"))


def _resume(session: requests.Session, service_url: str) -> None:
    _post(session, f"{service_url}?comp=resume")
    _await("Active", lambda: _read(session, service_url, "SubState"))


def _put(session: requests.Session, url: str, body: str) -> str:
    """Return ``accepted``, or ``name in use`` while the name is not free."""
    headers = {"Content-Type": "application/xml", "x-ms-client-request-id": "bare-script"}
    response = session.put(url, data=body, headers=headers, timeout=RESPONSE_SECONDS)
    if response.status_code == requests.codes.conflict:
        return "name in use"
    response.raise_for_status()
    return "accepted"


def _post(session: requests.Session, url: str, body: str | None = None) -> str:
    response = session.post(url, data=body, headers={"Content-Type": "application/xml"}, timeout=RESPONSE_SECONDS)
    response.raise_for_status()
    return response.headers["x-ms-request-id"]


def _read(session: requests.Session, url: str, element: str, missing: str | None = None) -> str:
    response = session.get(url, timeout=RESPONSE_SECONDS)
    if missing and response.status_code == requests.codes.not_found:
        return missing
    response.raise_for_status()
    found = re.search(rf"<{element}>([^<]+)<", response.text)
    if not found:
        raise RuntimeError(f"The response of {url} has no {element}.")
    return found[1]


def _await(wanted: str, read: Callable[[], str]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while (seen := read()) != wanted:
        if "Failed" in seen:
            raise RuntimeError(f"The wait for {wanted} failed: the state is {seen}.")
        if time.monotonic() > deadline:
            raise RuntimeError(f"The wait for {wanted} timed out after {WAIT_SECONDS} s: the state is still {seen}.")
        time.sleep(POLL_SECONDS)
