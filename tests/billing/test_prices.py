"""The most a call can cost, and what doesn't fit a model's window."""

from __future__ import annotations

import pytest

from app.base.catalogue import Model, Quote
from app.base.errors import ContextTooLong, Invalid
from app.billing.prices import quote_for

MODEL = Model("vetx-23", "builtin", 8_320, 8_321, 1_000, 400, 300)


@pytest.mark.parametrize(
    ("prompt", "asked", "overhead", "tokens", "limited_by"),
    [
        (100, 400, 0, 400, "caller"),
        (600, 400, 0, 400, "caller"),
        (100, None, 0, 300, "default"),
        (700, None, 0, 300, "default"),
        (701, None, 0, 299, "window"),
        (100, None, 880, 20, "window"),
        (999, None, 0, 1, "window"),
        (0, 1, 0, 1, "caller"),
    ],
)
def test_the_length_of_an_answer(prompt: int, asked: int | None, overhead: int, tokens: int, limited_by: str) -> None:
    quote = quote_for(MODEL, prompt, asked, overhead)

    assert (quote.output_tokens, quote.limited_by) == (tokens, limited_by)
    assert quote.hold_nano == prompt * 8_320 + tokens * 8_321
    assert quote.flexible == (asked is None)
    assert quote.least_tokens == (min(256, tokens) if asked is None else tokens)
    assert quote.least_nano <= quote.hold_nano


def test_the_price_of_the_contract_is_whole_nano_dollars() -> None:
    assert Quote(8_320, 8_320, 600_000, 400_000).hold_nano == 8_320_000_000


@pytest.mark.parametrize("asked", [0, -1, 401, 2**70])
def test_a_length_that_the_model_does_not_have_is_refused(asked: int) -> None:
    with pytest.raises(Invalid) as refused:
        quote_for(MODEL, 10, asked)
    assert refused.value.param == "max_tokens"
    assert refused.value.code == "invalid_value"


@pytest.mark.parametrize(
    ("prompt", "asked", "overhead", "param"),
    [
        (601, 400, 0, "max_tokens"),
        (1_000, None, 0, "messages"),
        (500, None, 500, "messages"),
        (9_999, 1, 0, "messages"),
    ],
)
def test_what_does_not_fit_the_window_is_refused(prompt: int, asked: int | None, overhead: int, param: str) -> None:
    with pytest.raises(ContextTooLong) as refused:
        quote_for(MODEL, prompt, asked, overhead)
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", param)
