"""Money is a whole number of nano-dollars; this turns it into words and back."""

from __future__ import annotations

import re
from decimal import Decimal

NANO_PER_DOLLAR = 1_000_000_000
TOKENS_MAX = 2**31 - 1
_AMOUNT = re.compile(r"-?[0-9]{1,9}(?:\.[0-9]{1,9})?")


def dollars(nano: int) -> str:
    """The amount as a decimal string with 9 places: `8_320_000` is `"0.008320000"`."""
    sign = "-" if nano < 0 else ""
    whole, rest = divmod(abs(nano), NANO_PER_DOLLAR)
    return f"{sign}{whole}.{rest:09d}"


def dollars_number(nano: int) -> float:
    """The amount as a JSON number, for the fields named after OpenRouter's only; never calculate with it."""
    return nano / NANO_PER_DOLLAR


def nano(text: str) -> int:
    """Nano-dollars of a decimal string in dollars.

    Raises:
        ValueError: not a plain decimal of at most 9 digits before and 9 after the point.
    """
    if not _AMOUNT.fullmatch(text.strip()):
        raise ValueError("an amount is a plain decimal in dollars with at most 9 places, like 25 or 0.5")
    return int(Decimal(text.strip()) * NANO_PER_DOLLAR)
