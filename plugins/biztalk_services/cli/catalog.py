"""``list``: the backups in the catalog, however many; ``rebuild-index``: what makes that fast, made anew."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from time import monotonic
from typing import get_args

from biztalk_services.cli.options import open_archive, storage_options
from biztalk_services.cli.printing import printable, warn
from biztalk_services.model.backup import BackupKind, Level
from biztalk_services.model.durations import spoken
from biztalk_services.model.listing import ListedBackup, Wanted
from biztalk_services.model.tables import table_lines

LISTED, NOT_ALL_LISTED = 0, 1
_HEADINGS = ("backup", "service", "finished (UTC)", "age", "kind", "edition", "items", "verified", "batches", "label")
_LEVELS = {"matched": "every blob", "read": "read only"}


def add_list(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "list",
        parents=[storage_options()],
        help="list the backups in the catalog",
        description="Lists the backups in the catalog, the newest first, and those in quarantine, which are not valid. "
        "Each option leaves only those that it names; case does not matter.",
        epilog="Ends with 0 when all are listed, 1 when a record cannot be read, 2 when the catalog cannot be read.",
    )
    meant = "only those of this service (name or scope/name); also one that is deleted"
    parser.add_argument("service", nargs="?", default="", help=meant)
    when = "YYYY-MM-DD or YYYY-MM-DDTHH:MM, in UTC where no offset follows"
    parser.add_argument("--since", type=_moment, metavar="MOMENT", help=f"finished at this moment or later: {when}")
    parser.add_argument("--until", type=_moment, metavar="MOMENT", help="finished before this moment")
    parser.add_argument("--edition", help="of a service of this edition")
    parser.add_argument("--version", help="of a service of this product version")
    parser.add_argument("--kind", choices=get_args(BackupKind), help="taken for this reason")
    parser.add_argument("--verified", choices=get_args(Level), help="matched: every blob was compared with a list")
    newest = "only the newest of each service of those that the other options leave; none in quarantine"
    parser.add_argument("--newest", action="store_true", help=newest)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=list_backups)


def list_backups(arguments: argparse.Namespace) -> int:
    """Print what the catalog lists."""
    from biztalk_services.archive.catalog_index import QUARANTINE, REFERENCES

    scope, _, name = arguments.service.strip().rpartition("/")
    wanted = Wanted(
        service=name or None,
        scope=scope or None,
        since=arguments.since,
        until=arguments.until,
        edition=arguments.edition,
        version=arguments.version,
        kind=arguments.kind,
        verified=arguments.verified,
        newest=arguments.newest,
    )
    view = open_archive(arguments).catalog.view(wanted.service)
    if view.caveat:
        warn(f"{view.caveat} `rebuild-index` makes lists fast.")
    backups = view.pack.select(REFERENCES, wanted)
    quarantined = iter(()) if wanted.newest else view.pack.select(QUARANTINE, wanted)
    invalid = [sentence for path, sentence in view.pack.unreadable() if _is_of(path, wanted.service)]
    if arguments.json:
        _write(_as_json(backups, quarantined, invalid))
    else:
        where = f"{arguments.catalog}{f', service {arguments.service.strip()}' if name else ''}"
        # Only where there are several, for it is long: services of one address then differ by it alone.
        with_subscription = view.pack.subscriptions(wanted) > 1
        _write(map(printable, _as_table(backups, quarantined, where, with_subscription=with_subscription)))
        for sentence in invalid:
            warn(sentence)
    return NOT_ALL_LISTED if invalid else LISTED


def add_rebuild_index(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "rebuild-index",
        parents=[storage_options()],
        help="make the index of the catalog anew, which makes lists fast",
        description="Reads what all records of the catalog hold, and writes the index out of which `list` takes it. "
        "No record is changed. It may be run at any time, also beside backups.",
        epilog="Ends with 0 when the index is written, 2 when it is not.",
    )
    parser.set_defaults(run=rebuild_index)


def rebuild_index(arguments: argparse.Namespace) -> int:
    """Make the index anew and print what it has."""
    begun = monotonic()
    made = open_archive(arguments).catalog.rebuild_index()
    print(
        f"The index of catalog {arguments.catalog} has {made.references} backups, {made.quarantined} in quarantine, "
        f"and {made.unreadable} records that cannot be read; it was made in {monotonic() - begun:.0f} s. The former "
        f"one lacked {made.lacked} of them, and had {made.gone} that do not exist any more."
    )
    return LISTED


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no moment; write it as 2026-01-31 or 2026-01-31T02:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_of(path: str, service: str | None) -> bool:
    return service is None or path.split("/")[1] == service.lower()


def _write(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _as_json(backups: Iterator[ListedBackup], quarantined: Iterator[ListedBackup], invalid: list[str]) -> Iterator[str]:
    """One backup a line, so that a hundred thousand are made one after the other."""
    yield "{"
    for name, listed in (("backups", backups), ("quarantined", quarantined)):
        yield f' "{name}": ['
        comma = ""
        for each in listed:
            if comma:
                yield comma
            comma = f"  {json.dumps(each.summary())},"
        yield f"{comma.removesuffix(',')}\n ],"
    yield f' "invalid": {json.dumps(invalid)}\n}}'


def _as_table(
    backups: Iterator[ListedBackup], quarantined: Iterator[ListedBackup], where: str, *, with_subscription: bool
) -> Iterator[str]:
    now = datetime.now(UTC)
    columns = len(_HEADINGS) + with_subscription
    headings = (*_HEADINGS, "subscription")[:columns]
    first = next(backups, None)
    if first is None:
        yield f"There is no backup in catalog {where}."
    else:
        yield from table_lines(headings, (_row(each, now)[:columns] for each in _chain(first, backups)))
    first = next(quarantined, None)
    if first is not None:
        yield from ("", "In quarantine; these are not valid:", "")
        rows = ((*_row(each, now)[:3], each.reason or "") for each in _chain(first, quarantined))
        yield from table_lines((*_HEADINGS[:3], "why"), rows)


def _chain(first: ListedBackup, others: Iterator[ListedBackup]) -> Iterator[ListedBackup]:
    yield first
    yield from others


def _row(listed: ListedBackup, now: datetime) -> tuple[str, ...]:
    at = listed.finished_at
    return (
        listed.backup,
        f"{listed.scope}/{listed.service}",
        f"{at[:10]} {at[11:16]}",
        _age(at[:16], now),
        listed.kind,
        listed.edition,
        "unknown" if listed.items is None else str(listed.items),
        _LEVELS.get(listed.verified, listed.verified),
        "empty" if listed.drained else "not certain",
        listed.label or "",
        listed.subscription_id,
    )


@lru_cache(1_000)
def _age(minute: str, now: datetime) -> str:
    """How long a minute of UTC, ``yyyy-MM-ddTHH:mm``, is ago."""
    return spoken((now - datetime.fromisoformat(f"{minute}+00:00")).total_seconds())
