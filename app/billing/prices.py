"""What a call can cost at most, from its model's row."""

from __future__ import annotations

from typing import Literal

from app.base.catalogue import Model, Quote
from app.base.errors import ContextTooLong, Invalid

OUTPUT_TOKENS_FLOOR = 256
"""An answer that the wallet has to shorten is still worth starting with this many tokens."""


def quote_for(model: Model, prompt_tokens: int, max_tokens: int | None, overhead_tokens: int = 0) -> Quote:
    """The most a call can cost.

    Args:
        prompt_tokens: what is billed of the request, pictures included.
        max_tokens: as the caller said, or None.
        overhead_tokens: what we add: it takes room in the window and is not billed.

    Raises:
        Invalid: max_tokens is below 1 or above the model's maximum.
        ContextTooLong: it doesn't fit the model's window.
    """
    assert prompt_tokens >= 0
    assert overhead_tokens >= 0
    if max_tokens is not None and not 1 <= max_tokens <= model.output_tokens_max:
        raise Invalid(
            f"max_tokens of {model.id} is between 1 and {model.output_tokens_max}; {max_tokens} is not.",
            param="max_tokens",
        )
    room = model.context_tokens - prompt_tokens - overhead_tokens
    wanted = max_tokens if max_tokens is not None else min(model.output_tokens_default, room)
    if wanted > room or room < 1:
        asked = f" and max_tokens {max_tokens}" if max_tokens is not None else ""
        raise ContextTooLong(
            f"{model.id} reads and writes {model.context_tokens} tokens in all; this request has {prompt_tokens}, "
            f"our rules {overhead_tokens}{asked}. Shorten the messages{' or lower max_tokens' if asked else ''}.",
            param="messages" if room < 1 else "max_tokens",
        )
    limited_by: Literal["caller", "default", "window"] = "caller"
    if max_tokens is None:
        limited_by = "window" if wanted < model.output_tokens_default else "default"
    return Quote(
        model.input_nano_per_token,
        model.output_nano_per_token,
        prompt_tokens,
        wanted,
        min(OUTPUT_TOKENS_FLOOR, wanted),
        max_tokens is None,
        limited_by,
    )
