"""The ledger's hot statements. Each takes a whole batch in arrays, decides and writes in one go.

Numbers and ids come as the text of an array, `{1,2,null}`, which the driver passes on a dozen times faster than lists.
What many calls have in common comes once, and each call names its place in it.

READ COMMITTED is enough: every decision is made on rows that the statement itself has locked. Locks are taken in the
order idempotency, charge, account (by id); the rows of an account's allowances and roll-ups are only touched under the
lock of their account, so they need no order of their own.
"""

# ruff: noqa: S608 - the parts put together here are all our own words; what callers say comes as $n

from __future__ import annotations

from app.storage.rollup import FIRST_TOKEN_COLUMNS, FIRST_TOKEN_EDGES_MS, ROLLUP_SUMS

_PERIOD = "CASE reset WHEN 'daily' THEN 'day' WHEN 'weekly' THEN 'week' WHEN 'monthly' THEN 'month' END"
_PERIOD_START = f"date_trunc({_PERIOD}, now(), 'UTC')"

# What an allowance has spent in the period that runs now; nothing where a new period has begun since.
SPENT_NOW = f"CASE WHEN period_start < {_PERIOD_START} THEN 0 ELSE spent_nano END"

AUTHORIZE = f"""
WITH r AS MATERIALIZED (
  SELECT r.*, v.*, prompt * price_in AS base, prompt * price_in + wanted * price_out AS most,
    prompt * price_in + least * price_out AS enough
  FROM unnest($2::text::uuid[], $3::text::bigint[], $4::text::bigint[], $5::text::bigint[], $6::text::bigint[],
    $7::text::bigint[], $8::text::bigint[], $9::text::bigint[], $10::text::bigint[])
    WITH ORDINALITY AS r(id, account_id, allowance_id, price_in, price_out, prompt, wanted, least, v, n)
  JOIN unnest($11::text[], $12::text[], $13::text[], $14::bigint[], $15::text[], $16::text[], $17::text[], $18::text[],
    $19::bigint[], $20::int[])
    WITH ORDINALITY AS v(model, engine, upstream, api_key_id, user_id, user_id_source, app_source, species,
      image_tokens, num_images, at) ON v.at = r.v),
a AS MATERIALIZED (
  SELECT id, balance_nano, held_nano, balance_nano - held_nano AS free FROM account
  WHERE id = ANY ($3::text::bigint[]) AND kind = 'customer' ORDER BY id FOR NO KEY UPDATE),
l AS MATERIALIZED (
  SELECT id, kind, limit_nano - {SPENT_NOW} AS allowed, limit_nano - {SPENT_NOW} - held_nano AS room FROM allowance
  WHERE id = ANY ($4::text::bigint[]) AND account_id IN (SELECT id FROM a) FOR NO KEY UPDATE),
f AS (
  SELECT r.*, a.balance_nano, a.free, l.kind AS limit_kind, l.allowed, l.room, LEAST(a.free, l.room) AS within,
    row_number() OVER (PARTITION BY r.account_id ORDER BY n) = 1 AS first
  FROM r JOIN a ON a.id = r.account_id LEFT JOIN l ON l.id = r.allowance_id),
t AS (  -- the first of each account may take less than it wants; the others, when that would help, in another round
  SELECT *, CASE WHEN enough > within THEN 0
    WHEN first AND most > within THEN base + (within - base) / price_out * price_out ELSE most END AS take FROM f),
d AS (
  SELECT *, enough <= within AND sum(take) OVER (PARTITION BY account_id ORDER BY n) <= free
    AND (room IS NULL OR sum(take) OVER (PARTITION BY allowance_id ORDER BY n) <= room) AS granted FROM t),
w AS (  -- the locked version's own figures: PostgreSQL checks the new row before it sees that its snapshot is stale
  UPDATE account SET balance_nano = s.balance_nano, held_nano = s.held_nano + s.take
  FROM (SELECT a.id, a.balance_nano, a.held_nano, sum(take)::bigint AS take FROM d JOIN a ON a.id = account_id
    WHERE granted GROUP BY 1, 2, 3) s
  WHERE account.id = s.id),
k AS (
  UPDATE allowance SET held_nano = held_nano + s.take, spent_nano = {SPENT_NOW},
    period_start = GREATEST(period_start, {_PERIOD_START})
  FROM (SELECT allowance_id, sum(take)::bigint AS take FROM d WHERE granted AND allowance_id IS NOT NULL
    GROUP BY allowance_id) s
  WHERE allowance.id = s.allowance_id),
i AS (
  INSERT INTO charge (id, account_id, allowance_id, worker_id, price_in_nano, price_out_nano, hold_nano, prompt_tokens,
    model, engine, upstream, api_key_id, user_id, user_id_source, app_source, species, image_tokens, num_images,
    lease_until)
  SELECT id, account_id, allowance_id, $1, price_in, price_out, take, prompt, model, engine, upstream, api_key_id,
    user_id, user_id_source, app_source, species, image_tokens, num_images, now() + interval '60 s'
  FROM d WHERE granted)
SELECT n, granted, enough > within AS refused, take, balance_nano, free, limit_kind, allowed, room FROM d
"""
"""Members neither granted nor refused didn't fit behind those before them; they are asked again. One whose account is
missing gives no row."""

