"""Records of nights: which services a nightly run set out to back up, which of them failed meanwhile, how it ended.

Each is written once. The month is a folder and the moment stands in the name, so that the newest are found without a
list of those of years; a night without the record of its end is under way, or its run died.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TypeVar

from biztalk_services.archive.blobs import Blobs
from biztalk_services.archive.errors import StorageError
from biztalk_services.archive.parallel import in_parallel
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.night import Night, NightEnd, airflow_mark, run_mark
from biztalk_services.model.plain import parsed
from biztalk_services.model.run import Run

log = logging.getLogger(__name__)

_FOLDER, _FAILED = "nights", "nights/failed"
_BEGUN, _ENDED = "begun", "ended"
_RECORD = re.compile(
    rf"{_FOLDER}/(\d{{4}}-\d\d/(\d\d-\d{{6}})-([0-9a-f]{{6}})-([0-9a-f]{{12}})-(\d{{1,6}}))/({_BEGUN}|{_ENDED})\.json"
)
_MONTHS = 4
"""As many folders are looked into; what is older says little about tonight."""
_OTHER_CLOCKS = timedelta(days=1)

T = TypeVar("T")


class InvalidNightError(BackupServiceError):
    """A record of a night cannot be read."""


@dataclass(frozen=True)
class KnownNight:
    """A night, as the names of its records show it.

    :param name: as :attr:`biztalk_services.model.night.Night.name`.
    :param begun_at: to the second, UTC.
    :param airflow: stands for the Airflow of its run, ``run`` for the run.
    :param services: how many it is for.
    :param has_ended: whether its end is recorded.
    """

    name: str
    begun_at: datetime
    airflow: str
    run: str
    services: int
    has_ended: bool

    def is_of(self, run: Run) -> bool:
        """Whether this is a night of that run; a run that was cleared may have several."""
        return (self.airflow, self.run) == (airflow_mark(run), run_mark(run))


class Nights:
    """The records. Every method raises StorageError when the account was not reached or refused."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def begin(self, night: Night) -> bool:
        """Write the plan of a night; False where there is one of this name, which stays."""
        return self._blobs.write_once(_path(night.name, _BEGUN), night.to_dict())

    def end(self, night: KnownNight, end: NightEnd) -> bool:
        """Write how a night ended; False where that was written before, which stays."""
        return self._blobs.write_once(_path(night.name, _ENDED), end.to_dict())

    def known(self, now: datetime, months: int = _MONTHS) -> Iterator[KnownNight]:
        """The nights, the newest first. A month is listed when the nights of the later ones were taken.

        :param now: aware.
        :param months: how many months are looked into.
        """
        for month in _months_back(now, months):
            found: dict[str, KnownNight] = {}
            for path in self._blobs.list(f"{_FOLDER}/{month}"):
                night = _known(path)
                if night is None:
                    log.warning("%s in %s is no record of a night, and is left alone.", path, self._blobs.place)
                elif not (night.name in found and found[night.name].has_ended):
                    found[night.name] = night
            yield from sorted(found.values(), key=lambda each: each.begun_at, reverse=True)

    def plan(self, night: KnownNight) -> Night:
        """The plan of a night.

        :raises InvalidNightError: there is none, or it cannot be read.
        """
        return self._read(night.name, _BEGUN, Night.from_dict)

    def end_of(self, night: KnownNight) -> NightEnd:
        """How a night ended; errors as :meth:`plan`."""
        return self._read(night.name, _ENDED, NightEnd.from_dict)

    def ended(self, now: datetime, sizes: range, most: int) -> tuple[list[NightEnd], list[str]]:
        """How the last nights of such sizes ended, the newest first, at most so many; and a sentence for each record of
        them that cannot be read."""
        wanted = islice((each for each in self.known(now) if each.has_ended and each.services in sizes), most)
        ends, invalid = [], []
        for end in in_parallel(self._tried_end, wanted):
            if isinstance(end, NightEnd):
                ends.append(end)
            else:
                invalid.append(str(end))
        return ends, invalid

    def note_failed(self, night: KnownNight, backup: str) -> bool:
        """Note that a service of a night has ended without this backup; False when that was noted before."""
        return self._blobs.write_once(f"{_FAILED}/{night.name}/{backup}.json", {"backup": backup})

    def failed(self, night: KnownNight) -> set[str]:
        """The names of the backups that a night failed to take, as far as that was noted."""
        folder = f"{_FAILED}/{night.name}"
        return {path.removeprefix(f"{folder}/").removesuffix(".json") for path in self._blobs.list(folder)}

    def _tried_end(self, night: KnownNight) -> NightEnd | BackupServiceError:
        try:
            return self.end_of(night)
        except InvalidNightError as error:
            return error
        except StorageError as error:
            if error.of_account:
                raise
            return error

    def _read(self, name: str, record: str, made: Callable[[object], T]) -> T:
        content = self._blobs.read(path := _path(name, record))
        try:
            if content is None:
                raise ValueError("there is none")
            return made(parsed(content))
        except ValueError as error:
            raise InvalidNightError(
                f"{path} in {self._blobs.place} is not the record of a night ({error}). Restore the blob, or move it "
                "away: it is then not counted."
            ) from None


def _path(name: str, record: str) -> str:
    return f"{_FOLDER}/{name}/{record}.json"


def _known(path: str) -> KnownNight | None:
    """The night that a record belongs to; None for a name that is none of a record."""
    if not (found := _RECORD.fullmatch(path)):
        return None
    name, moment, airflow, run, services, record = found.groups()
    try:
        begun_at = datetime.strptime(f"{name[:7]}-{moment}", "%Y-%m-%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return KnownNight(name, begun_at, airflow, run, int(services), record == _ENDED)


def _months_back(now: datetime, months: int) -> Iterator[str]:
    """The month that may have begun elsewhere, this one, and those before."""
    latest = (now + _OTHER_CLOCKS).astimezone(UTC)
    number = latest.year * 12 + latest.month - 1
    return (f"{each // 12:04}-{each % 12 + 1:02}" for each in range(number, number - months, -1))
