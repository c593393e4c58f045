"""Tokens: the published vocabulary, exact counts, hostile text, and meters that stop where they must."""

from __future__ import annotations

import asyncio
import base64
import lzma
import time
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.base.errors import BadData
from app.base.messages import Ask, Caller, Message, Picture, Text, ToolCall, ToolCallDelta
from app.billing import tokens as module
from app.billing.tokens import VOCABULARY, Meter, Tokens, billed_texts, load_encoding

PUBLISHED_SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
CALLER = Caller(7, 1, "free", frozenset(), frozenset(), "u", "account", "test")


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    return Tokens.load()


ODD_TEXT = st.text(
    st.one_of(
        st.sampled_from("ab  \n\n\t'sS.,，。犬é\u0301١1²/\r\u00a0\u2028\ud800\udc00\x00👩‍⚕️_"),
        st.characters(codec=None),
    ),
    max_size=120,
)
WORDY = st.lists(
    st.sampled_from(["don't", " it's", " dog", ",", "  ", "\n", "\n\n", " 12,5", "mg/kg", "。", "。\n", "'"])
)


def rebuilt(packed: bytes) -> bytes:
    count = int.from_bytes(packed[:4])
    lines, place = [], 4 + count
    for rank, length in enumerate(packed[4 : 4 + count]):
        lines.append(base64.b64encode(packed[place : place + length]) + b" %d\n" % rank)
        place += length
    return b"".join(lines)


def test_the_shipped_vocabulary_is_the_published_one() -> None:
    assert sha256(rebuilt(lzma.decompress(VOCABULARY.read_bytes()))).hexdigest() == PUBLISHED_SHA256


def test_a_changed_or_missing_vocabulary_stops_the_start(tmp_path: Path) -> None:
    changed = tmp_path / "o200k_base.xz"
    changed.write_bytes(lzma.compress(b"\x01a"))
    with pytest.raises(BadData, match="published"):
        load_encoding(changed)
    with pytest.raises(BadData, match="can't be read"):
        load_encoding(tmp_path / "none.xz")


@pytest.mark.parametrize(
    ("text", "count"), [("", 0), ("hello world", 2), ("<|endoftext|>", 7), ("Meloxicam 0.1 mg/kg PO q24h", 13)]
)
def test_known_counts(tokens: Tokens, text: str, count: int) -> None:
    """Special-token text is words like any other."""
    assert count == tokens.count(text)


@given(st.one_of(ODD_TEXT, WORDY.map("".join)))
@settings(max_examples=600, deadline=None)
def test_counting_by_words_is_counting_the_whole(tokens: Tokens, text: str) -> None:
    assert len(tokens._encoding.encode_ordinary(text)) == tokens.count(text) == tokens.count(text)


@given(st.one_of(ODD_TEXT, WORDY.map("".join)), st.integers(2, 40))
@settings(max_examples=400, deadline=None)
def test_a_cut_changes_no_count(tokens: Tokens, text: str, end: int) -> None:
    """Every place where a text may be cut is one that no token crosses."""
    cut = module._LAST_CUT.match(text, 0, end)
    if cut:
        whole = len(tokens._encoding.encode_ordinary(text))
        parts = (text[: cut.end()], text[cut.end() :])
        if not any("\ud800" <= c <= "\udfff" for c in text):
            assert whole == sum(len(tokens._encoding.encode_ordinary(part)) for part in parts)


