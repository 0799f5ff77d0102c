"""The night of a fleet: beside an earlier build, with one Celery worker beside two, or of this build alone."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression, median
from typing import Any

from bench import builds
from bench.figures import p95
from bench.night import Plan
from stack.layouts import LAYOUTS

Result = Mapping[str, Any]
"""What :func:`bench.night.measure` returns."""

BUILDS: dict[str, Callable[[], contextlib.AbstractContextManager[Path]]] = {
    "before": builds.earlier,
    "after": builds.present,
}
PARALLEL_OPTION = {"before": "services_at_once", "after": "max_concurrent_backups"}
FIRST = 100
"""Memory may grow while the first services are backed up, and is compared from then on."""
ENOUGH_SAMPLES = 5
END_SECONDS = 60
SMALL = ["--services", "60", "--parallel", "15", "--backup-seconds", "20"]
LONG = ["--services", "500", "--parallel", "25", "--backup-seconds", "60", "--alone", "0", "--only", "after"]
HUGE = [*LONG, "--services", "2500", "--seconds", "1800"]


@dataclass(frozen=True)
class Variant:
    """What is measured: `build` is `before` or `after`."""

    build: str
    workers: int | None

    def __str__(self) -> str:
        workers = "" if self.workers is None else f", {self.workers} worker{'s' * (self.workers > 1)}"
        return self.build + workers


def measure(arguments: Sequence[str] = ()) -> str:
    """60 small services, 15 at once, by the earlier build and by this one in turn; other `arguments`: see --help."""
    return _measure([*SMALL, *arguments])


def measure_long(arguments: Sequence[str] = ()) -> str:
    """500 services of this build alone: the whole night."""
    return _measure([*LONG, *arguments])


def measure_huge(arguments: Sequence[str] = ()) -> str:
    """2,500 services of this build alone: half an hour of the night, for the scheduler and the watchdog."""
    return _measure([*HUGE, *arguments])


def _measure(arguments: Sequence[str]) -> str:
    options = _options(arguments)
    chosen = [options.only] if options.only else list(BUILDS)
    workers = options.workers if options.layout == "distributed" else [None]
    variants = [Variant(build, number) for build in chosen for number in workers]
    results: dict[Variant, list[Result]] = {variant: [] for variant in variants}
    with contextlib.ExitStack() as open_builds:
        folders = {build: open_builds.enter_context(BUILDS[build]()) for build in chosen}
        for number in range(options.rounds):
            for variant in variants if number % 2 == 0 else reversed(variants):
                print(f"Round {number + 1} of {options.rounds}: {variant}", file=sys.stderr, flush=True)
                results[variant].append(_run(folders[variant.build], variant, options))
                if options.keep:
                    options.keep.write_text(json.dumps({str(each): found for each, found in results.items() if found}))
    return report(results)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench fleet", description=measure.__doc__)
    parser.add_argument("--services", type=int, help="of the night")
    parser.add_argument("--parallel", type=int, help="how many are backed up at the same time")
    parser.add_argument("--backup-seconds", type=float, help="how long the emulator takes for one backup")
    parser.add_argument("--alone", type=int, default=6, help="backups of a single service before the night")
    parser.add_argument("--layout", choices=LAYOUTS, default="local")
    parser.add_argument("--workers", type=int, nargs="+", default=[2], choices=(1, 2), help="Celery workers; 1 2: each")
    parser.add_argument("--only", choices=BUILDS, help="measure one build only")
    parser.add_argument("--rounds", type=int, default=1, help="every other one in the opposite order")
    parser.add_argument("--seconds", type=float, default=7200, help="of the night at most, whether it has ended or not")
    parser.add_argument("--sample-seconds", type=float, default=10, help="between two samples of memory")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write everything that was measured as JSON")
    return parser.parse_args(arguments)


def _run(folder: Path, variant: Variant, options: argparse.Namespace) -> Result:
    """The result of the driver, in the checkout of a build and with its packages alone."""
    with tempfile.TemporaryDirectory(prefix="biztalk-bench-") as home:
        chosen = {name: value for name, value in vars(options).items() if name in Plan.__dataclass_fields__}
        result = Path(home) / "result.json"
        plan = Plan(
            **chosen | {"workers": variant.workers or 0},
            parallel_option=PARALLEL_OPTION[variant.build],
            result=str(result),
        )
        path = os.pathsep.join(map(str, (folder, folder / "plugins", folder / "emulator")))
        command = [sys.executable, "-m", "bench.night", json.dumps(dataclasses.asdict(plan))]
        with _ended(subprocess.Popen(command, cwd=folder, env={**os.environ, "PYTHONPATH": path})) as driver:
            if driver.wait():
                raise RuntimeError(f"The night of {variant} was not measured; the driver ended {driver.returncode}.")
        found: Result = json.loads(result.read_text())
        return found


@contextlib.contextmanager
def _ended(driver: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A driver that stops its stack before this program goes on."""
    try:
        yield driver
    finally:
        driver.terminate()
        driver.wait(END_SECONDS)


