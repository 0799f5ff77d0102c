"""The index of the catalog: what a list shows of all records, in one blob, so that a list reads no record.

The records are the truth, and the index can be lost. It consists of

* one *pack* (``index/packs/<generation>``), which is written once; a newer one takes its place,
* one *marker* (``index/pending/<path of the record>``) for each record that may not be in it yet. It is written before
  its record, and deleted after a pack has the record.

So pack and markers name every record, whatever died where; docs/reliability.md goes through the deaths.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice

from biztalk_services.archive.blobs import Blobs
from biztalk_services.archive.errors import IndexContendedError, StorageError
from biztalk_services.archive.labels import labelled
from biztalk_services.archive.pack import DamagedIndexError, Pack
from biztalk_services.archive.parallel import in_parallel
from biztalk_services.model.backup import InvalidReferenceError
from biztalk_services.model.listing import ListedBackup, iso_in_utc

log = logging.getLogger(__name__)

FOLDERS = REFERENCES, QUARANTINE = "references", "set-aside"

FEW = 1_000
"""So many records are listed themselves, which takes less than half a second."""

MERGED_AT = 32
"""So many markers are merged into a new pack."""

CHECKED_EVERY = timedelta(days=1)
"""So often the pack is compared with all names of the catalog."""

BELIEVED_FOR = timedelta(days=2)
"""An index that was not compared with the catalog for so long is not used."""

GIVEN_UP_AFTER = timedelta(days=1)
"""A marker without a record is deleted when it is so old. Its writer writes it once more after the record."""

_INDEX, _PACKS, _PENDING = "index", "index/packs", "index/pending/"
_PACK = re.compile(rf"{_PACKS}/\d{{12}}")
_MARKER = re.compile(rf"{_PENDING}((?:{REFERENCES}|{QUARANTINE})/[^/]+/[^/]+\.json)")
_TRIES = 5
_READ_AGAIN = 100
"""So many records that could not be read are read again by each list."""

Look = Callable[[str], ListedBackup | InvalidReferenceError | None]
"""What a list shows of the record at a path; why it cannot be read; None: there is none."""


@dataclass(frozen=True)
class View:
    """What a list shows of the catalog.

    :param caveat: a sentence on why the index was not used, or is slow; None: nothing has to be said.
    """

    pack: Pack
    caveat: str | None = None


@dataclass(frozen=True)
class Renewal:
    """What became of the index.

    :param lacked: how many records of the catalog the former index did not know.
    :param gone: how many it knew that the catalog does not have any more.
    """

    references: int
    quarantined: int
    unreadable: int
    lacked: int
    gone: int


@dataclass(frozen=True)
class _State:
    """What stands in the folder of the index.

    :param generation: of the newest pack, 0 for none.
    :param pack: None: there is none, or it cannot be used.
    :param pending: path of a record -> when its marker was written.
    """

    generation: int
    pack: Pack | None
    pending: dict[str, datetime]


class CatalogIndex:
    """The index. Every method raises StorageError when the account was not reached or refused.

    :param catalog: container of the records.
    :param blobs: container of the index, where blobs may be deleted.
    :param look: reads a record; it is called in several threads.
    """

    def __init__(self, catalog: Blobs, blobs: Blobs, look: Look) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._look = look

    def announce(self, path: str) -> None:
        """Write the marker of a record: before the record is written, and once more after that. Where it is refused
        for good, the record is written all the same, and is listed after the next check."""
        try:
            self._blobs.write_once(_PENDING + path, {"record": path})
        except StorageError as error:
            if error.of_account or error.advice == "retry":
                raise
            log.warning("%s is not in the index of catalog %s. %s", path, self._catalog.place, error)

    def view(self, service: str | None, now: datetime) -> View:
        """What a list shows of the whole catalog, or at least of one service, newly read where there is not much.

        :param service: its name, any case; None: of all.
        """
        if service:
            few = self._survey([f"{folder}/{service.lower()}" for folder in FOLDERS], at_most=FEW)
            if few:
                return View(few)
        state = self._state()
        pack, caveat = state.pack, None
        if pack is None:
            caveat = "no index that can be used" if state.generation else "no index"
        elif not _is_recent(pack.checked_at, now, BELIEVED_FOR):
            caveat = f"an index that was last compared with it at {pack.checked_at or 'no time'}"
        few = None if pack and _size(pack) > FEW else self._survey(FOLDERS, at_most=FEW)
        if few:
            return View(few)
        if pack is None or caveat:
            surveyed = self._survey(FOLDERS)
            assert surveyed
            return View(surveyed, f"Catalog {self._catalog.place} has {caveat}, so all its records were listed.")
        again = [path for path, _ in islice(pack.unreadable(), _READ_AGAIN)]
        self._add(pack, {*state.pending, *again})
        if len(state.pending) > FEW:
            caveat = (
                f"{len(state.pending)} records of catalog {self._catalog.place} are not in its index yet, and were "
                "read one by one."
            )
        return View(pack, caveat)

    def named(self, backup: str, now: datetime) -> list[str]:
        """The paths of the references to backups of this name that the index knows; none where it cannot be used."""
        state = self._state()
        if state.pack is None or not _is_recent(state.pack.checked_at, now, BELIEVED_FOR):
            return []
        pending = [each for each in state.pending if each.startswith(REFERENCES) and each.endswith(f"/{backup}.json")]
        return list({*state.pack.named(REFERENCES, backup), *pending})

    def tidy(self, now: datetime) -> Renewal | None:
        """Do what the index needs: make it where it is missing, compare it with the catalog when that is due, take in
        what is pending when that is much; returns None where nothing was done."""
        state = self._state()
        if state.pack is None or not _is_recent(state.pack.checked_at, now, CHECKED_EVERY):
            return self.renew(now, known=state.pack)
        known = set(state.pack.paths())
        if sum(path not in known for path in state.pending) < MERGED_AT:
            return None
        found = self._add(state.pack, state.pending)
        self._replace(state, state.pack, found, now)
        return _renewal(state.pack, lacked=len(found - known), gone=0)

    def renew(self, now: datetime, known: Pack | None = None) -> Renewal:
        """Make a pack out of all names of the catalog.

        :param known: what is not read again, of records that have no label; None: all of them are read.
        :raises IndexContendedError: others replaced the index all the time.
        """
        before = None
        pack = self._survey(FOLDERS, known=known)
        assert pack
        pack.checked_at = now
        listed = set(pack.paths())
        for _ in range(_TRIES):
            # What came after the listing is pending now, or in the pack of somebody else.
            state = self._state()
            former = set(state.pack.paths()) if state.pack else set()
            before = former if before is None else before
            later = {each for each in chain(former, state.pending) if each not in listed}
            listed |= self._add(pack, later)
            if self._replace(state, pack, listed, now):
                return _renewal(pack, lacked=len(listed - before - state.pending.keys()), gone=len(before - listed))
        raise IndexContendedError(
            f"The index of catalog {self._catalog.place} was replaced by others {_TRIES} times meanwhile. It is used "
            "as they left it; try again."
        )

    def _state(self) -> _State:
        generation, pack = 0, None
        for _ in range(_TRIES):
            pending: dict[str, datetime] = {}
            packs: list[str] = []
            for blob in self._blobs.in_folder(_INDEX):
                if marker := _MARKER.fullmatch(blob.name):
                    pending[marker[1]] = blob.last_modified
                elif _PACK.fullmatch(blob.name):
                    packs.append(blob.name)
            if not packs:
                break
            newest = max(packs)
            generation = int(newest.rpartition("/")[2])
            # A pack that is there after the markers were listed has the records of all that were deleted before.
            pack, is_there = self._opened(newest)
            if is_there:
                break
        return _State(generation, pack, pending)

    def _opened(self, path: str) -> tuple[Pack | None, bool]:
        """A pack, None where it cannot be used; and whether it is there."""
        try:
            content = self._blobs.read(path)
            return (Pack.opened(content), True) if content is not None else (None, False)
        except (DamagedIndexError, StorageError) as error:
            if isinstance(error, StorageError) and error.of_account:
                raise
            log.warning("%s in %s is not used as the index of the catalog. %s", path, self._blobs.place, error)
            return None, True

    def _replace(self, state: _State, pack: Pack, contained: Collection[str], now: datetime) -> bool:
        """Write a pack that takes the place of the one in ``state``, and delete what it makes needless; False where
        somebody else did before."""
        path = f"{_PACKS}/{state.generation + 1:012}"
        if not self._blobs.write_once(path, pack.to_blob()):
            return False
        packs = [blob.name for blob in self._blobs.in_folder(_PACKS)]
        if max(packs, default="") != path:  # its place was free because two newer ones have come since
            self._blobs.delete(path)
            return False
        given_up = {each for each, written in state.pending.items() if written < now - GIVEN_UP_AFTER}
        needless = state.pending.keys() & {*contained, *given_up}
        try:
            # The older pack goes first: who has listed markers before reads it in vain, and lists again.
            for each in packs:
                if each < path:
                    self._blobs.delete(each)
            for _ in in_parallel(self._blobs.delete, [_PENDING + each for each in needless]):
                pass
        except StorageError as error:
            if error.of_account:
                raise
            log.warning("The index in %s is written; what it makes needless stays. %s", self._blobs.place, error)
        return True

    def _survey(self, folders: Iterable[str], *, at_most: int | None = None, known: Pack | None = None) -> Pack | None:
        """A pack of all records in these folders; None where there are more than ``at_most``."""
        pack, unlabelled, count = Pack(), [], 0
        page = None if at_most is None else at_most + 1

        def rows() -> Iterator[tuple[str, ListedBackup]]:
            nonlocal count
            for folder in folders:
                for blob in self._catalog.records(folder, with_metadata=True, page=page):
                    count += 1
                    if at_most is not None and count > at_most:
                        return
                    listed, top = labelled(blob), blob.name.partition("/")[0]
                    if listed and path_of(top, listed.service, listed.backup) == blob.name:
                        yield top, listed
                    else:
                        unlabelled.append(blob.name)

        pack.put(rows())
        if at_most is not None and count > at_most:
            return None
        if known and unlabelled:
            wanted = set(unlabelled)
            for folder in FOLDERS:
                for path, listed in known.rows(folder):
                    if path in wanted:
                        pack.put([(folder, listed)])
                        wanted.discard(path)
            unlabelled = sorted(wanted)
        self._add(pack, unlabelled)
        return pack

    def _add(self, pack: Pack, paths: Collection[str]) -> set[str]:
        """Read records into a pack; returns the paths of those that there are."""
        if not paths:
            return set()
        pack.remove(paths)
        found = set()
        for path, what in in_parallel(lambda path: (path, self._look(path)), paths):
            if isinstance(what, InvalidReferenceError):
                pack.put_unreadable(path, str(what))
            elif what is not None:
                pack.put([(path.partition("/")[0], what)])
            else:
                continue
            found.add(path)
        return found


def path_of(folder: str, service: str, backup_name: str) -> str:
    """The path of a record in the catalog."""
    return f"{folder}/{service.lower()}/{backup_name}.json"


def _size(pack: Pack) -> int:
    return sum(map(pack.count, FOLDERS))


def _is_recent(moment: str, now: datetime, within: timedelta) -> bool:
    """Whether an ISO text in UTC is at most so long ago; a moment far in the future is not."""
    return iso_in_utc(now - within) <= moment <= iso_in_utc(now + within)


def _renewal(pack: Pack, *, lacked: int, gone: int) -> Renewal:
    return Renewal(pack.count(REFERENCES), pack.count(QUARANTINE), len(pack.unreadable()), lacked, gone)
