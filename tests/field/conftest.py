"""Tests on whole stacks in the surroundings that users have; each module starts its own, on free ports."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Allow the first test of a module the time that its stacks take to start."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(1200))
