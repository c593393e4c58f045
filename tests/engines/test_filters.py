"""Stop sequences and reasoning, in every chunking."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engines.reasoning import ThoughtFilter, sounds_like_a_thinker
from app.engines.stops import StopFilter

SMALL = st.text("abc", max_size=24)


def chunks(text: str, cuts: Sequence[int]) -> list[str]:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


def until_stop(text: str, stops: Sequence[str]) -> str:
    """The slow and obvious way: grow the text until it ends in a stop sequence."""
    for end in range(1, len(text) + 1):
        ending = [stop for stop in stops if stop and text[:end].endswith(stop)]
        if ending:
            return text[: end - max(map(len, ending))]
    return text


@given(SMALL, st.lists(st.text("abc", max_size=4), max_size=4), st.lists(st.integers(0, 24)))
@settings(max_examples=400, deadline=None)
def test_text_is_cut_where_the_first_stop_sequence_ends(text: str, stops: list[str], cuts: list[int]) -> None:
    stop_filter = StopFilter(stops)
    shown = ""
    for piece in chunks(text, cuts):
        let_out, stopped = stop_filter.feed(piece)
        shown += let_out
        assert until_stop(text, stops).startswith(shown)
        if stopped:
            break
    else:
        shown += stop_filter.finish()
    assert shown == until_stop(text, stops)
    assert stop_filter.stopped == (until_stop(text, stops) != text or any(stop and stop in text for stop in stops))


def test_without_stop_sequences_nothing_is_held_back() -> None:
    assert StopFilter(()).feed("abc") == ("abc", False)
    assert StopFilter(["", "zz"]).feed("abc") == ("abc", False)


def think(text: str, cuts: Sequence[int], *, withhold: bool = False, cut: bool = False) -> tuple[str, ThoughtFilter]:
    thoughts = ThoughtFilter(withhold=withhold)
    shown = "".join(thoughts.feed(piece) for piece in chunks(text, cuts))
    return shown + thoughts.finish(cut=cut), thoughts


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>SECRET</think>the answer", "the answer"),
        ("<think>\nSECRET\n</think>\n\n  the answer", "the answer"),
        ("\n<think>SE<think>CR</thin ET</think>the answer", "\nthe answer"),
        ("before <think>SECRET</think> after", "before after"),
        ("one<think>SECRET</think>two<think>SECRET</think>three", "onetwothree"),
        ("<think></think>the answer", "the answer"),
        ("<think>SECRET", ""),
        ("<think>SECRET</thin", ""),
        ("a < b and c <thin d </", "a < b and c <thin d </"),
        ("the answer </", "the answer </"),
        ("<think>SECRET</think>the</think> answer", "theanswer"),
        ("", ""),
    ],
)
@given(cuts=st.lists(st.integers(0, 60)))
@settings(max_examples=60, deadline=None)
def test_thought_is_never_shown(text: str, answer: str, cuts: list[int]) -> None:
    assert think(text, cuts)[0] == answer
    assert think(text, range(60))[0] == answer
    withheld = think(text, cuts, withhold=True)[0]
    assert answer.endswith(withheld)
    assert len(withheld) >= len(answer) - max(text.find("<think>"), 0)


@given(cuts=st.lists(st.integers(0, 60)))
@settings(max_examples=60, deadline=None)
def test_what_a_template_opened_is_thought_when_words_are_withheld(cuts: list[int]) -> None:
    shown, thoughts = think("SECRET one <b SECRET</think>\nthe answer", cuts, withhold=True)
    assert (shown, thoughts.lone_close, thoughts.leaked) == ("the answer", True, False)


@given(cuts=st.lists(st.integers(0, 60)))
@settings(max_examples=60, deadline=None)
def test_a_lone_close_after_words_were_shown_is_noticed(cuts: list[int]) -> None:
    thoughts = ThoughtFilter()
    shown = ""
    for piece in chunks("SECRET</think>the answer", cuts):
        shown += thoughts.feed(piece)
        assert thoughts.leaked == (thoughts.lone_close and "S" in shown)
    assert shown.removesuffix("the answer") == "" or thoughts.leaked


def test_withheld_words_are_the_answer_unless_cut_in_thought() -> None:
    assert think("plain words", [], withhold=True)[0] == "plain words"
    assert think("plain words", [], withhold=True, cut=True)[0] == ""


@pytest.mark.parametrize("name", ["deepseek-ai/DeepSeek-R1", "QwQ-32B", "Qwen3-4B-Thinking-2507", "deepseek-reasoner"])
def test_thinkers_are_known_by_name(name: str) -> None:
    assert sounds_like_a_thinker(name)


@pytest.mark.parametrize("name", ["gpt-4o", "meta-llama/Llama-3.1-8B", "mistral-small", "r12-model", "plain"])
def test_others_are_not(name: str) -> None:
    assert not sounds_like_a_thinker(name)
