"""What a package imports at run time that is neither its own nor Python's."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.utils import canonicalize_name

_PROVIDERS = "airflow.providers."


def distributions_behind(files: Iterable[Path], package: str, known: Iterable[str]) -> set[str]:
    """Names of the distributions that modules import.

    :param files: the modules
    :param package: the one that they belong to
    :param known: names to look for first, where several distributions share one package
    """
    modules = {name for file in files for name in imported(ast.parse(file.read_text()))}
    known = sorted(known, key=len, reverse=True)
    return {_distribution(name, known) for name in modules if not _at_hand(name, package)}


def imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names of the modules that are imported, but for those that only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield from (name for other in node.orelse for name in imported(other))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module and not node.level)
        else:
            yield from imported(node)


def _at_hand(name: str, package: str) -> bool:
    first = name.partition(".")[0]
    return first == package or first in sys.stdlib_module_names


def _distribution(name: str, known: list[str]) -> str:
    """The distribution of a module; of those that share its first name, the known one that has most of its name."""
    first = name.partition(".")[0]
    if name.startswith(_PROVIDERS):
        dashed = f"apache-airflow-providers-{name.removeprefix(_PROVIDERS).replace('.', '-')}-"
    elif first == "airflow":
        return "apache-airflow"
    else:
        dashed = f"{name.replace('.', '-')}-"
    for each in known:
        if dashed.startswith(f"{each}-"):
            return each
    return canonicalize_name(packages_distributions().get(first, [first])[0])
