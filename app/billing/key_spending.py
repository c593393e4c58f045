"""What keys have spent, for the pages that list them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.billing.statements import SPENT_NOW
from app.storage.engine import Database

_SPENDING = f"""
select asked.key_id, coalesce(sum(u.cost_nano), 0)::bigint as total_nano,
    coalesce(sum(u.cost_nano) filter (where u.starts_at >= date_trunc('month', now(), 'UTC')), 0)::bigint as month_nano,
    coalesce(sum(u.cost_nano) filter (where u.starts_at >= date_trunc('day', now(), 'UTC')), 0)::bigint as day_nano,
    (select greatest(0, limit_nano - {SPENT_NOW} - held_nano) from allowance
        where limit_nano is not null and id = asked.allowance_id and account_id = $1) as limit_remaining_nano
from unnest($2::bigint[], $3::bigint[]) as asked (key_id, allowance_id)
left join usage_rollup u
    on u.account_id = $1 and u.grain_min = 1440 and not u.by_user and u.api_key_id = asked.key_id
group by asked.key_id, asked.allowance_id
"""  # noqa: S608 - constants of this package


@dataclass(frozen=True, slots=True)
class KeySpending:
    """What one key has spent [nano-USD]; days and months are those of UTC.

    Attributes:
        limit_remaining_nano: what its limit still allows, holds of running calls taken off; None: it has no limit.
    """

    total_nano: int
    month_nano: int
    day_nano: int
    limit_remaining_nano: int | None


async def spending_of_keys(
    database: Database, account_id: int, allowances: Mapping[int, int | None]
) -> dict[int, KeySpending]:
    """What each of an account's keys has spent.

    Args:
        allowances: by the key's id the allowance that bounds it, or None.
    """
    async with database.connection() as connection:
        rows = await connection.fetch(_SPENDING, account_id, list(allowances), list(allowances.values()))
    return {
        row["key_id"]: KeySpending(row["total_nano"], row["month_nano"], row["day_nano"], row["limit_remaining_nano"])
        for row in rows
    }
