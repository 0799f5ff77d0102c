"""The house: which room may import which, where Airflow is imported, and where the product's words may stand."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT

LIBRARY = ROOT / "plugins" / "biztalk_services"
MODULES = {path: ".".join(path.relative_to(LIBRARY).with_suffix("").parts) for path in sorted(LIBRARY.rglob("*.py"))}

FLOORS = {
    "model": (),
    "archive": ("model",),
    "drivers": ("model", "archive"),
    "flows": ("model", "archive", "drivers"),
    "provider": ("model", "archive", "drivers", "flows"),
    "cli": ("model", "archive", "drivers", "flows"),
    "__main__": ("model", "cli"),
}
"""Room -> the rooms below it that it may import."""

DRIVER = "drivers.biztalk"
REGISTRATION = {
    "provider.settings": "drivers.biztalk.options",
    "provider.hook": None,
    "provider.get_provider_info": None,
}
"""The connection type and the options of a driver are registered here."""

NOUNS = re.compile(
    r"BizTalk|MABS|[Cc]loud[ _]?[Ss]ervice|\bACS\b|Access ?Control|dn\d{6}|[Tt]racking database|[Ss]cale unit|UnitCount"
    r"|\"(Active|Suspended|Stopped|Suspending|Resuming|BackingUp|Deleting|RestoreFailed)\""
    r"|\"(free|developer|basic|standard|premium)\""
)
NAMES_OF_OURS = re.compile(r"biztalk[_-]\w[\w-]*|BIZTALK_|BizTalkOptions")
"""The package, its DAGs, connections and options are called so."""

EXCEPTIONS = {
    "model.backup": "reads references of schema version 1, which knew one kind of service",
    "model.redaction": "knows the names of secrets, whatever product has them",
    "provider.hook": "registers the connection type",
    "provider.get_provider_info": "registers the connection type",
    "provider.plugin": "is called so in Airflow",
    "drivers.registry": "names the drivers",
    "__init__": "says what the package is for",
    "__main__": "says what the program is for",
}


def imports_of(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions and for type checkers only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports_of(path: Path) -> set[str]:
    """The library's modules that a file imports."""
    known = set(MODULES.values())
    names = (
        name.removeprefix("biztalk_services.") for name in imports_of(path) if name.startswith("biztalk_services.")
    )
    return {name for name in names if name in known}


@pytest.mark.parametrize("path", MODULES, ids=MODULES.get)
def test_no_arrow_runs_up(path):
    module = MODULES[path]
    room = module.partition(".")[0]
    above = {name for name in own_imports_of(path) if name.partition(".")[0] not in (room, *FLOORS.get(room, ()))}
    assert above == set()


def test_there_is_no_circle():
    graph = {module: own_imports_of(path) - {module} for path, module in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


def test_a_circle_would_be_seen():
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()


@pytest.mark.parametrize("path", MODULES, ids=MODULES.get)
def test_airflow_is_imported_in_its_wing_only(path):
    airflow = {name for name in imports_of(path) if name.split(".")[0] == "airflow"}
    assert not airflow or MODULES[path].startswith("provider."), airflow


@pytest.mark.parametrize("path", MODULES, ids=MODULES.get)
def test_only_registration_imports_a_driver(path):
    module = MODULES[path]
    drivers = {name for name in own_imports_of(path) if name.startswith(DRIVER)}
    if not module.startswith(DRIVER):
        assert drivers <= {REGISTRATION.get(module)}


@pytest.mark.parametrize("path", MODULES, ids=MODULES.get)
def test_the_product_is_named_in_its_driver_only(path):
    module = MODULES[path]
    if module.startswith(DRIVER) or module in EXCEPTIONS:
        return
    lines = path.read_text().splitlines()
    named = {number: line.strip() for number, line in enumerate(lines, 1) if NOUNS.search(NAMES_OF_OURS.sub("", line))}
    assert named == {}


def test_every_exception_is_needed():
    by_module = {module: path for path, module in MODULES.items()}
    for module in EXCEPTIONS:
        text = by_module[module].read_text()
        assert NOUNS.search(NAMES_OF_OURS.sub("", text)) or "biztalk" in text, module
