"""The option that says what partners accept."""

from __future__ import annotations

import pytest
from biztalk_services.drivers.biztalk.numbers.partners import Partner, Partners, partners_rule

TEXT = '{"*": {"policy": "unique", "window_days": 90}, " Fabrikam X12 Send": {"policy": "gapless"}, "b": {}}'


def test_it_is_read():
    partners = Partners.parsed(TEXT)
    assert partners.of("Another") == Partner("unique", 90)
    assert partners.of("FABRIKAM X12 SEND") == Partner("gapless", 0)
    assert partners.of("B") == Partner("increasing", 0)
    assert Partners.parsed(" ") == Partners()
    assert Partners().of("Another") == Partner("increasing", 0)
    assert partners_rule(TEXT) is None


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("increasing", "it has to be JSON, such as"),
        ('["*"]', "it has to be a JSON object by agreement"),
        ('{"*": "unique"}', "agreement '*' has to have 'policy' and 'window_days', and nothing else"),
        ('{"a": {"polcy": "unique"}}', "agreement 'a' has to have 'policy'"),
        ('{"a": {"policy": "once"}}', "the policy of agreement 'a' has to be one of unique, increasing, gapless"),
        ('{"a": {"policy": ["unique"]}}', "the policy of agreement 'a'"),
        ('{"a": {"window_days": -1}}', "window_days of agreement 'a' has to be a whole number from 0 to 3650"),
        ('{"a": {"window_days": true}}', "window_days of agreement 'a'"),
        ('{"a": {"window_days": 1.5}}', "window_days of agreement 'a'"),
        ('{"a": {}, "a": {}}', "it names 'a' twice"),
        ('{"a": {}, "A": {}}', "it names 'a' twice"),
        ("[" * 100_000, "it has to be JSON"),
    ],
)
def test_it_is_refused_by_its_first_broken_rule(text, broken):
    assert broken in partners_rule(text)
