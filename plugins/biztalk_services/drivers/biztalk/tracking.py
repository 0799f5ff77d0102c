"""The tracking database of a service: the queries, and what their rows mean."""

from __future__ import annotations

DEFAULT_DRAIN_QUERY = """
SELECT entered.agreement AS agreement, entered.batch AS batch, COUNT(*) AS messages, MIN(entered.occurred_at) AS oldest
FROM batch_events entered
LEFT JOIN batch_events gone ON gone.message_id = entered.message_id AND gone.event <> 'entered'
WHERE entered.event = 'entered' AND gone.message_id IS NULL
GROUP BY entered.agreement, entered.batch
ORDER BY entered.agreement, entered.batch
""".strip()
"""Drain query for the tracking schema of the emulator; the schema of the real service is not documented."""


DEFAULT_CONTROL_NUMBER_QUERY = """
WITH given_out AS (
  SELECT agreement, kind, number, occurred_at, FIRST_VALUE(number) OVER (
    PARTITION BY agreement, kind ORDER BY occurred_at DESC, position DESC, event_id DESC) AS newest
  FROM control_number_events
  WHERE direction = 'generated' AND occurred_at >= :since)
SELECT agreement, kind, MAX(number) AS highest, MAX(newest) AS latest, COUNT(*) AS used, MAX(occurred_at) AS last_used
FROM given_out
GROUP BY agreement, kind
ORDER BY agreement, kind
""".strip()
"""Control number query for the tracking schema of the emulator; the schema of the real service is not documented.
``:since`` is text as :func:`since_text` writes it."""
