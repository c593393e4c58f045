"""API keys as rows: what is stored of a key, and the statements that read and change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

import asyncpg

READ_TIMEOUT_S = 3.0
"""A database that doesn't answer a key's question in this time counts as away."""
Scope = Literal["chat", "clinic", "images", "video", "memory", "usage", "keys", "admin"]
SCOPES = get_args(Scope)
DEFAULT_SCOPES: tuple[Scope, ...] = ("chat", "clinic", "images", "video", "memory", "usage")
FIRST_KEY_SCOPES: tuple[Scope, ...] = (*DEFAULT_SCOPES, "keys")
MemoryDefault = Literal["off", "read", "read_write"]
LimitReset = Literal["daily", "weekly", "monthly"]


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """What the holder of an account says about a key.

    Attributes:
        allowed_models: empty means every model.
        allowed_ips: addresses and networks (CIDR), as text; empty means every address.
        limit_nano: the most it may spend in a period of `limit_reset`, or ever [nano-USD]; None: no limit.
    """

    name: str
    scopes: tuple[str, ...] = DEFAULT_SCOPES
    allowed_models: tuple[str, ...] = ()
    allowed_ips: tuple[str, ...] = ()
    expires_at: datetime | None = None
    disabled: bool = False
    may_set_user_id: bool = True
    memory_default: MemoryDefault = "read_write"
    limit_nano: int | None = None
    limit_reset: LimitReset | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """A stored key. The key itself is not among its fields; nobody has it but its holder."""

    id: int
    account_id: int
    redacted_value: str
    created_at: datetime
    last_used_at: datetime | None
    allowance_id: int | None
    terms: KeyTerms


_FIELDS = """
    k.id, k.account_id, k.redacted_value, k.created_at, k.last_used_at, k.allowance_id, k.name, k.scopes,
    k.allowed_models, k.allowed_ips, k.expires_at, k.disabled, k.may_set_user_id, k.memory_default,
    w.limit_nano, case when w.limit_nano is not null then w.reset end as limit_reset
"""


def _key(row: Mapping[str, Any]) -> Key:
    return Key(
        id=row["id"],
        account_id=row["account_id"],
        redacted_value=row["redacted_value"],
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
        allowance_id=row["allowance_id"],
        terms=KeyTerms(
            name=row["name"],
            scopes=tuple(row["scopes"]),
            allowed_models=tuple(row["allowed_models"]),
            allowed_ips=tuple(row["allowed_ips"]),
            expires_at=row["expires_at"],
            disabled=row["disabled"],
            may_set_user_id=row["may_set_user_id"],
            memory_default=row["memory_default"],
            limit_nano=row["limit_nano"],
            limit_reset=row["limit_reset"],
        ),
    )


async def insert_key(
    connection: asyncpg.Connection, account_id: int, digest: bytes, redacted_value: str, terms: KeyTerms
) -> int:
    """Store a key's digest and terms, without its spending limit; gives its id.

    Raises:
        asyncpg.ForeignKeyViolationError: there is no such account.
    """
    key_id: int = await connection.fetchval(
        """
        insert into api_key (account_id, digest, redacted_value, name, scopes, allowed_models, allowed_ips, expires_at,
            disabled, may_set_user_id, memory_default)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) returning id
        """,
        account_id,
        digest,
        redacted_value,
        *_columns(terms),
    )
    return key_id


def _columns(terms: KeyTerms) -> tuple[object, ...]:
    return (
        terms.name,
        list(terms.scopes),
        list(terms.allowed_models),
        list(terms.allowed_ips),
        terms.expires_at,
        terms.disabled,
        terms.may_set_user_id,
        terms.memory_default,
    )


async def find_key(connection: asyncpg.Connection, account_id: int, key_id: int) -> Key | None:
    """The key, or None where there is none, it is another account's, or it was revoked."""
    row = await connection.fetchrow(
        f"""
        select {_FIELDS} from api_key k left join allowance w on w.id = k.allowance_id
        where k.id = $1 and k.account_id = $2 and k.revoked_at is null
        """,  # noqa: S608 - a constant of this module
        key_id,
        account_id,
    )
    return None if row is None else _key(row)


async def lock_key(connection: asyncpg.Connection, account_id: int, key_id: int) -> bool:
    """Keep others from changing the key until the transaction ends; False where `find_key` gives None."""
    return (
        await connection.fetchval(
            "select 1 from api_key where id = $1 and account_id = $2 and revoked_at is null for update",
            key_id,
            account_id,
        )
        is not None
    )


