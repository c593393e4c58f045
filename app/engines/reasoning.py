"""What a model thinks before it answers is not part of the answer: finds `<think>…</think>` in any chunking."""

from __future__ import annotations

import re

OPEN, CLOSE = "<think>", "</think>"
_THINKERS = re.compile(r"(?:^|[^a-z0-9])(?:r1|qwq|think(?:ing)?|reason(?:er|ing)?|magistral)(?:[^a-z0-9]|$)")


def sounds_like_a_thinker(model_name: str) -> bool:
    """Whether a model of this name may begin inside a thought that its template opened, so only `</think>` is seen."""
    return _THINKERS.search(model_name.lower()) is not None


class ThoughtFilter:
    """Feed text, get the part that is answer.

    Some chat templates open the thought themselves: then everything before a lone `</think>` was thought. `withhold`
    keeps all words back until that is decided: by a tag (they were thought), by `is_separate` or by the end (they were
    answer).

    Attributes:
        thought: some reasoning was seen.
        leaked: a lone `</think>` came after words had been let out.
        lone_close: a `</think>` without an opening was seen.
    """

    __slots__ = ("_held", "_inside", "_kept", "_shown", "_skip_space", "leaked", "lone_close", "thought", "withhold")

    def __init__(self, *, withhold: bool = False) -> None:
        self.withhold = withhold
        self.thought = self.leaked = self.lone_close = False
        self._held = ""
        self._kept: list[str] = []
        self._inside = False
        self._shown = False
        self._skip_space = False

    def feed(self, text: str) -> str:
        """What may be shown now."""
        if not self._held and not self._inside and not self.withhold and not self._skip_space and "<" not in text:
            if not self._shown and text.strip():
                self._shown = True
            return text
        text = self._held + text
        self._held = ""
        out: list[str] = []
        while text:
            text = self._think(text) if self._inside else self._speak(text, out)
        shown = "".join(out)
        self._shown = self._shown or bool(shown.strip())
        return shown

    def _think(self, text: str) -> str:
        self.thought = True
        _, close, rest = text.partition(CLOSE)
        if not close:
            self._held = _partial(text, CLOSE)
            return ""
        self._inside = False
        self._skip_space = True
        self.withhold = False
        return rest

    def _speak(self, text: str, out: list[str]) -> str:
        if self._skip_space:
            text = text.lstrip()
            if not text:
                return ""
        opening, closing = text.find(OPEN), text.find(CLOSE)
        if opening >= 0 and (closing < 0 or opening < closing):
            self._say(text[:opening], out)
            if self.withhold:
                self._kept.clear()
                self.withhold = False
            self._inside = True
            return text[opening + len(OPEN) :]
        if closing >= 0:
            if not self.thought:  # the template opened the thought: all so far was part of it
                self.lone_close = self.thought = True
                self.leaked = self._shown
                out.clear()
                self._kept.clear()
                self.withhold = False
            else:
                self._say(text[:closing], out)
            self._skip_space = True
            return text[closing + len(CLOSE) :]
        self._held = _partial(text, OPEN) or _partial(text, CLOSE)
        self._say(text[: len(text) - len(self._held)], out)
        return ""

    def _say(self, words: str, out: list[str]) -> None:
        if words:
            self._skip_space = False
            (self._kept if self.withhold else out).append(words)

    def is_separate(self) -> str:
        """The server sends reasoning in a field of its own, so the text is all answer: what was withheld."""
        self.withhold = False
        kept = "".join(self._kept)
        self._kept.clear()
        self._shown = self._shown or bool(kept.strip())
        return kept

    def finish(self, *, cut: bool) -> str:
        """What is left at the end. With `cut` (at max_tokens) withheld words were still thought."""
        held, self._held = ("" if self._inside else self._held), ""
        if self.withhold and cut:
            self.thought = True
            self._kept.clear()
            return ""
        return self.is_separate() + held


def _partial(text: str, tag: str) -> str:
    """The end of `text` that may be the beginning of `tag`."""
    at = text.rfind("<", max(0, len(text) - len(tag) + 1))
    return text[at:] if at >= 0 and tag.startswith(text[at:]) else ""
