"""A key's spending limit: it touches api_key (accounts' table) and allowance (billing's), so it lives here."""

from __future__ import annotations

from typing import Any

_SET = """
with asked as (
    select id, account_id, allowance_id, $2::bigint as limit_nano, $3::text as reset from api_key where id = $1
),
goes_on as (
    select w.id, n.limit_nano is null or w.reset is not distinct from n.reset as same
    from asked n join allowance w on w.id = n.allowance_id
),
kept as (
    update allowance w set limit_nano = n.limit_nano,
        reset = case when n.limit_nano is null then w.reset else n.reset end,
        spent_nano = case when g.same then w.spent_nano else 0 end,
        period_start = case when g.same then w.period_start else now() end
    from asked n, goes_on g where w.id = n.allowance_id
),
made as (
    insert into allowance (account_id, kind, subject, limit_nano, reset)
    select account_id, 'key', id::text, limit_nano, reset from asked where allowance_id is null
    returning id
)
update api_key k set allowance_id = made.id from made where k.id = $1
"""


async def set_key_limit(connection: Any, key_id: int, limit_nano: int | None, reset: str | None) -> None:
    """Bound what a key may spend; None lifts the bound and goes on counting, another `reset` counts anew.

    Args:
        limit_nano: [nano-USD] in a period of `reset` (daily, weekly, monthly; UTC), or ever where that is None.
    """
    await connection.execute(_SET, key_id, limit_nano, reset if limit_nano is not None else None)
