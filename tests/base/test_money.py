"""Money as words and back, exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.base.money import dollars, nano


@pytest.mark.parametrize(
    ("amount", "words"),
    [(0, "0.000000000"), (8_320, "0.000008320"), (-1, "-0.000000001"), (25_000_000_000, "25.000000000")],
)
def test_an_amount_is_written_with_nine_places(amount: int, words: str) -> None:
    assert dollars(amount) == words


@given(st.integers(-(10**17), 10**17))
def test_words_read_back_are_the_same_amount(amount: int) -> None:
    assert nano(dollars(amount)) == amount


@pytest.mark.parametrize("text", ["", "1e3", "NaN", "1,5", "0.0000000001", "$5", "1_000", "--1", "٣", "inf", "0x10"])
def test_anything_but_a_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="plain decimal"):
        nano(text)


def test_a_million_tokens_cost_832_cents() -> None:
    assert dollars(8_320 * 1_000_000) == "8.320000000"