AUTHORIZE_ONE = """
WITH w AS (
  UPDATE account SET held_nano = held_nano + $4
  WHERE id = $3 AND kind = 'customer' AND balance_nano - held_nano >= $4 RETURNING id)
INSERT INTO charge (id, account_id, worker_id, price_in_nano, price_out_nano, hold_nano, prompt_tokens, model, engine,
  upstream, api_key_id, user_id, user_id_source, app_source, species, image_tokens, num_images, lease_until)
SELECT $2, id, $1, $5, $6, $4, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, now() + interval '60 s'
FROM w RETURNING hold_nano
"""
"""A caller alone, without an allowance and in full: a third of what the batch's statement costs. No row: it didn't fit,
and the batch's statement says why, or takes less."""

_KEYS = "account_id, grain_min, by_user, starts_at, model, engine, api_key_id, app_source, species, user_id"
_SUMS = (*ROLLUP_SUMS, *FIRST_TOKEN_COLUMNS)
_SETTLED = "count(*) FILTER (WHERE state = 'settled'"
_EDGES = f"ARRAY[{', '.join(map(str, FIRST_TOKEN_EDGES_MS))}]"

_MADE = {
    "requests": f"{_SETTLED})",
    "aborted": "count(*) FILTER (WHERE close_reason = 'client_gone')",
    "failed": "count(*) FILTER (WHERE state <> 'settled' AND close_reason <> 'client_gone')",
    "cost_nano": "sum(charged_nano)::bigint",
} | {name: f"({_SETTLED} AND bin = {n}))::int" for n, name in enumerate(FIRST_TOKEN_COLUMNS)}
_ADDED = {name: f"COALESCE(sum({name}) FILTER (WHERE state = 'settled'), 0)::bigint" for name in _SUMS}
_FINEST = ", ".join(f"{expression} AS {name}" for name, expression in (_ADDED | _MADE).items())

ROLLUP_KEYS = _KEYS
ROLLUP_SUM_COLUMNS = f"{', '.join(_SUMS)}, first_token_ms_min, first_token_ms_max"


