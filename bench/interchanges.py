"""Reading the envelopes of an archive of sent interchanges, against splitting its text at the first terminator."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator

from biztalk_services.drivers.biztalk.interchanges.envelopes import interchanges_in

from bench.figures import table

RUNS = 5
INTERCHANGES = 10_000
PIECE = 4 * 2**20
LINES = "".join(f"PO1*{line}*12*EA*9.95**BP*CONTOSO-{line:08}~" for line in range(1, 101))


def measure() -> str:
    """Wall time for a text of some 45 MB, in turn for both, and the memory that each needs beside that text."""
    text = "".join(map(_interchange, range(1, INTERCHANGES + 1))).encode()
    ways: dict[str, Callable[[bytes], int]] = {"split at ~": _split, "envelopes": _envelopes}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(RUNS):
        for name, count in ways.items():
            start = time.perf_counter()
            found = count(text)
            times[name].append(time.perf_counter() - start)
            assert found == INTERCHANGES, (name, found)
    memory = ", ".join(f"{name} {_peak(count, text) / 2**20:.0f} MiB" for name, count in ways.items())
    size = f"{INTERCHANGES} interchanges, {len(text) / 2**20:.0f} MiB. Memory beside the text: {memory}."
    return f"## Envelopes of sent interchanges\n\n{size}\n\n{table(times, 's', 'split at ~')}\n"


def _interchange(number: int) -> str:
    return (
        f"ISA*00*{'':10}*00*{'':10}*01*079928354      *01*060704780      *260103*1200*U*00401*{number:09}*0*P*:~"
        f"GS*PO*A*B*20260103*1200*{number}*X*004010~ST*850*0001~BEG*00*SA*{number}~{LINES}SE*103*0001~GE*1*{number}~"
        f"IEA*1*{number:09}~"
    )


def _split(text: bytes) -> int:
    """As a short script would: right as long as every interchange has the terminator of the first one."""
    return sum(segment.split("*")[0] == "ISA" for segment in text.decode().split("~"))


def _envelopes(text: bytes) -> int:
    return sum(1 for _ in interchanges_in(_pieces(text)))


def _pieces(text: bytes) -> Iterator[bytes]:
    return (text[begin : begin + PIECE] for begin in range(0, len(text), PIECE))


def _peak(count: Callable[[bytes], int], text: bytes) -> int:
    tracemalloc.start()
    count(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak
