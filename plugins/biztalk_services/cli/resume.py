"""``resume``: resumes services that are suspended."""

from __future__ import annotations

import argparse
import getpass
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from biztalk_services.cli.options import open_archive, storage_is_given, storage_options
from biztalk_services.cli.printing import moment, printable, warn
from biztalk_services.cli.shell import shell
from biztalk_services.drivers.base import Driver
from biztalk_services.flows.find import find_service
from biztalk_services.flows.resume import resume_services
from biztalk_services.flows.watchdog import Action, decide
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.records import SuspensionRecord
from biztalk_services.model.run import RunState
from biztalk_services.model.service import Phase, Service, ServiceKey, ServiceRef

if TYPE_CHECKING:
    from biztalk_services.archive.suspensions import SuspensionRecords

RESUMED, NOT_RESUMED = 0, 1


def add_resume(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "resume",
        parents=[shell().connection_options(), storage_options()],
        help="resume one service, or every overdue service suspended by this tool",
        description="Requests that a service is resumed, waits until it is running, and closes its suspension record. "
        "A service that is running is left alone; one that is in transition is waited for.",
        epilog="Ends with 0 when every service that was meant is running, 1 when one is not, 2 when no request could "
        "be sent.",
    )
    meant = parser.add_mutually_exclusive_group(required=True)
    meant.add_argument("service", nargs="?", help="its address: scope/name; whoever suspended it")
    meant.add_argument("--overdue", action="store_true", help="every service that a run suspended and that is overdue")
    parser.add_argument(
        "--deadline-minutes", type=_minutes, default=15.0, help="how long to wait in all (default: %(default)g)"
    )
    parser.set_defaults(run=resume)


def resume(arguments: argparse.Namespace) -> int:
    """Resume what is meant; prints what became of each service."""
    deadline = datetime.now(UTC) + timedelta(minutes=arguments.deadline_minutes)
    with shell().open_driver(arguments) as driver:
        return (_overdue if arguments.overdue else _named)(driver, arguments, deadline)


def _named(driver: Driver, arguments: argparse.Namespace, deadline: datetime) -> int:
    service = driver.get_service(ServiceRef.parse(arguments.service))
    archive: SuspensionRecords | None = None
    records: list[SuspensionRecord] = []
    if storage_is_given(arguments):
        try:
            archive = open_archive(arguments).suspensions
            records, _ = archive.list_open(ServiceKey(driver.subscription_id, service.ref))
        except BackupServiceError as error:
            warn(f"The suspension records cannot be read, and stay open. {error}")
    else:
        warn("Without the storage account the suspension record, if there is one, stays open.")
    if service.phase is Phase.RUNNING:
        _print(f"{service.ref} is {service.state}; no request was sent.")
        for record in records:
            _close_obsolete(archive, record, service, records)
        return RESUMED
    return _resume(driver, archive, {service.ref: records}, deadline)


def _overdue(driver: Driver, arguments: argparse.Namespace, deadline: datetime) -> int:
    """Whether the runs that suspended them are active is not known here: only the deadlines count."""
    archive = open_archive(arguments).suspensions
    everywhere, invalid = archive.list_open()
    for sentence in invalid:
        warn(sentence)
    records = [each for each in everywhere if each.is_of(driver.subscription_id)]
    services = {str(service.ref).lower(): service for service in driver.list_services(warn)}
    due: dict[ServiceRef, list[SuspensionRecord]] = {}
    all_known = not invalid
    for record in records:
        try:
            # One list is no proof that a service is deleted.
            service = services.get(record.service.lower()) or find_service(driver, ServiceRef.parse(record.service))
        except BackupServiceError as error:
            warn(f"{record.service} is not listed, and it is unknown whether it exists. {error}")
            all_known = False
            continue
        if _close_obsolete(archive, record, service, records):
            continue
        if service and record.resume_by <= datetime.now(UTC):
            due[service.ref] = [record]
        else:
            _print(f"{record.service} is left alone: its deadline is {moment(record.resume_by)} UTC.")
    if not due:
        _print("No service that a run suspended is overdue.")
    code = _resume(driver, archive, due, deadline)
    return code if all_known else NOT_RESUMED


def _resume(
    driver: Driver, archive: SuspensionRecords | None, due: dict[ServiceRef, list[SuspensionRecord]], deadline: datetime
) -> int:
    code, request_id = RESUMED, f"shell:{uuid4().hex}"
    for ref, ending in resume_services(driver, list(due), request_id=request_id, deadline=deadline, log=_print):
        _print(ending.sentence)
        if not ending.resumed:
            code = NOT_RESUMED
        for record in due[ref] if ending.resumed else ():
            _close(archive, record, f"service is {driver.info.running_state} after it was resumed by hand")
    return code


def _close_obsolete(
    archive: SuspensionRecords | None, record: SuspensionRecord, service: Service | None, others: list[SuspensionRecord]
) -> bool:
    """Close a record whose service needs no resume any more, whatever its run does; whether it is such a record."""
    superseded, now = record.is_superseded(others), datetime.now(UTC)
    action, why = decide(record, service, run_state=RunState.UNKNOWN, superseded=superseded, now=now, grace=timedelta())
    if action is Action.CLOSE:
        _close(archive, record, why)
    return action is Action.CLOSE


def _close(archive: SuspensionRecords | None, record: SuspensionRecord, why: str) -> None:
    if archive is None:
        return
    try:
        archive.close(record, by=f"{_person()}, by hand", reason=why)
    except BackupServiceError as error:
        warn(f"The suspension record of {record.service} stays open. {error}")
    else:
        _print(f"The suspension record of {record.service} is closed: {why}.")


def _person() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a process without a user's name
        user = "unknown user"
    return f"{user}@{socket.gethostname()}"


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0 < minutes < 10_000:
        raise ValueError
    return minutes


def _print(sentence: str) -> None:
    with suppress(BrokenPipeError):  # the output is closed; the services are resumed all the same
        print(printable(sentence), flush=True)
