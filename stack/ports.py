"""The TCP ports of a stack, all on 127.0.0.1."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from stack.errors import StackError

HOST = "127.0.0.1"
QUIET_PORTS = range(20000, 32768)
"""Above the demo stack's, below those that Linux (from 32768) and macOS (from 49152) assign to outgoing connections."""


@dataclass(frozen=True)
class Ports:
    """One port for each server of a stack. Each default can be changed by the environment variable `<FIELD>_PORT`."""

    airflow: int = 18080
    azurite: int = 10000
    emulator: int = 18443
    emulator_admin: int = 18444
    emulator_data: int = 18445
    postgres: int = 15432
    redis: int = 16379

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, default: Ports | None = None) -> Ports:
        """The ports of the demo stack: AIRFLOW_PORT, AZURITE_PORT, EMULATOR_PORT, EMULATOR_ADMIN_PORT,
        EMULATOR_DATA_PORT, POSTGRES_PORT, REDIS_PORT, else `default`.

        Raises `StackError` for a value that is no port number, or for one port given twice.
        """
        default, chosen = default or cls(), {}
        for field in dataclasses.fields(cls):
            text = environment.get(variable(field.name)) or str(getattr(default, field.name))
            if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
                raise StackError(f"{variable(field.name)} is {text!r}; give a port number between 1 and 65535.")
            chosen[field.name] = int(text)
        for name, port in chosen.items():
            twin = next((other for other in chosen if other != name and chosen[other] == port), None)
            if twin:
                raise StackError(f"{variable(name)} and {variable(twin)} are both {port}; give each its own port.")
        return cls(**chosen)

    @classmethod
    def free(cls) -> Ports:
        """Ports that nothing listens on at the moment, for a stack beside the demo stack.

        They are below the range from which the system assigns ports to outgoing connections: while a part of the
        stack is down, no connection can take its port.
        """
        listeners: list[socket.socket] = []
        try:
            for port in random.sample(QUIET_PORTS, len(QUIET_PORTS)):
                with contextlib.suppress(OSError):
                    listeners.append(socket.create_server((HOST, port)))
                if len(listeners) == len(dataclasses.fields(cls)):
                    return cls(*(listener.getsockname()[1] for listener in listeners))
            raise StackError(f"Too few free ports between {QUIET_PORTS[0]} and {QUIET_PORTS[-1]}; stop some programs.")
        finally:
            for listener in listeners:
                listener.close()


def variable(field: str) -> str:
    """The environment variable that sets a port, for example `AIRFLOW_PORT`."""
    return f"{field.upper()}_PORT"


def require_free(field: str, port: int) -> None:
    """Raise `StackError` when another program listens on the port that `Ports.<field>` names."""
    try:
        socket.create_server((HOST, port)).close()
    except PermissionError:
        raise StackError(
            f"Port {port} ({variable(field)}) may not be used by this account; choose one above 1023 with "
            f"{variable(field)}=<port>."
        ) from None
    except OSError:
        raise StackError(
            f"Port {port} ({variable(field)}) is already in use by another program on this machine; "
            f"stop that program or choose another port with {variable(field)}=<port>."
        ) from None
