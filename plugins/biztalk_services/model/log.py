"""What a flow logs with: Python's logger, or Airflow's."""

from __future__ import annotations

from typing import Any, Protocol


class Logger(Protocol):
    def info(self, event: str, *args: Any) -> Any: ...

    def warning(self, event: str, *args: Any) -> Any: ...

    def error(self, event: str, *args: Any) -> Any: ...
