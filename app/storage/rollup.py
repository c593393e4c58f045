"""The columns of the roll-ups that reports add up."""

from __future__ import annotations

FIRST_TOKEN_EDGES_MS = tuple(round(10 * 1.5**n) for n in range(23))
"""Where a column of the first-token histogram ends and the next begins; the last one has no end."""

FIRST_TOKEN_COLUMNS = tuple(f"first_token_{n}" for n in range(len(FIRST_TOKEN_EDGES_MS) + 1))

ROLLUP_SUMS = (
    "requests",
    "aborted",
    "failed",
    "prompt_tokens",
    "completion_tokens",
    "image_tokens",
    "num_images",
    "units",
    "interventions",
    "cost_nano",
)
