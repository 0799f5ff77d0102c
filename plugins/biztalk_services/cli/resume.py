"""``resume``: brings services back that stand still."""

from __future__ import annotations

import argparse
import getpass
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from biztalk_services.cli.bring_back import bring_back
from biztalk_services.cli.credentials import (
    management_options,
    storage,
    storage_is_given,
    storage_options,
    subscription,
)
from biztalk_services.cli.printing import moment, printable
from biztalk_services.drivers.biztalk.wire.client import BizTalkServicesClient
from biztalk_services.flows.suspension import Verdict, is_same_subscription, judge
from biztalk_services.model.errors import BackupServiceError, ServiceNotFoundError
from biztalk_services.model.run import Owner
from biztalk_services.model.service import ServiceRef

if TYPE_CHECKING:
    from biztalk_services.archive.suspensions import SuspensionRecords
    from biztalk_services.model.records import SuspensionRecord
    from biztalk_services.model.service import Service

BACK, NOT_BACK = 0, 1


def add_resume(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Make the command known."""
    parser = commands.add_parser(
        "resume",
        parents=[management_options(), storage_options()],
        help="bring a service back, or all that we suspended and that are due",
        description="Asks a service to resume, waits until it is Active, and closes our suspension ticket. A service "
        "that is Active is left alone; one that is on its way is waited for.",
        epilog="Ends with 0 when every service that was meant is Active, 1 when one is not, 2 when nothing could be "
        "asked.",
    )
    meant = parser.add_mutually_exclusive_group(required=True)
    meant.add_argument("service", nargs="?", help="its address: cloud service/name; we need not have suspended it")
    meant.add_argument(
        "--overdue", action="store_true", help="all services that we suspended and that should be back by now"
    )
    parser.add_argument(
        "--deadline-minutes", type=_minutes, default=15.0, help="how long to wait in all (default: %(default)g)"
    )
    parser.set_defaults(run=resume)


def resume(arguments: argparse.Namespace) -> int:
    """Bring back what is meant; says of each service what happened to it.

    :param arguments: ``service`` (address) or ``overdue``; ``deadline_minutes``.
    :returns: exit code.
    :raises BackupServiceError: nothing could be asked.
    """
    deadline = datetime.now(UTC) + timedelta(minutes=arguments.deadline_minutes)
    with subscription(arguments) as client:
        return (_overdue if arguments.overdue else _named)(client, arguments, deadline)


def _named(client: BizTalkServicesClient, arguments: argparse.Namespace, deadline: datetime) -> int:
    service = client.get_service(ServiceRef.parse(arguments.service))
    tickets, found = None, []
    if storage_is_given(arguments):
        try:
            tickets = _tickets(arguments)
            found = _of(client, tickets.look(str(service.address))[0])
        except BackupServiceError as error:
            _warn(f"Our suspension tickets cannot be read, and stay open. {error}")
    else:
        _warn("Without the storage account our suspension ticket, if there is one, stays open.")
    if service.state == "Active":
        _say(f"{service.address} is Active; nothing was asked of it.")
        for ticket in found:
            verdict, why = _judged(ticket, service, found)
            if verdict is Verdict.CLOSE:
                _close(tickets, ticket, why)
        return BACK
    return _bring_back(client, tickets, {service.address: found}, deadline)


def _overdue(client: BizTalkServicesClient, arguments: argparse.Namespace, deadline: datetime) -> int:
    """Nobody here can ask whether the runs that suspended them still work: only their time counts."""
    tickets = _tickets(arguments)
    found, unusable = tickets.look()
    for sentence in unusable:
        _warn(sentence)
    ours = _of(client, found)
    services = {str(service.address).lower(): service for service in client.list_services()}
    due: dict[ServiceRef, list[SuspensionRecord]] = {}
    all_known = not unusable
    for ticket in ours:
        try:
            service = services.get(ticket.service.lower()) or _unlisted(client, ticket)
        except BackupServiceError as error:
            _warn(f"{ticket.service} is not listed, and whether it is there is not known. {error}")
            all_known = False
            continue
        verdict, why = _judged(ticket, service, ours)
        if verdict is Verdict.CLOSE:
            _close(tickets, ticket, why)
        elif service and ticket.back_by <= datetime.now(UTC):
            due[service.address] = [ticket]
        else:
            _say(f"{ticket.service} is left alone: it has time until {moment(ticket.back_by)} UTC.")
    if not due:
        _say("No service is due that we suspended.")
    code = _bring_back(client, tickets, due, deadline)
    return code if all_known else NOT_BACK


def _unlisted(client: BizTalkServicesClient, ticket: SuspensionRecord) -> Service | None:
    """The service that a list did not show: one list is no proof that it is gone."""
    try:
        return client.get_service(ServiceRef.parse(ticket.service))
    except ServiceNotFoundError:
        return None


def _bring_back(
    client: BizTalkServicesClient,
    tickets: SuspensionRecords | None,
    due: Mapping[ServiceRef, Sequence[SuspensionRecord]],
    deadline: datetime,
) -> int:
    code, request_id = BACK, f"shell:{uuid4().hex}"
    for address, ending in bring_back(client, list(due), request_id=request_id, deadline=deadline, tell=_say):
        _say(ending.sentence)
        if not ending.back:
            code = NOT_BACK
        for ticket in due[address] if ending.back else ():
            _close(tickets, ticket, "seen Active after it was resumed by hand")
    return code


def _judged(
    ticket: SuspensionRecord, service: Service | None, others: Sequence[SuspensionRecord]
) -> tuple[Verdict, str]:
    """What is to be done about a suspension of whose run nothing is known, and why."""
    from biztalk_services.archive.suspensions import is_superseded, suspension_of

    suspension = suspension_of(ticket, service, owner=Owner.UNKNOWN, superseded=is_superseded(ticket, others))
    return judge(suspension, now=datetime.now(UTC), grace=timedelta())


def _close(tickets: SuspensionRecords, ticket: SuspensionRecord, why: str) -> None:
    try:
        tickets.close(ticket, by=f"{_person()}, by hand", how=why)
    except BackupServiceError as error:
        _warn(f"The suspension ticket of {ticket.service} stays open. {error}")
    else:
        _say(f"The suspension ticket of {ticket.service} is closed: {why}.")


def _tickets(arguments: argparse.Namespace) -> SuspensionRecords:
    from biztalk_services.archive.suspensions import SuspensionRecords

    return SuspensionRecords(storage(arguments).client, arguments.catalog)


def _of(client: BizTalkServicesClient, tickets: Sequence[SuspensionRecord]) -> list[SuspensionRecord]:
    """The tickets on services of this subscription."""
    return [each for each in tickets if is_same_subscription(each.subscription_id, client.subscription_id)]


def _person() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a process without a user's name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0 < minutes < 10_000:
        raise ValueError
    return minutes


def _say(sentence: str) -> None:
    with suppress(BrokenPipeError):  # nobody reads any more; the services come back all the same
        print(printable(sentence), flush=True)


def _warn(sentence: str) -> None:
    print(printable(sentence), file=sys.stderr, flush=True)
