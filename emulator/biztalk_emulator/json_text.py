"""JSON as callers send it, read strictly: what is read can be stored, compared and written again."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


def read(body: bytes) -> Any:
    """Read a document.

    :raises ValueError: it is no JSON, nests too deeply, or holds what JSON or Unicode does not have: NaN, an infinite
        number, half of a surrogate pair.
    """
    try:
        document = json.loads(body, parse_constant=_no_number, parse_float=_finite)
        json.dumps(document, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("The document nests too deeply.") from None
    return document


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON.")