@pytest.mark.parametrize(
    "unit", [" ", "a", "1", "!", "犬", "\n", "\x00", "\ud800", "a b", " \n", "<|endoftext|>", "\t "]
)
async def test_a_million_characters_of_anything_are_counted(tokens: Tokens, unit: str) -> None:
    text = (unit * (1_000_000 // len(unit)))[:1_000_000]

    counted = await tokens.count_many([text])

    assert 0 < counted <= 4 * len(text)


async def test_a_long_text_is_counted_off_the_event_loop(tokens: Tokens) -> None:
    gaps = []

    async def watch() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0)
            gaps.append(time.perf_counter() - before)

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(0)
    started = time.perf_counter()
    await tokens.count_many(["the dog ate 50 g of chocolate. " * 60_000])
    took = time.perf_counter() - started
    watcher.cancel()

    assert max(gaps) < took / 3


async def test_long_prose_is_cut_only_between_tokens(tokens: Tokens) -> None:
    text = "The dog's owner said: it's 12.5 kg, isn't it? " * 6_000
    one = tokens.count("The dog's owner said: it's 12.5 kg, isn't it? " * 100)

    assert len(text) > 2 * module.PIECE_CHARACTERS_MAX
    assert abs(await tokens.count_many([text]) - one * 60) <= 60  # a trailing space joins the next sentence


def test_a_long_text_is_counted_without_the_cache(tokens: Tokens) -> None:
    text = "rare5 " * 2_000
    assert tokens.count(text) == len(tokens.encode(text))


async def test_many_short_texts_are_one_long_one(tokens: Tokens) -> None:
    texts = ["the dog is ill "] * 2_000
    assert 2_000 * tokens.count("the dog is ill ") == await tokens.count_many(texts)


def ask(*messages: Message, **passthrough: object) -> Ask:
    return Ask(CALLER, "vetx-23", messages, passthrough=passthrough)


async def test_what_is_billed_of_a_request(tokens: Tokens) -> None:
    picture = Picture(b"", "image/png", 10, 10, 3279, {})
    request = ask(
        Message("user", (Text("one"), picture, Text("two")), name="nurse"),
        Message("assistant", tool_calls=(ToolCall("id", "look_up", '{"a":1}'),)),
        Message("tool", (Text("found"),), tool_call_id="id"),
        tools=[{"type": "function", "é": 1}],
        response_format={"type": "text"},
        top_p=0.5,
    )

    texts = billed_texts(request)

    assert texts == [
        "one",
        "two",
        "nurse",
        "look_up",
        '{"a":1}',
        "found",
        '[{"type":"function","é":1}]',
        '{"type":"text"}',
    ]
    assert sum(map(tokens.count, texts)) == await tokens.count_ask(request)


async def test_an_answer_is_its_words_and_the_whole_arguments_of_each_tool_call(tokens: Tokens) -> None:
    calls = [ToolCallDelta(0, "a", "f", '{"do'), ToolCallDelta(1, "b", "g", "{}"), ToolCallDelta(0, arguments='g":1}')]

    expected = tokens.count("well") + tokens.count('{"dog":1}') + tokens.count("{}")

    assert expected == await tokens.count_answer("well", calls)


def cut_up(text: str, sizes: list[int]) -> list[str]:
    pieces, place = [], 0
    for size in sizes:
        pieces.append(text[place : place + size])
        place += size
    return [*pieces, text[place:]]


@given(
    st.one_of(ODD_TEXT, WORDY.map("".join), st.text("犬猫が，。 a", max_size=300)),
    st.lists(st.integers(1, 9), max_size=80),
    st.integers(0, 60),
)
@settings(max_examples=500, deadline=None)
def test_a_metered_answer_is_never_longer_than_allowed_and_never_shorter_than_it_could_be(
    tokens: Tokens, text: str, sizes: list[int], tokens_max: int
) -> None:
    meter = Meter(tokens, tokens_max)
    pieces = cut_up(text, sizes)

    kept = "".join(meter.feed(piece) for piece in pieces)

    assert text.startswith(kept)
    assert tokens.count(kept) <= tokens_max
    assert meter.full == (kept != text)
    if meter.full:
        assert tokens.count(text[: len(kept) + 1]) > tokens_max
    if not any("\ud800" <= c <= "\udfff" for c in text):
        assert tokens.count(kept) == meter.count()


def test_words_and_tool_arguments_share_one_measure(tokens: Tokens) -> None:
    meter = Meter(tokens, 10)

    words = meter.feed("a dog and a cat", channel=None)
    first = meter.feed('{"name": "Rex"', channel=0)
    second = meter.feed(', "kind": "dog"}', channel=1)

    assert words == "a dog and a cat"
    assert tokens.count(words) + tokens.count(first) + tokens.count(second) <= 10
    assert meter.full
    assert meter.feed("more") == ""


def test_a_long_run_without_a_place_to_cut_is_still_bounded(tokens: Tokens) -> None:
    meter = tokens.meter(900)
    piece = "สุนัขกินช็อกโกแลต"

    kept = "".join(meter.feed(piece) for _ in range(400))

    assert meter.full
    assert tokens.count(kept) <= 900 < tokens.count(kept + piece)


def test_counting_is_put_off_while_there_is_room(tokens: Tokens) -> None:
    meter = Meter(tokens, 4_096)
    for _ in range(200):
        meter.feed(" canine")

    channel = meter._channels[None]
    assert (channel.counted, channel.tail_bytes) == (0, 1_400)
    assert meter.count() == 200


def test_the_cache_of_words_is_bounded(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CACHED_WORDS_MAX", 5)
    fresh = Tokens(tokens._encoding)
    for n in range(50):
        fresh.count(f"word{n} " + "x" * 100)
    assert len(fresh._cache) <= 8
    fresh.close()
