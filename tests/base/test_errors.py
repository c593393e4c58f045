"""Errors: each has a status and a code of the contract, and says what to do next."""

from __future__ import annotations

import pytest

from app.base import errors
from app.base.errors import ClientGone, Refused, WalletTooLow

CONTRACT = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    409: "idempotency_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "idempotency_error",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "api_error",
    504: "api_error",
}


def refusals() -> list[type[Refused]]:
    return [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, Refused) and kind not in (Refused, ClientGone)
    ]


def test_every_refusal_has_a_status_of_the_contract_with_its_type() -> None:
    assert {kind.status for kind in refusals()} == set(CONTRACT)
    assert all(kind.type == CONTRACT[kind.status] for kind in refusals())


@pytest.mark.parametrize(
    ("tokens", "source", "busy", "code", "words", "retry"),
    [
        (98, "account", False, "insufficient_balance", "lower max_tokens to 98", None),
        (0, "account", False, "insufficient_balance", "add funds", None),
        (0, "key", True, "key_limit_reached", "still running", 5),
        (5, "user", False, "user_limit_reached", "lower max_tokens to 5", None),
    ],
)
def test_a_wallet_too_low_says_what_would_fit(
    tokens: int, source: str, busy: bool, code: str, words: str, retry: int | None
) -> None:
    refused = WalletTooLow(
        available_nano=1_000,
        required_nano=2_000,
        affordable_max_tokens=tokens,
        limit_source=source,
        own_holds_in_the_way=busy,
    )

    assert (refused.code, refused.retry_after_s) == (code, retry)
    assert words in refused.message
    assert refused.metadata is not None
    assert refused.metadata["affordable_max_tokens"] == tokens
