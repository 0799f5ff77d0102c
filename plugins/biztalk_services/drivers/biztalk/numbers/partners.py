"""What partners accept of control numbers, by agreement: the option ``control_number_partners``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from biztalk_services.model.control_numbers import agreement_key
from biztalk_services.model.options import shown

Policy = Literal["unique", "increasing", "gapless"]
POLICIES = get_args(Policy)
LONGEST_WINDOW = 3650
"""Days."""

_EVERY = "*"
_EXAMPLE = '{"*": {"policy": "increasing", "window_days": 0}}'


@dataclass(frozen=True)
class Partner:
    """What a partner accepts.

    :param policy: ``unique``: each number once; ``increasing``: each beyond the last one, until the range starts over;
        ``gapless``: each one more than the last one.
    :param window_days: after which a number may come again; 0: never.
    """

    policy: Policy = "increasing"
    window_days: int = 0


INCREASING = Partner()
"""What a partner accepts of which nothing is said."""


@dataclass(frozen=True)
class Partners:
    """What each partner accepts.

    :param by_agreement: by the key of an agreement.
    """

    every: Partner = INCREASING
    by_agreement: Mapping[str, Partner] = field(default_factory=dict)

    @classmethod
    def parsed(cls, text: str) -> Partners:
        """Out of the option's text; an empty one names nothing.

        :raises ValueError: the first rule that it breaks, in a clause without a full stop.
        """
        if not text.strip():
            return cls()
        try:
            values = json.loads(text, object_pairs_hook=_without_doubles)
        except (json.JSONDecodeError, RecursionError):
            raise ValueError(f"it has to be JSON, such as {_EXAMPLE}") from None
        if not isinstance(values, dict):
            raise ValueError(f"it has to be a JSON object by agreement, such as {_EXAMPLE}")
        partners = _without_doubles([(agreement_key(name), _partner(name, each)) for name, each in values.items()])
        return cls(partners.pop(_EVERY, INCREASING), partners)

    def of(self, agreement: str) -> Partner:
        """:param agreement: its name in any case."""
        return self.by_agreement.get(agreement_key(agreement), self.every)


def partners_rule(text: str) -> str | None:
    """The rule of the option, as :data:`biztalk_services.model.options.Rule`."""
    try:
        Partners.parsed(text)
    except ValueError as error:
        return str(error)
    return None


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"it names {shown(twice[0])} twice")
    return dict(pairs)


def _partner(name: str, values: Any) -> Partner:
    if not isinstance(values, dict) or values.keys() - {"policy", "window_days"}:
        raise ValueError(f"agreement {shown(name)} has to have 'policy' and 'window_days', and nothing else")
    policy, days = values.get("policy", "increasing"), values.get("window_days", 0)
    if policy not in POLICIES:
        raise ValueError(f"the policy of agreement {shown(name)} has to be one of {', '.join(POLICIES)}")
    if type(days) is not int or not 0 <= days <= LONGEST_WINDOW:
        raise ValueError(
            f"window_days of agreement {shown(name)} has to be a whole number from 0 to {LONGEST_WINDOW}; 0 is for ever"
        )
    return Partner(policy, days)
