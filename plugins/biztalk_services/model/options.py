"""The description of an option: configuration, provider information and the docs all come from it."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def option(default: str | int, description: str, *, minimum: int | None = None, maximum: int | None = None) -> Any:
    """A field of a dataclass that is an option in the configuration."""
    return field(default=default, metadata={"description": description, "minimum": minimum, "maximum": maximum})
