"""Records of restores: what was restored as what, who approved it, how it went, how long it took."""

from __future__ import annotations

from typing import Any

from biztalk_services.archive.blobs import Blobs
from biztalk_services.model.plain import parsed

_FOLDER = "restores"
_MOST_READ = 20


class RestoreRecords:
    """The records. Every method raises StorageError when the account was not reached or refused."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def record(self, service: str, when: str, values: dict[str, Any]) -> str:
        """Write a record, once, as ``restores/<service in lower case>/<when>.json``; returns its URL.

        :param when: moment of the run, fit for a blob's name (``20261125-081700``).
        :param values: plain JSON values without secrets.
        """
        path = f"{_FOLDER}/{service.lower()}/{when}.json"
        self._blobs.write_once(path, values)
        return self._blobs.url(path)

    def durations(self, service: str) -> list[float]:
        """Seconds that the last successful restores of a service took, the newest first; empty when there were none.
        Records that cannot be read are ignored."""
        paths = self._blobs.list(f"{_FOLDER}/{service.lower()}")[::-1][:_MOST_READ]
        seconds = (_seconds(self._blobs.read(path)) for path in paths)
        return [each for each in seconds if each]


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
