"""The engine that is always there: puts the clinic's assessment into words. No language model, and it says so."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from app.base.catalogue import Model
from app.base.errors import Invalid
from app.base.messages import Delta, Prompt
from app.engines.wording import _phrases, in_words


class BuiltinEngine:
    """The same bytes for the same prompt."""

    async def stream(self, prompt: Prompt, model: Model) -> AsyncGenerator[Delta, None]:
        """The answer word by word."""
        for word in _words(_answer(prompt)):
            yield Delta(word)
        yield Delta(finish_reason="stop")

    async def complete(self, prompt: Prompt, model: Model) -> Delta:
        """The whole answer."""
        return Delta(_answer(prompt), finish_reason="stop")

    async def close(self) -> None:
        """Nothing is held."""


def headlines(language: str) -> Mapping[str, str]:
    """For each level of triage how that language says how soon the animal is seen; nothing for English and others."""
    plain = language.partition("-")[0].lower()
    return {} if plain == "en" else _phrases().get(plain, {})


def _answer(prompt: Prompt) -> str:
    """The document that was prepared for it, or else the assessment in words."""
    return in_words(prompt) if prompt.document is None else prompt.document


def _words(text: str) -> list[str]:
    """Pieces that join to `text`, each a word and the space after it."""
    pieces: list[str] = []
    start = 0
    for at, char in enumerate(text):
        if char.isspace() and at + 1 < len(text) and not text[at + 1].isspace():
            pieces.append(text[start : at + 1])
            start = at + 1
    pieces.append(text[start:])
    return pieces


def check_supported(fields: Mapping[str, Any], *, builtin: bool, formed: bool = False) -> None:
    """Refuse what an engine would have to leave out of its answer.

    Args:
        formed: the `response_format` is one that somebody has prepared an answer for.

    Raises:
        Invalid: `logprobs: true` (no engine: the guard may change words), and for the built-in engine also a required
            or named `tool_choice` and a `response_format` other than text.
    """
    if fields.get("logprobs") is True:
        raise Invalid("This model gives no logprobs; leave the field out.", param="logprobs")
    if not builtin:
        return
    if fields.get("tool_choice") not in (None, "none", "auto"):
        raise Invalid('This model calls no tools; set tool_choice to "auto" or "none".', param="tool_choice")
    wanted = None if formed else fields.get("response_format")
    if wanted is not None and not (isinstance(wanted, Mapping) and wanted.get("type") == "text"):
        raise Invalid('This model answers in text; set response_format to {"type": "text"}.', param="response_format")
