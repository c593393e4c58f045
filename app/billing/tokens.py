"""Tokens as we bill them: o200k_base, exact for whole texts, cheap for streams, unmoved by hostile text."""

from __future__ import annotations

import asyncio
import json
import lzma
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import accumulate
from pathlib import Path

import tiktoken

from app.base.errors import BadData
from app.base.messages import Ask, Text, ToolCallDelta

VOCABULARY = Path(__file__).with_name("o200k_base.xz")
VOCABULARY_SHA256 = "2f451f31d7403017d0b0dc6319ded23a09f33f573b1635c001fc6b91a1c21302"
"""Of the unpacked file: how many tokens (4 bytes), a byte for the length of each, then each, in the order of ranks."""

PATTERN = "|".join(
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
PIECE_CHARACTERS_MAX = 100_000
"""tiktoken panics on a million spaces; pieces of this size are counted on their own."""

INLINE_CHARACTERS_MAX = 10_000
"""Longer texts are counted in a thread, where tiktoken lets go of the interpreter; these take 1 ms, hostile ones 5."""

# A token never reaches across these places, so both sides can be counted on their own: before a space that follows
# anything but white space, and between a letter or digit and punctuation (an apostrophe may belong to the word).
_WORDS = re.compile(r"(?<=\S)(?= )")
_PUNCTUATION = r"\n\"#(),.:;!?\[\]{}" + "\u3001\u3002\u300c\u300d\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f"
_LAST_CUT = re.compile(rf"(?s).*(?:\S(?= )|[^\W_](?=[{_PUNCTUATION}]))")
_CUT_LOOK_BACK = 400
_TAIL_BYTES_MAX = 512
_LONG_TAIL_SLACK = 64

_CACHED_WORDS_MAX = 50_000
_CACHED_WORD_CHARACTERS_MAX = 40
_NEW_WORDS_MAX = 24


def load_encoding(file: Path = VOCABULARY) -> tiktoken.Encoding:
    """o200k_base from the file beside this module.

    Raises:
        BadData: the file is missing or was changed.
    """
    try:
        packed = lzma.decompress(file.read_bytes())
    except (OSError, lzma.LZMAError) as error:
        raise BadData(file.name, "vocabulary", f"can't be read ({type(error).__name__}); install vetx again") from error
    if sha256(packed).hexdigest() != VOCABULARY_SHA256:
        raise BadData(file.name, "vocabulary", "is not the published o200k_base; install vetx again")
    begin = 4 + int.from_bytes(packed[:4])
    ends = list(accumulate(packed[4:begin], initial=begin))
    tokens = map(packed.__getitem__, map(slice, ends, ends[1:]))
    ranks = dict(zip(tokens, range(len(ends) - 1), strict=True))
    encoding = tiktoken.Encoding(
        "o200k_base",
        pat_str=PATTERN,
        mergeable_ranks=ranks,
        special_tokens={"<|endoftext|>": 199_999, "<|endofprompt|>": 200_018},
    )
    # tiktoken has copied them, and keeps them for pickling alone: 25 MB of a worker.
    encoding._mergeable_ranks = {}
    return encoding


class Tokens:
    """Counts tokens. Special-token text is counted as the words it is."""

    def __init__(self, encoding: tiktoken.Encoding | None = None) -> None:
        self._encoding = encoding or load_encoding()
        self._cache: dict[str, int] = {}  # of pieces as `_WORDS` cuts them
        self._spaced: dict[str, int] = {}  # of those that are a space and a word, by the word
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="tokens")

    @classmethod
    def load(cls) -> Tokens:
        """Over the vocabulary beside this module.

        Raises:
            BadData: it is missing or was changed.
        """
        return cls(load_encoding())

    def encode(self, text: str) -> list[int]:
        """The tokens of a text; one of more than 100,000 characters is cut where a token ends anyway, if it can be."""
        if len(text) <= PIECE_CHARACTERS_MAX:
            return self._encoding.encode_ordinary(text)
        tokens: list[int] = []
        start = 0
        while start < len(text):
            end = start + PIECE_CHARACTERS_MAX
            if end < len(text):
                look_back = max(start, end - _CUT_LOOK_BACK)
                if cut := _LAST_CUT.match(text, look_back, end):
                    end = cut.end()
            tokens += self._encoding.encode_ordinary(text[start:end])
            start = end
        return tokens

    def characters_of_first(self, text: str, count: int) -> int:
        """How many characters the first `count` tokens of a text make, whole characters only."""
        return len(self._encoding.decode_bytes(self.encode(text)[: max(0, count)]).decode(errors="ignore"))

    def count(self, text: str) -> int:
        """How many tokens a text is: exactly `len(encode(text))`, faster for words that were seen before."""
        if len(text) > INLINE_CHARACTERS_MAX:
            return len(self.encode(text))
        if text[-1:] == " " and not text[-2:-1].isspace() and len(text) > 1:
            return self.count(text[:-1]) + 1  # a single space at the end is a token of its own
        first, *words = text.split(" ")
        head = self._cache.get(first) if first else 0
        counts = list(map(self._spaced.get, words))
        if head is not None and None not in counts:
            return head + sum(counts)  # type: ignore[arg-type]  # None is not in it
        return self._count_new(text)

    def _count_new(self, text: str) -> int:
        cache = self._cache
        if len(cache) > _CACHED_WORDS_MAX:
            cache.clear()
            self._spaced.clear()
        words = _WORDS.split(text)
        fresh = [word for word in words if word not in cache]
        total = len(self.encode(text)) if len(fresh) > _NEW_WORDS_MAX else None
        for word in fresh[:_NEW_WORDS_MAX]:
            if len(word) <= _CACHED_WORD_CHARACTERS_MAX and word and not word[-1].isspace():
                cache[word] = count = len(self._encoding.encode_ordinary(word))
                if word.rfind(" ") == 0:
                    self._spaced[word[1:]] = count
        if total is None:
            total = sum(cache[word] if word in cache else len(self.encode(word)) for word in words)
        return total

    async def count_many(self, texts: Iterable[str]) -> int:
        """The sum over several texts, each counted on its own; long ones off the event loop."""
        short: list[str] = []
        long: list[str] = []
        for text in texts:
            (short if len(text) <= INLINE_CHARACTERS_MAX else long).append(text)
        if sum(map(len, short)) > INLINE_CHARACTERS_MAX:
            short, long = [], short + long
        total = sum(map(self.count, short))
        if long:
            loop = asyncio.get_running_loop()
            total += await loop.run_in_executor(self._threads, lambda: sum(len(self.encode(text)) for text in long))
        return total

    async def count_ask(self, ask: Ask) -> int:
        """What is billed of a request's words; pictures come on top."""
        return await self.count_many(billed_texts(ask))

    async def count_answer(self, text: str, tool_calls: Iterable[ToolCallDelta] = ()) -> int:
        """What is billed of an answer: the delivered words and the arguments of its tool calls, each whole."""
        arguments: dict[int, str] = {}
        for call in tool_calls:
            arguments[call.index] = arguments.get(call.index, "") + call.arguments
        return await self.count_many((text, *arguments.values()))

    def meter(self, tokens_max: int) -> Meter:
        """A meter for one answer."""
        return Meter(self, tokens_max)

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def billed_texts(ask: Ask) -> list[str]:
    """The texts of a request that count: each part, name, tool call and result, and the schemas it carries."""
    texts: list[str] = []
    for message in ask.messages:
        texts += (part.text for part in message.parts if isinstance(part, Text))
        if message.name is not None:
            texts.append(message.name)
        for call in message.tool_calls:
            texts += (call.name, call.arguments)
    for field in ("tools", "response_format"):
        value = ask.passthrough.get(field)
        if value is not None:
            texts.append(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    return texts


class _Channel:
    """One growing text: what is before `tail` is counted for good; `tail_tokens` is None until the tail is counted."""

    __slots__ = ("counted", "tail", "tail_bytes", "tail_tokens")

    def __init__(self) -> None:
        self.counted = 0
        self.tail = ""
        self.tail_bytes = 0
        self.tail_tokens: int | None = 0

    def append(self, text: str, size: int) -> None:
        """Add text whose count may wait."""
        self.tail += text
        self.tail_bytes += size
        self.tail_tokens = None

    def advance(self, tokens: Tokens) -> None:
        """Count for good what no further text can change, where the tail has grown long or was not counted yet."""
        if self.tail_tokens is not None and self.tail_bytes <= _TAIL_BYTES_MAX:
            return
        cut = _LAST_CUT.match(self.tail)
        if cut:
            self.counted += tokens.count(self.tail[: cut.end()])
            self.tail = self.tail[cut.end() :]
            self.tail_bytes = _utf8_length(self.tail)
        self.tail_tokens = tokens.count(self.tail)

    def total(self, tokens: Tokens) -> int:
        """The tokens of the whole text."""
        if self.tail_tokens is None:
            self.tail_tokens = tokens.count(self.tail)
        return self.counted + self.tail_tokens

    def bound(self, tokens: Tokens) -> int:
        """The most tokens it can have however it goes on, less the bytes of what is still to come."""
        cut = _LAST_CUT.match(self.tail)
        loose = _utf8_length(self.tail[cut.end() :]) if cut else self.tail_bytes
        # A long run without a place to cut: what follows may change the count of its end, by a few tokens.
        slack = loose if loose <= _TAIL_BYTES_MAX else _LONG_TAIL_SLACK
        return min(self.counted + self.tail_bytes, self.total(tokens) + slack)


class Meter:
    """Lets an answer through until it is `tokens_max` long, counted as a whole at every moment.

    Counting is put off while the bytes alone show that there is room: a token is at least a byte.

    Attributes:
        full: something had to be left out; the answer ends here.
    """

    def __init__(self, tokens: Tokens, tokens_max: int) -> None:
        assert tokens_max >= 0
        self.full = False
        self._tokens = tokens
        self._tokens_max = tokens_max
        self._channels: dict[int | None, _Channel] = {}
        self._at_most: int | None = 0  # None until somebody asks again

    def feed(self, text: str, channel: int | None = None) -> str:
        """The part of `text` that fits; all of it, until the answer is full.

        Args:
            channel: index of a tool call, for a piece of its arguments; None for the answer's words.
        """
        if self.full or not text:
            return ""
        size = _utf8_length(text)
        at = self._channels.get(channel)
        if at is None:
            at = self._channels[channel] = _Channel()
        if self._at_most is None:
            self._at_most = sum(one.bound(self._tokens) for one in self._channels.values())
        if self._at_most + size <= self._tokens_max:
            self._at_most += size
            at.append(text, size)
            return text
        return self._feed_near_the_end(text, size, at)

    def count(self) -> int:
        """The tokens let through so far, each text as a whole."""
        return sum(channel.total(self._tokens) for channel in self._channels.values())

    def _feed_near_the_end(self, text: str, size: int, at: _Channel) -> str:
        for channel in self._channels.values():
            channel.advance(self._tokens)
        others = sum(channel.total(self._tokens) for channel in self._channels.values() if channel is not at)
        room = self._tokens_max - others - at.counted
        whole = at.tail + text
        counted = self._tokens.count(whole)
        if counted > room:
            self.full = True
            kept = self._longest_that_fits(whole, len(at.tail), room)
            text = kept[len(at.tail) :]
            at.append(text, _utf8_length(text))
            return text
        at.append(text, size)
        at.tail_tokens = counted
        self._at_most = None
        return text

    def _longest_that_fits(self, text: str, start: int, room: int) -> str:
        """The longest prefix of `text`, not shorter than `start` characters, of at most `room` tokens."""
        end = min(max(start, self._tokens.characters_of_first(text, room)), len(text))
        # The tokens of a prefix are nearly always the first ones of the whole, but a merge may fall the other way.
        while end > start and self._tokens.count(text[:end]) > room:
            end -= 1  # pragma: no cover - 400,000 random texts held none
        while end < len(text) and self._tokens.count(text[: end + 1]) <= room:
            end += 1
        return text[:end]


def _utf8_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
