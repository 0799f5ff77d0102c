"""Records of restores: what was restored as what, who approved it, how it went, how long it took."""

from __future__ import annotations

import logging
from itertools import count
from typing import Any

from biztalk_services.archive.blobs import Blobs, json_bytes
from biztalk_services.archive.errors import StorageError
from biztalk_services.model.plain import parsed

log = logging.getLogger(__name__)

_FOLDER = "restores"
_MOST_READ = 20


class RestoreRecords:
    """The records. Every method raises StorageError when the account was not reached or refused."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def record(self, service: str, when: str, values: dict[str, Any]) -> str:
        """Write a record, once, as ``restores/<service in lower case>/<when>.json``; returns its URL. Where there is
        one that says something else, of a run that was cleared and went on, a number is added to the name.

        :param when: moment and run, fit for a blob's name (``20261125-081700-3f0a11bc42d9``).
        :param values: plain JSON values without secrets.
        """
        for number in count(1):
            path = f"{_FOLDER}/{service.lower()}/{when}{f'-{number}' if number > 1 else ''}.json"
            if self._blobs.write_once(path, values) or _decisive(self._content(path)) == _decisive(json_bytes(values)):
                break
        return self._blobs.url(path)

    def durations(self, service: str) -> list[float]:
        """Seconds that the last successful restores of a service took, the newest first; empty when there were none.
        Records that cannot be read are ignored."""
        paths = self._blobs.list(f"{_FOLDER}/{service.lower()}")[::-1][:_MOST_READ]
        seconds = (_seconds(self._content(path)) for path in paths)
        return [each for each in seconds if each]

    def _content(self, path: str) -> bytes | None:
        try:
            return self._blobs.read(path)
        except StorageError as error:
            if error.of_account:
                raise
            log.warning("%s", error)
            return None


def _decisive(content: bytes | None) -> Any:
    """What a record says, without how long the restore took, which is another time at each try; None when it cannot be
    read."""
    try:
        record = parsed(content or b"")
    except ValueError:
        return None
    return record | {"seconds": None} if isinstance(record, dict) else None


def _seconds(content: bytes | None) -> float | None:
    """How long a successful restore took; None for every other record."""
    try:
        record = parsed(content or b"")
    except ValueError:
        return None
    if not isinstance(record, dict) or record.get("outcome") != "restored":
        return None
    seconds: Any = record.get("seconds")
    return float(seconds) if type(seconds) in (int, float) and seconds > 0 else None
