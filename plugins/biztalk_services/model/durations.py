"""Durations as people say them."""

from __future__ import annotations


def spoken(seconds: float) -> str:
    """A duration, 0 or longer, in minutes, hours or days (``3 h 12 min``)."""
    hours, minutes = int(seconds // 3600), int(seconds % 3600 // 60)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
