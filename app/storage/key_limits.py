"""A key's spending limit: it touches api_key (accounts' table) and allowance (billing's), so it lives here."""

from __future__ import annotations

from typing import Any

_SET = """
with period as (
    select date_trunc(case $3 when 'daily' then 'day' when 'weekly' then 'week' else 'month' end, now(), 'UTC') as start
),
kept as (
    update allowance w set limit_nano = $2, reset = $3,
        period_start = case when w.reset is not distinct from $3 then w.period_start else period.start end
    from api_key k, period where k.id = $1 and w.id = k.allowance_id
),
made as (
    insert into allowance (account_id, kind, subject, limit_nano, reset, period_start)
    select k.account_id, 'key', k.id::text, $2, $3, period.start
    from api_key k, period where k.id = $1 and k.allowance_id is null
    returning id
)
update api_key k set allowance_id = made.id from made where k.id = $1
"""


async def set_key_limit(connection: Any, key_id: int, limit_nano: int | None, reset: str | None) -> None:
    """Bound what a key may spend; None lifts the bound and goes on counting.

    Args:
        limit_nano: [nano-USD] in a period of `reset` (daily, weekly, monthly; UTC), or ever where that is None.
    """
    await connection.execute(_SET, key_id, limit_nano, reset)
