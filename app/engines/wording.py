"""From the clinic's assessment to sentences."""

from __future__ import annotations

from app.base.messages import Prompt


def in_words(prompt: Prompt) -> str:
    """The built-in engine's answer."""
    facts = prompt.facts
    lines = ["I am vetx's built-in engine: I have no language model, only the clinic's records."]
    if facts is not None and facts.triage is not None:
        lines.insert(0, f"{facts.triage.level.upper()}: {facts.triage.reason}")
    return "\n\n".join(lines)
