"""A DAG whose options are bad: its page says so, and its first step refuses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from biztalk_services.model.checks import Check, refuse_if_broken

TAG = "misconfigured"
"""Tag of a DAG with bad options."""

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~])")


def page(text: str, problems: Sequence[str], *, works: bool = False) -> str:
    """The page of a DAG: its own text, behind the sentences about its bad options.

    :param text: Markdown.
    :param works: whether it works all the same, with the defaults, as a watchdog does.
    """
    if not problems:
        return text
    effect = "It works with the defaults, and is red" if works else "Its runs do nothing"
    sentences = "\n".join(f"- {_escaped(sentence)}" for sentence in problems)
    return f"### Misconfigured\n\n{effect}, until this is corrected:\n\n{sentences}\n\n{text.lstrip()}"


def tags(names: Iterable[str], problems: Sequence[str]) -> list[str]:
    """The tags of a DAG; one more where options are bad."""
    return [*names, *([TAG] if problems else [])]


def refuse_bad_options(problems: Iterable[str], subject: str = "the run") -> None:
    """Nothing when there is no problem.

    :param problems: sentences about bad options.
    :raises RefusedError: with all of them otherwise.
    """
    refuse_if_broken((Check("options", False, sentence, "configuration") for sentence in problems), subject)


def _escaped(sentence: str) -> str:
    return _MARKUP.sub(r"\\\1", sentence)