def rollup_of(closed: str) -> str:
    """The query for the roll-up rows of closed charges, one per grain, start and key."""
    return f"""
  SELECT account_id, grain_min, by_user, date_bin(make_interval(mins => grain_min), closed_at, 'epoch') AS starts_at,
    model, engine, api_key_id, app_source, species, CASE WHEN by_user THEN user_id END AS user_id,
    {", ".join(f"sum({name})::bigint AS {name}" for name in _SUMS)},
    min(first_token_ms_min) AS first_token_ms_min, max(first_token_ms_max) AS first_token_ms_max
  FROM (
    SELECT account_id, closed_at, model, engine, api_key_id, app_source, species, user_id, {_FINEST},
      min(first_token_ms) FILTER (WHERE state = 'settled') AS first_token_ms_min,
      max(first_token_ms) FILTER (WHERE state = 'settled') AS first_token_ms_max
    FROM (SELECT *, width_bucket(first_token_ms, {_EDGES}) AS bin FROM {closed}) binned
    GROUP BY account_id, closed_at, model, engine, api_key_id, app_source, species, user_id) finest
  CROSS JOIN (VALUES (15, false), (15, true), (1440, false), (1440, true)) AS g(grain_min, by_user)
  GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10"""


ROLL_UP = f"""
p AS (
  INSERT INTO usage_rollup AS u ({_KEYS}, {ROLLUP_SUM_COLUMNS})
  {rollup_of("c")}
  ON CONFLICT ON CONSTRAINT usage_rollup_key DO UPDATE SET
    {", ".join(f"{name} = u.{name} + EXCLUDED.{name}" for name in _SUMS)},
    first_token_ms_min = LEAST(u.first_token_ms_min, EXCLUDED.first_token_ms_min),
    first_token_ms_max = GREATEST(u.first_token_ms_max, EXCLUDED.first_token_ms_max))
"""
"""Adds the charges that `c` closed to the sums of their quarter hour and their day."""

# Gives the holds of the charges in `c` back, takes what they cost, and shows the balances after it (`w`).
_PAY = f"""
s AS MATERIALIZED (
  SELECT account_id, sum(hold_nano)::bigint AS hold, sum(charged_nano)::bigint AS charged FROM c GROUP BY account_id),
l AS MATERIALIZED (
  SELECT id FROM account WHERE id IN (SELECT account_id FROM s) ORDER BY id FOR NO KEY UPDATE),
w AS (
  UPDATE account a SET held_nano = a.held_nano - s.hold, balance_nano = a.balance_nano - s.charged
  FROM s JOIN l ON l.id = s.account_id WHERE a.id = s.account_id RETURNING a.id, a.balance_nano),
k AS (
  UPDATE allowance SET held_nano = held_nano - m.hold, spent_nano = {SPENT_NOW} + m.charged,
    period_start = GREATEST(period_start, {_PERIOD_START})
  FROM (SELECT allowance_id, sum(hold_nano)::bigint AS hold, sum(charged_nano)::bigint AS charged FROM c
    WHERE allowance_id IS NOT NULL AND (SELECT count(*) FROM w) > 0 GROUP BY allowance_id) m
  WHERE allowance.id = m.allowance_id)"""

_COST = "r.prompt * price_in_nano + r.completion * price_out_nano + units * price_unit_nano"

CLOSE = f"""
WITH r AS MATERIALIZED (
  SELECT * FROM unnest($1::text::uuid[], $2::text::bigint[], $3::text::bigint[], $4::text::int[], $5::text::int[],
    $6::text::bigint[]) AS r(id, prompt, completion, first_ms, duration, v)
  JOIN unnest($7::charge_state[], $8::text[], $9::text[], $10::int[], $11::int[], $12::text[])
    WITH ORDINALITY AS v(state, source, reason, status, interventions, rules, at) ON v.at = r.v),
c AS (
  UPDATE charge SET state = r.state, prompt_tokens = r.prompt, completion_tokens = r.completion,
    usage_source = r.source, close_reason = r.reason, http_status = r.status, first_token_ms = r.first_ms,
    duration_ms = r.duration, interventions = r.interventions, rules = string_to_array(r.rules, chr(10)),
    closed_at = now(),
    charged_nano = CASE r.state WHEN 'settled' THEN LEAST(hold_nano, {_COST}) ELSE 0 END,
    overrun_nano = CASE r.state WHEN 'settled' THEN GREATEST(0, {_COST} - hold_nano) ELSE 0 END
  FROM r WHERE charge.id = r.id AND charge.state = 'authorized' RETURNING charge.*),
{_PAY},
e AS (
  INSERT INTO entry (debit_account, credit_account, amount_nano, kind, charge_id)
  SELECT account_id, 2, charged_nano, 'charge', id FROM c WHERE charged_nano > 0),
u AS (
  INSERT INTO usage_event (charge_id, account_id, occurred_at, model, engine, upstream, api_key_id, user_id,
    user_id_source, app_source, species, prompt_tokens, completion_tokens, image_tokens, num_images, units,
    interventions, aborted, first_token_ms, duration_ms, cost_nano)
  SELECT id, account_id, closed_at, model, engine, upstream, api_key_id, user_id, user_id_source, app_source, species,
    prompt_tokens, completion_tokens, image_tokens, num_images, units, interventions, close_reason = 'client_gone',
    first_token_ms, duration_ms, charged_nano FROM c WHERE state = 'settled'),
{ROLL_UP}
SELECT c.id, c.state::text, c.charged_nano, c.overrun_nano, w.balance_nano FROM c JOIN w ON w.id = c.account_id
"""
"""Settles and voids. A charge that was closed before gives no row."""

