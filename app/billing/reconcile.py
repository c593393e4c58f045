"""The ledger's invariants: each query returns no rows, at any moment; I6 while a worker has been running for 60 s."""

from __future__ import annotations

from typing import Any

from app.billing.statements import ROLLUP_KEYS, ROLLUP_SUM_COLUMNS, rollup_of
from app.storage.engine import Database

_EVENTS = """
  SELECT 'settled'::charge_state AS state, account_id, occurred_at AS closed_at, model, engine, api_key_id, app_source,
    species, user_id, prompt_tokens, completion_tokens, image_tokens, num_images, units, interventions,
    first_token_ms, cost_nano AS charged_nano, CASE WHEN aborted THEN 'client_gone' ELSE '' END AS close_reason
  FROM usage_event
  UNION ALL
  SELECT state, account_id, closed_at, model, engine, api_key_id, app_source, species, user_id, 0, 0, 0, 0, 0, 0,
    NULL, 0, close_reason FROM charge WHERE state IN ('voided', 'expired')
"""

INVARIANTS = {
    "I1 balance": """
        SELECT a.id FROM account a LEFT JOIN (
          SELECT x.id, sum(x.d) s FROM (
            SELECT credit_account id, amount_nano d FROM entry
            UNION ALL SELECT debit_account, -amount_nano FROM entry) x GROUP BY 1) b ON b.id = a.id
        WHERE a.kind = 'customer' AND a.balance_nano <> COALESCE(b.s, 0)""",
    "I2 held": """
        SELECT a.id FROM account a LEFT JOIN (
          SELECT account_id, sum(hold_nano) h FROM charge WHERE state = 'authorized' GROUP BY 1) c
            ON c.account_id = a.id
        WHERE a.kind = 'customer' AND a.held_nano <> COALESCE(c.h, 0)""",
    "I2 held by an allowance": """
        SELECT a.id FROM allowance a LEFT JOIN (
          SELECT allowance_id, sum(hold_nano) h FROM charge WHERE state = 'authorized' GROUP BY 1) c
          ON c.allowance_id = a.id
        WHERE a.held_nano <> COALESCE(c.h, 0)""",
    "I3 never negative": """
        SELECT id FROM account WHERE kind = 'customer' AND (held_nano < 0 OR balance_nano < held_nano)""",
    "I4 settled once, exact": """
        SELECT c.id FROM charge c LEFT JOIN entry e ON e.charge_id = c.id AND e.kind = 'charge'
          LEFT JOIN usage_event u ON u.charge_id = c.id
        WHERE c.state = 'settled' AND (u.charge_id IS NULL OR u.cost_nano <> c.charged_nano
          OR COALESCE(e.amount_nano, 0) <> c.charged_nano
          OR c.charged_nano + c.overrun_nano <> c.prompt_tokens * c.price_in_nano
            + c.completion_tokens * c.price_out_nano + c.units * c.price_unit_nano)""",
    "I5 unsettled is free": """
        SELECT c.id FROM charge c WHERE c.state <> 'settled' AND (
          EXISTS (SELECT 1 FROM entry e WHERE e.charge_id = c.id AND e.kind = 'charge')
          OR EXISTS (SELECT 1 FROM usage_event u WHERE u.charge_id = c.id))""",
    "I6 stale holds": """
        SELECT id FROM charge WHERE state = 'authorized' AND lease_until < now() - interval '30 s'""",
    "I7 reports = ledger": """
        SELECT account_id FROM (SELECT account_id, sum(cost_nano) s FROM usage_event GROUP BY 1) u
        FULL JOIN (SELECT debit_account AS account_id, sum(amount_nano) s FROM entry WHERE kind = 'charge' GROUP BY 1) l
          USING (account_id)
        WHERE COALESCE(u.s, 0) <> COALESCE(l.s, 0)""",
    "I8 roll-ups = usage": f"""
        WITH c AS ({_EVENTS}), made AS ({rollup_of("c")})
        SELECT account_id, grain_min, starts_at FROM (
          (SELECT {ROLLUP_KEYS}, {ROLLUP_SUM_COLUMNS} FROM made
            EXCEPT SELECT {ROLLUP_KEYS}, {ROLLUP_SUM_COLUMNS} FROM usage_rollup)
          UNION ALL
          (SELECT {ROLLUP_KEYS}, {ROLLUP_SUM_COLUMNS} FROM usage_rollup
            EXCEPT SELECT {ROLLUP_KEYS}, {ROLLUP_SUM_COLUMNS} FROM made)) x""",  # noqa: S608 - constants of this package
}
ROWS_MAX = 20


async def reconcile(database: Database) -> list[dict[str, Any]]:
    """What breaks an invariant, at most 20 rows each: `{"invariant", "row"}`; nothing when the books add up.

    Everything is read at one moment, so calls may go on meanwhile.

    Raises:
        Unavailable: database_unavailable.
    """
    broken: list[dict[str, Any]] = []
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        # Every query reads whole tables; before the first ANALYZE the planner takes them for small and loops.
        await connection.execute("SET LOCAL enable_nestloop = off")
        for name, query in INVARIANTS.items():
            rows = await connection.fetch(f"{query} LIMIT {ROWS_MAX}", timeout=None)
            broken += ({"invariant": name, "row": [str(value) for value in row]} for row in rows)
    return broken
