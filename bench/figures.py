"""Figures of repeated measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median, quantiles


def p95(values: Sequence[float]) -> float:
    """The 95th percentile, interpolated between the measured values."""
    return quantiles(values, n=20, method="inclusive")[-1]


def table(rows: Mapping[str, Sequence[float]], unit: str, baseline: str) -> str:
    """
    A Markdown table: one row a variant, with the ratio of its median to that of the baseline.

    :param rows: variant -> its measured values
    :param unit: of the values
    :param baseline: name of the variant that the ratio refers to
    """
    lines = [
        f"| variant | runs | min ({unit}) | median | p95 | max | median / {baseline} |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, values in rows.items():
        figures = [min(values), median(values), p95(values), max(values)]
        shown = " | ".join(f"{figure:.2f}" for figure in figures)
        lines.append(f"| {name} | {len(values)} | {shown} | {median(values) / median(rows[baseline]):.2f} |")
    return "\n".join(lines)