EXPIRE = f"""
WITH k0 AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(7711) AS ok),
d AS (
  SELECT id FROM charge, k0 WHERE k0.ok AND state = 'authorized' AND lease_until < now() - interval '10 s'
  ORDER BY id LIMIT $1 FOR NO KEY UPDATE OF charge SKIP LOCKED),
c AS (
  UPDATE charge SET state = 'expired', close_reason = 'lease_lost', closed_at = now()
  FROM d WHERE charge.id = d.id AND state = 'authorized' RETURNING charge.*),
{_PAY},
{ROLL_UP}
SELECT count(*) FROM c JOIN w ON w.id = c.account_id
"""
"""Frees what vanished workers held. One worker at a time, at most $1 charges."""

RENEW = """
WITH d AS (
  SELECT id FROM charge WHERE id = ANY ($1) AND state = 'authorized' ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
UPDATE charge SET lease_until = now() + interval '60 s' FROM d WHERE charge.id = d.id
"""

CLAIM = """
INSERT INTO idempotency AS i (account_id, key_digest, fingerprint, charge_id, expires_at)
VALUES ($1, $2, $3, $4, now() + interval '24 h')
ON CONFLICT (account_id, key_digest) DO UPDATE SET fingerprint = EXCLUDED.fingerprint, charge_id = EXCLUDED.charge_id,
  sealed_answer = NULL, expires_at = EXCLUDED.expires_at
WHERE i.expires_at < now() OR EXISTS (SELECT FROM charge WHERE id = i.charge_id AND state IN ('voided', 'expired'))
RETURNING charge_id
"""
"""Takes an idempotency key for a call; no row where another call has it."""

CLAIMED_BY = """
SELECT i.fingerprint, i.sealed_answer, i.charge_id, c.state::text
FROM idempotency i LEFT JOIN charge c ON c.id = i.charge_id WHERE i.account_id = $1 AND i.key_digest = $2
"""

SEAL = """
UPDATE idempotency SET sealed_answer = r.sealed FROM unnest($1::uuid[], $2::bytea[]) AS r(id, sealed)
WHERE charge_id = r.id
"""

UNCLAIM = "DELETE FROM idempotency WHERE charge_id = ANY ($1)"

FORGET_CLAIMS = """
DELETE FROM idempotency WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM idempotency WHERE expires_at < now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED))
"""

DEPOSIT = """
WITH e AS (
  INSERT INTO entry (debit_account, credit_account, amount_nano, kind, external_ref)
  SELECT 1, id, $2, $3, $4 FROM account WHERE id = $1 AND kind = 'customer' RETURNING id, credit_account, amount_nano)
UPDATE account a SET balance_nano = a.balance_nano + e.amount_nano FROM e WHERE a.id = e.credit_account
RETURNING e.id, a.balance_nano
"""