# Tables


@dataclass(frozen=True)
class Row:
    """One figure of each variant.

    :param aim: the highest ratio to the earlier build that is aimed at.
    """

    name: str
    values: Sequence[float | None]
    aim: float | None = None


def report(results: Mapping[Variant, Sequence[Result]]) -> str:
    """Markdown: what was measured, the figures of each variant with the ratio of the last to the first, and memory."""
    first = next(iter(results.values()))[0]["plan"]
    title = f"## The night of {first['services']} services"
    measured = (
        f"{first['parallel']} at once, backups of {first['backup_seconds']:g} s, layout {first['layout']}; "
        f"{len(next(iter(results.values())))} night(s) of each."
    )
    parts = [title, measured, _figures(results), _endings(results)]
    parts += [_spans(variant, found) for variant, found in results.items()]
    parts += [_memory(variant, result) for variant, found in results.items() for result in found[-1:]]
    return "\n\n".join(filter(None, parts)) + "\n"


def _figures(results: Mapping[Variant, Sequence[Result]]) -> str:
    variants = list(results)
    compared = len(variants) > 1
    ratio = f" {variants[-1]} / {variants[0]} | aim |" if compared else ""
    lines = [f"| | {' | '.join(map(str, variants))} |{ratio}", "|---|" + "---|" * (len(variants) + 2 * compared)]
    for row in _rows(list(results.values())):
        if any(value is not None for value in row.values):
            shown = " | ".join(_shown(value) for value in row.values)
            aim = row.aim if variants[0].build != variants[-1].build else None
            lines.append(f"| {row.name} | {shown} |{_ratio(row, aim) if compared else ''}")
    return "\n".join(lines)


def _ratio(row: Row, aim: float | None) -> str:
    one, other = row.values[0], row.values[-1]
    ratio = f"{other / one:.2f}" if one and other is not None else ""
    return f" {ratio} | {aim or ''} |"


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"


def _rows(nights: Sequence[Sequence[Result]]) -> list[Row]:
    """Of several nights of a variant the median, and of what is measured many times a night all of them together."""

    def row(name: str, figure: Any, aim: float | None = None) -> Row:
        return Row(name, [figure(found) for found in nights], aim)

    parts = list(dict.fromkeys(part for found in nights for result in found for part in result["cpu"]))
    return [
        row("night (s)", _median(lambda night: night["night"]), 0.55),
        row("night / ideal", _median(lambda night: night["night"] / night["ideal"])),
        row("suspension overhead, median (s)", _pooled("overheads", median)),
        row("suspension overhead, p95 (s)", _pooled("overheads", p95), 0.35),
        row("suspension overhead, max (s)", _pooled("overheads", max)),
        row("alone: suspension overhead, median (s)", _pooled("alone", median)),
        row("alone: suspension overhead, p95 (s)", _pooled("alone", p95), 0.8),
        row("p95 / p95 alone", _to_alone),
        row("CPU seconds a service", _median(lambda night: _each(night, sum(night["cpu"].values()))), 0.5),
        *(row(f"of them {part}", _median(_cpu_of(part))) for part in parts),
        row("other work on the machine (CPU s)", _median(lambda night: night["cpu_beside"])),
        row("management requests a service", _median(lambda night: _requests(night, "management")), 0.25),
        row("data port requests a service", _median(lambda night: _requests(night, "data"))),
        row("most management requests a second", _median(lambda night: night["requests"]["most_in_ten_seconds"] / 10)),
        row("scheduler loop, median (s)", _pooled("loops", median)),
        row("scheduler loop, p95 (s)", _pooled("loops", p95)),
        row("scheduler loop, max (s)", _pooled("loops", max)),
        row("watchdog late, median (s)", _pooled("watchdog_lateness", median)),
        row("watchdog late, max (s)", _pooled("watchdog_lateness", max)),
        row("memory, highest sum (MiB)", _median(lambda night: max(map(_sum, night["memory"])))),
    ]