async def list_keys(connection: asyncpg.Connection, account_id: int, before_id: int | None, count: int) -> list[Key]:
    """At most `count` keys of the account that are not revoked, newest first, from the one before `before_id` on."""
    rows = await connection.fetch(
        f"""
        select {_FIELDS} from api_key k left join allowance w on w.id = k.allowance_id
        where k.account_id = $1 and k.revoked_at is null and ($2::bigint is null or k.id < $2)
        order by k.id desc limit $3
        """,  # noqa: S608 - a constant of this module
        account_id,
        before_id,
        count,
    )
    return [_key(row) for row in rows]


async def write_terms(connection: asyncpg.Connection, key_id: int, terms: KeyTerms) -> None:
    """Replace a key's terms, except its spending limit."""
    await connection.execute(
        """
        update api_key set name = $2, scopes = $3, allowed_models = $4, allowed_ips = $5, expires_at = $6,
            disabled = $7, may_set_user_id = $8, memory_default = $9
        where id = $1
        """,
        key_id,
        *_columns(terms),
    )


async def copy_key(connection: asyncpg.Connection, key_id: int, digest: bytes, redacted_value: str) -> int | None:
    """A new key with the same terms, the same spending and another digest; gives its id, None if it has one already."""
    new_id: int | None = await connection.fetchval(
        """
        insert into api_key (account_id, digest, redacted_value, name, scopes, allowed_models, allowed_ips, expires_at,
            disabled, may_set_user_id, memory_default, allowance_id)
        select account_id, $2, $3, name, scopes, allowed_models, allowed_ips, expires_at,
            disabled, may_set_user_id, memory_default, allowance_id
        from api_key where id = $1 and rotated_to is null
        returning id
        """,
        key_id,
        digest,
        redacted_value,
    )
    return new_id


async def retire_key(connection: asyncpg.Connection, key_id: int, rotated_to: int, grace_s: int) -> None:
    """Let a rotated key end in `grace_s` seconds: 0 revokes it, more lets it expire, never later than it would."""
    await connection.execute(
        """
        update api_key set rotated_to = $2,
            revoked_at = case when $3 = 0 then now() else revoked_at end,
            expires_at = case when $3 = 0 then expires_at else least(expires_at, now() + $3 * interval '1 s') end
        where id = $1
        """,
        key_id,
        rotated_to,
        grace_s,
    )


async def revoke_key(connection: asyncpg.Connection, account_id: int, key_id: int) -> bool:
    """End a key now; False where `find_key` gives None."""
    return (
        await connection.fetchval(
            """
            update api_key set revoked_at = now() where id = $1 and account_id = $2 and revoked_at is null returning id
            """,
            key_id,
            account_id,
        )
        is not None
    )


async def touch_keys(connection: asyncpg.Connection, key_ids: Sequence[int], at_least_s_ago: float) -> None:
    """Note that the keys were used just now, except those for which somebody noted it less than that long ago."""
    await connection.execute(
        """
        update api_key set last_used_at = now() where id in (
            select id from api_key
            where id = any($1::bigint[])
                and (last_used_at is null or last_used_at < now() - $2::float8 * interval '1 s')
            order by id for update skip locked
        )
        """,
        key_ids,
        at_least_s_ago,
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """What a digest in the database means at the moment it was read.

    Attributes:
        expires_in_s: by the database's clock; None: never.
        requests_per_min: of the account, else of its plan; None: no limit.
    """

    digest: bytes
    key_id: int
    account_id: int
    plan: str
    requests_per_min: int | None
    jurisdiction: str | None
    scopes: tuple[str, ...]
    allowed_models: tuple[str, ...]
    allowed_ips: tuple[str, ...]
    may_set_user_id: bool
    memory_default: MemoryDefault
    allowance_id: int | None
    disabled: bool
    revoked: bool
    rotated: bool
    expires_in_s: float | None


async def read_standings(connection: asyncpg.Connection, digests: Sequence[bytes]) -> list[Standing]:
    """What the digests mean now; a digest that nobody has is left out."""
    rows = await connection.fetch(
        """
        select k.digest, k.id as key_id, k.account_id, a.plan,
            coalesce(a.requests_per_min, p.requests_per_min) as requests_per_min, a.jurisdiction, k.scopes,
            k.allowed_models, k.allowed_ips, k.may_set_user_id, k.memory_default, k.allowance_id, k.disabled,
            k.revoked_at is not null as revoked, k.rotated_to is not null as rotated,
            extract(epoch from k.expires_at - now())::float8 as expires_in_s
        from api_key k join account a on a.id = k.account_id join plan p on p.name = a.plan
        where k.digest = any($1::bytea[])
        """,
        digests,
        timeout=READ_TIMEOUT_S,
    )
    return [
        Standing(
            **{**row, "scopes": tuple(row["scopes"]), "allowed_models": tuple(row["allowed_models"])}
            | {"allowed_ips": tuple(row["allowed_ips"])}
        )
        for row in rows
    ]
