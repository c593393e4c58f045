"""From a prepared request to the prompt an engine is handed."""

from __future__ import annotations

from app.base.catalogue import Bill, Model
from app.base.messages import Prompt
from app.turns.prepare import Ready
from app.turns.tools import tokens_for_a_round

TEMPERATURE_DEFAULT = 0.7
"""Of the vetx models, where the caller names none."""


def build_prompt(ready: Ready, model: Model, bill: Bill) -> Prompt:
    """Our rules first and unchanged, then the caller's conversation; bounded by what the hold pays for."""
    ask = ready.ask
    temperature = ask.temperature
    if temperature is None and model.veterinary:
        temperature = TEMPERATURE_DEFAULT
    extra, form = ask.passthrough, ready.form
    if form is not None and (wanted := form.response_format()) is not None:
        extra = {**extra, "response_format": wanted}
    max_tokens = bill.output_tokens
    if ready.offer is not None and model.tools:
        extra = {**extra, "tools": [*extra.get("tools", ()), *ready.offer.tools]}
        max_tokens = tokens_for_a_round(max_tokens, model)
    return Prompt(
        model=ready.model.id,
        upstream_model=model.upstream_model or model.id,
        system=ready.system,
        messages=ask.messages,
        facts=ready.facts,
        max_tokens=max_tokens,
        temperature=temperature,
        stop=() if form is not None and form.document is not None else ask.stop,
        extra=extra,
        hides_reasoning=model.veterinary,
        document=None if form is None or form.prepared is None else form.prepared.text(),
    )