def _median(figure: Any) -> Any:
    return lambda nights: median(map(figure, nights))


def _pooled(name: str, figure: Any) -> Any:
    return lambda nights: _of(figure, [value for night in nights for value in night[name]])


def _of(figure: Any, values: Sequence[float]) -> float | None:
    return figure(values) if len(values) > 1 else values[0] if values else None


def _to_alone(nights: Sequence[Result]) -> float | None:
    together, alone = _pooled("overheads", p95)(nights), _pooled("alone", p95)(nights)
    return together / alone if together and alone else None


def _each(night: Result, value: float) -> float:
    return value / max(int(night["done"]), 1)


def _cpu_of(part: str) -> Any:
    return lambda night: _each(night, night["cpu"].get(part, 0.0))


def _requests(night: Result, port: str) -> float:
    return _each(night, sum(night["requests"][port].values()))


def _sum(sample: Mapping[str, Any]) -> float:
    return sum(sum(processes.values()) for processes in sample["parts"].values())


def _endings(results: Mapping[Variant, Sequence[Result]]) -> str:
    """A sentence on each variant: how its runs ended, and which services were left suspended."""
    sentences = []
    for variant, nights in results.items():
        states = ", ".join(f"{number} {state}" for state, number in Counter(night["state"] for night in nights).items())
        done = ", ".join(f"{night['done']} of {night['plan']['services']}" for night in nights)
        left = [service for night in nights for service in night["suspended"]]
        requests = sum((Counter(night["requests"]["management"]) for night in nights), Counter[str]())
        kinds = ", ".join(f"{number} {kind}" for kind, number in requests.most_common())
        sentences.append(
            f"{variant}: run {states}; done {done}; not Active at the end: {', '.join(left[:10]) or 'none'}"
            f"{f' and {len(left) - 10} more' if len(left) > 10 else ''}. Management requests: {kinds}."
        )
    return "\n\n".join(sentences)


def _spans(variant: Variant, nights: Sequence[Result]) -> str:
    """A table of where the overhead went; empty where that is not known."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for night in nights:
        for name, values in night.get("spans", {}).items():
            seconds[name] += values
    if not seconds:
        return ""
    lines = [
        f"Where the overhead of {variant} goes, from one moment to the next (s):\n",
        "| until | median | p95 | max |",
        "|---|---|---|---|",
    ]
    for name, values in seconds.items():
        lines.append(f"| {name} | {' | '.join(_shown(_of(figure, values)) for figure in (median, p95, max))} |")
    return "\n".join(lines)


def _memory(variant: Variant, night: Result) -> str:
    """A table of the memory of each part after the first services; empty when there are too few samples."""
    samples = [sample for sample in night["memory"] if sample["done"] >= FIRST]
    if len(samples) < 2 * ENOUGH_SAMPLES:
        return ""
    lines = [
        f"Memory of {variant}, from {FIRST} services done to {samples[-1]['done']} (MiB; medians of {ENOUGH_SAMPLES} "
        "samples, of the processes that lived all the time):\n",
        "| part | processes | first | last | growth in 100 services | highest of the whole part |",
        "|---|---|---|---|---|---|",
    ]
    for part, processes in lasting(samples).items():
        values = [sum(values) for values in zip(*processes.values(), strict=True)] or [0.0] * len(samples)
        first, last = median(values[:ENOUGH_SAMPLES]), median(values[-ENOUGH_SAMPLES:])
        highest = max(sum(sample["parts"].get(part, {}).values()) for sample in night["memory"])
        growth = slope([sample["done"] for sample in samples], values) * 100
        lines.append(f"| {part} | {len(processes)} | {first:.0f} | {last:.0f} | {growth:+.1f} | {highest:.0f} |")
    return "\n".join(lines)


def lasting(samples: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Part -> process -> its memory in each sample, of the processes that every sample has."""
    found: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for part in samples[0]["parts"]:
        ids = [set(sample["parts"].get(part, {})) for sample in samples]
        for pid in sorted(set.intersection(*ids)):
            found[part][pid] = [sample["parts"][part][pid] for sample in samples]
    return dict(found)


def slope(done: Sequence[float], values: Sequence[float]) -> float:
    """Growth in one service, by linear regression; 0 where no service was done meanwhile."""
    return linear_regression(done, values).slope if len(set(done)) > 1 else 0.0
