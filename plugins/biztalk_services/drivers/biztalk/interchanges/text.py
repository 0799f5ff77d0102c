"""EDI text that arrives piece by piece, read segment by segment."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

LONGEST_SEGMENT = 2**20
"""Bytes that a segment may have, so that a text without terminators is not kept as a whole."""

_BLANKS = re.compile(rb"[\r\n\t \x00\x1a]*")
_OVERLAP = 64
"""Bytes that a pattern of :meth:`EdiText.find` has at the most."""


class EdiText:
    """A text and the place in it that was reached.

    :param pieces: its bytes, in pieces of any size.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = _single_bytes(pieces)
        self._buffer = b""
        self._at = self._begin = self._dropped = 0

    @property
    def place(self) -> int:
        """Bytes from the beginning of the text to here."""
        return self._dropped + self._at

    def find(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """The next match, at which the text then is; None, and the end of the text, when there is none.

        :param pattern: of at most 64 bytes.
        """
        while True:
            match = pattern.search(self._buffer, self._at)
            if match:
                self._at = match.start()
                return match
            self._at = max(self._at, len(self._buffer) - _OVERLAP)
            if not self._more(self._at):
                self._at = len(self._buffer)
                return None

    def peek(self, size: int) -> bytes:
        """The next bytes, fewer at the end of the text."""
        while len(self._buffer) - self._at < size and self._more(self._at):
            pass
        return self._buffer[self._at : self._at + size]

    def skip(self, size: int) -> None:
        """Go on by so many bytes, or to the end of the text."""
        while size > len(self._buffer) - self._at:
            size -= len(self._buffer) - self._at
            self._at = len(self._buffer)
            if not self._more(self._at):
                return
        self._at += size

    def segment(self, terminator: bytes, release: bytes = b"") -> bytes | None:
        """The next segment without blanks before it and without its terminator, behind which the text then is.

        None, where the text stays, when there is none, or none that ends within the longest.

        :param release: the character that makes the next one plain text; empty: there is none.
        """
        self._blanks()
        self._begin = self._at
        searched = 0
        while True:
            end = self._buffer.find(terminator, self._at + searched)
            if end < 0:
                searched = len(self._buffer) - self._at
                if searched > LONGEST_SEGMENT or not self._more(self._at):
                    return None
                self._begin = self._at
                continue
            found = self._buffer[self._at : end]
            if not ends_released(found, release):
                self._at = end + 1
                return found
            searched = len(found) + 1

    def back(self) -> None:
        """Return to the beginning of the segment that was read last, or was not there."""
        self._at = self._begin

    def _blanks(self) -> None:
        while True:
            blanks = _BLANKS.match(self._buffer, self._at)
            assert blanks
            self._at = blanks.end()
            if self._at < len(self._buffer) or not self._more(self._at):
                return

    def _more(self, keep: int) -> bool:
        """Read on, and forget what is before a place in the buffer; False at the end of the text."""
        piece = next(self._pieces, None)
        if piece is None:
            return False
        self._dropped += keep
        self._at -= keep
        self._buffer = self._buffer[keep:] + piece
        return True


def ends_released(part: bytes, release: bytes) -> bool:
    """Whether an odd number of release characters stands at the end, so that what follows is plain text."""
    return bool(release) and (len(part) - len(part.rstrip(release))) % 2 == 1


def _single_bytes(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The text with one byte for each character of the envelopes, in whatever encoding it is stored."""
    first = next(pieces, b"")
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        decoder = codecs.getincrementaldecoder("utf-16")("replace")
        yield decoder.decode(first).encode()
        for piece in pieces:
            yield decoder.decode(piece).encode()
        return
    yield first
    yield from pieces
