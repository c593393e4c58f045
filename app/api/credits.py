"""`GET /v1/credits` and `/v1/credits/transactions`: what a wallet has, and its ledger."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, get
from pydantic import BaseModel, ConfigDict, Field

from app.api.answers import CreditsShown, Listed, TransactionShown
from app.api.body import read_query
from app.api.guards import GivenCaller, GivenHouse
from app.api.moments import YEAR_MIN, time_range, zone_named
from app.api.usage import ID_DIGITS_MAX, amount, bad_page, from_microseconds, in_microseconds
from app.base.clock import rfc3339
from app.base.money import dollars, dollars_number
from app.billing.usage import EntryKind, Transaction

TRANSACTIONS_MAX = 1_000


class TransactionsQuery(BaseModel):
    """The query of `GET /v1/credits/transactions`."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    since: str | None = Field(None, alias="from", description="Default: the account's beginning.")
    until: str | None = Field(None, alias="to")
    tz: str = "UTC"
    type: EntryKind | None = None
    limit: int = Field(100, ge=1, le=TRANSACTIONS_MAX)
    page: str | None = None


def _transaction(row: Transaction) -> TransactionShown:
    return {
        "id": f"txn_{row.id}",
        "object": "credit.transaction",
        "type": row.kind,
        "amount": amount(row.amount_nano),
        "request_id": f"chatcmpl-{row.charge_id.hex}" if row.charge_id is not None else None,
        "reference": row.external_ref,
        "created_at": rfc3339(row.created_at),
    }


class CreditsController(Controller):
    """The wallet."""

    path = "/credits"
    tags = ["usage"]
    opt = {"scope": "usage"}

    @get("")
    async def credits(self, caller: GivenCaller, house: GivenHouse) -> CreditsShown:
        """What there is, what running calls hold, and what came and went."""
        found = await house.reports.credits(caller.account_id)
        threshold = found.low_balance_threshold_nano
        return {
            "object": "credits",
            "currency": "usd",
            "balance": dollars(found.balance_nano),
            "held": dollars(found.held_nano),
            "available": dollars(found.balance_nano - found.held_nano),
            "total_credits": dollars(found.total_credits_nano),
            "total_used": dollars(found.total_used_nano),
            "low_balance_threshold": dollars(threshold) if threshold is not None else None,
            "data": {
                "total_credits": dollars_number(found.total_credits_nano),
                "total_usage": dollars_number(found.total_used_nano),
            },
        }

    @get("/transactions", opt={"query": TransactionsQuery})
    async def transactions(
        self, request: Request[Any, Any, Any], caller: GivenCaller, house: GivenHouse
    ) -> Listed[TransactionShown]:
        """The ledger, newest first; money in is positive."""
        query = read_query(request, TransactionsQuery)
        since = query.since if query.since is not None else f"{YEAR_MIN}-01-01"
        start, end = time_range(since, query.until, zone_named(query.tz), await house.reports.now())
        before = None
        if query.page is not None:
            moment, _, digits = query.page.partition("_")
            if not digits.isascii() or not digits.isdigit() or len(digits) > ID_DIGITS_MAX:
                raise bad_page()
            try:
                before = (from_microseconds(moment), int(digits))
            except ValueError:
                raise bad_page() from None
        rows, more = await house.reports.transactions(
            caller.account_id, start, end, kind=query.type, limit=query.limit, before=before
        )
        last = f"{in_microseconds(rows[-1].created_at)}_{rows[-1].id}" if more else None
        return {"object": "list", "data": [_transaction(row) for row in rows], "has_more": more, "next_page": last}
