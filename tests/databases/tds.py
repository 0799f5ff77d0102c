"""A SQL Server as far as a driver needs one to log in and to be answered: TDS 7.4 on 127.0.0.1.

Written from MS-TDS: packet header 2.2.3.1, PRELOGIN 2.2.6.5, ALL_HEADERS 2.2.5.3, COLMETADATA 2.2.7.4, LOGINACK
2.2.7.14, ENVCHANGE 2.2.7.9, DONE 2.2.7.6, ROW 2.2.7.19, types 2.2.5.4.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

HOST = "127.0.0.1"
BATCH, RPC, ATTENTION, LOGIN, PRELOGIN = 0x01, 0x03, 0x06, 0x10, 0x12
COLLATION = bytes.fromhex("0904d00034")  # SQL_Latin1_General_CP1_CI_AS
COLUMNS = ("agreement", "number", "highest", "exact", "used_at", "sent_at", "updated")
TYPES = {
    "nvarchar": b"\xe7" + struct.pack("<H", 8000) + COLLATION,
    "int": b"\x26\x04",
    "bigint": b"\x26\x08",
    "decimal": b"\x6a\x11\x26\x00",  # decimal(38, 0)
    "datetime2": b"\x2a\x07",
    "datetimeoffset": b"\x2b\x07",
    "datetime": b"\x6f\x08",
}


class TdsServer:
    """Listens until it is closed; says what a script has.

    :param columns: name and type of each.
    :param rows: cells as Python has them; None is NULL.
    :param silent_from: after which it says nothing any more: ``login`` or ``query``; empty: it answers.
    """

    def __init__(
        self, columns: Sequence[tuple[str, str]] = (), rows: Sequence[Sequence[Any]] = (), silent_from: str = ""
    ) -> None:
        self.columns, self.rows, self.silent_from = columns, rows, silent_from
        self.batches: list[str] = []
        self.calls: list[bytes] = []
        self.logins: list[bytes] = []
        self._listener = socket.create_server((HOST, 0))
        self._open: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    @property
    def asked(self) -> list[str]:
        """The batches that ask for rows."""
        return [batch for batch in self.batches if "SELECT" in batch.upper()]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                kind, payload = _message(connection)
                answer = self._answer(kind, payload)
                if answer is not None:
                    connection.sendall(_packets(answer))

    def _answer(self, kind: int, payload: bytes) -> bytes | None:
        if kind == PRELOGIN:
            return None if self.silent_from == "login" else _prelogin()
        if kind == LOGIN:
            self.logins.append(payload)
            return _environment(1, "tracking", "master") + _collation() + _login_acknowledged() + _done()
        if kind == ATTENTION:
            return _done(status=0x20)
        if kind == RPC:
            self.calls.append(payload)
            if self.silent_from == "query":
                return None
            return self._result() + _done(0xFE, status=0x10, rows=len(self.rows))
        text = payload[struct.unpack_from("<I", payload)[0] :].decode("utf-16-le")
        self.batches.append(text)
        if "SELECT" not in text.upper():
            return _done()
        if self.silent_from == "query":
            return None
        return self._result() + _done(status=0x10, rows=len(self.rows))

    def _result(self) -> bytes:
        described = b"".join(
            struct.pack("<IH", 0, 0x09) + TYPES[kind] + _short_text(name) for name, kind in self.columns
        )
        rows = (
            b"\xd1" + b"".join(_cell(value, kind) for value, (_, kind) in zip(row, self.columns, strict=True))
            for row in self.rows
        )
        return b"\x81" + struct.pack("<H", len(self.columns)) + described + b"".join(rows)


@contextlib.contextmanager
def tds_server(*args: Any, **options: Any) -> Iterator[TdsServer]:
    server = TdsServer(*args, **options)
    try:
        yield server
    finally:
        server.close()


def _message(connection: socket.socket) -> tuple[int, bytes]:
    payload = b""
    while True:
        kind, status, length = struct.unpack(">BBH4x", _exactly(connection, 8))
        payload += _exactly(connection, length - 8)
        if status & 1:
            return kind, payload


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _packets(payload: bytes, size: int = 4088) -> bytes:
    parts = [payload[start : start + size] for start in range(0, len(payload), size)]
    return b"".join(
        struct.pack(">BBHHBB", 4, number == len(parts), len(part) + 8, 51, number % 256, 0) + part
        for number, part in enumerate(parts, 1)
    )


def _prelogin() -> bytes:
    """Version 16.0, no encryption, no further instances."""
    version, no_encryption = struct.pack(">BBHH", 16, 0, 1000, 0), b"\x02"
    options = b"\x00" + struct.pack(">HH", 11, 6) + b"\x01" + struct.pack(">HH", 17, 1) + b"\xff"
    return options + version + no_encryption


def _login_acknowledged() -> bytes:
    body = b"\x01\x74\x00\x00\x04" + _short_text("Microsoft SQL Server") + struct.pack(">BBH", 16, 0, 1000)
    return b"\xad" + struct.pack("<H", len(body)) + body


def _environment(kind: int, new: str, old: str) -> bytes:
    body = bytes([kind]) + _short_text(new) + _short_text(old)
    return b"\xe3" + struct.pack("<H", len(body)) + body


def _collation() -> bytes:
    body = b"\x07\x05" + COLLATION + b"\x00"
    return b"\xe3" + struct.pack("<H", len(body)) + body


def _done(token: int = 0xFD, status: int = 0, rows: int = 0) -> bytes:
    return struct.pack("<BHHQ", token, status, 0xC1 if rows else 0, rows)


def _short_text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode("utf-16-le")


def _cell(value: Any, kind: str) -> bytes:
    if kind == "nvarchar":
        if value is None:
            return b"\xff\xff"
        data = str(value).encode("utf-16-le")
        return struct.pack("<H", len(data)) + data
    data = b"" if value is None else _BINARY[kind](value)
    return bytes([len(data)]) + data


def _time(value: datetime) -> bytes:
    since_midnight = value - value.replace(hour=0, minute=0, second=0, microsecond=0)
    return (since_midnight // timedelta(microseconds=1) * 10).to_bytes(5, "little")


def _day(value: datetime) -> bytes:
    return (value.date() - date(1, 1, 1)).days.to_bytes(3, "little")


def _datetimeoffset(value: datetime) -> bytes:
    utc, offset = value.astimezone(UTC).replace(tzinfo=None), value.utcoffset() or timedelta()
    return _time(utc) + _day(utc) + struct.pack("<h", offset // timedelta(minutes=1))


def _decimal(value: Decimal) -> bytes:
    return bytes([value >= 0]) + abs(int(value)).to_bytes(16, "little")


def _datetime(value: datetime) -> bytes:
    since = value - datetime(1900, 1, 1)
    return struct.pack("<iI", since.days, round(since.seconds * 300 + since.microseconds * 3 / 10_000))


_BINARY = {
    "int": lambda value: struct.pack("<i", value),
    "bigint": lambda value: struct.pack("<q", value),
    "decimal": _decimal,
    "datetime2": lambda value: _time(value) + _day(value),
    "datetimeoffset": _datetimeoffset,
    "datetime": _datetime,
}
