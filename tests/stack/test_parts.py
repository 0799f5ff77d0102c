"""Parts: changes that require a new start are detected."""

from __future__ import annotations

import os

import pytest

from stack import Ports, parts
from stack.layouts import LOCAL
from stack.parts import Part


def test_a_new_installation_changes_the_fingerprint(tmp_path):
    stamp = tmp_path / "installed"
    part = Part("a", ["true"], {}, tmp_path, stamps=[stamp])
    seen = {part.fingerprint}
    for moment in (1, 2):
        stamp.write_text("lock")
        os.utime(stamp, (moment, moment))
        assert part.fingerprint not in seen
        assert part.fingerprint == part.fingerprint
        seen.add(part.fingerprint)


@pytest.fixture
def all_parts(tmp_path):
    ports = Ports()
    return [
        parts.azurite(tmp_path, ports),
        parts.emulator(tmp_path, ports, []),
        *parts.airflow(tmp_path, LOCAL.programs, {name: {} for name in LOCAL.programs}, tmp_path),
    ]


def test_a_part_restarts_after_an_installation_of_what_it_uses(all_parts):
    assert all(parts.PYTHON_INSTALLED in part.stamps for part in all_parts)
    assert [part.name for part in all_parts if parts.AZURITE_INSTALLED in part.stamps] == ["azurite"]
