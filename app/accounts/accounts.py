"""Accounts and their plans: who has one, and what it allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.base.errors import Invalid, NotFound
from app.storage.engine import Database

NAME_CHARACTERS_MAX = 200
DEFAULT_PLAN = "free"
PLAN_OF_LOAD_TESTS = "internal"
"""Has no limits; the command line gives it, HTTP doesn't."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who pays. What it holds in its wallet is billing's to say.

    Attributes:
        requests_per_min: its own limit in the place of its plan's; None: the plan's.
        jurisdiction: whose drug law holds for its calls; None: not said.
    """

    id: int
    name: str
    plan: str
    requests_per_min: int | None
    jurisdiction: str | None
    created_at: datetime


def _account(row: Mapping[str, Any]) -> Account:
    return Account(**{name: row[name] for name in Account.__slots__})


class Accounts:
    """The accounts of customers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, name: str, plan: str = DEFAULT_PLAN, jurisdiction: str | None = None) -> Account:
        """A new account with an empty wallet and no key.

        Raises:
            Invalid: the name can't be one, or there is no such plan.
        """
        if not name.strip() or len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
            raise Invalid(f"name: give 1 to {NAME_CHARACTERS_MAX} printable characters.", param="name")
        async with self._database.connection() as connection:
            await _check_plan(connection, plan)
            row = await connection.fetchrow(
                """
                insert into account (kind, name, plan, jurisdiction) values ('customer', $1, $2, $3)
                returning id, name, plan, requests_per_min, jurisdiction, created_at
                """,
                name,
                plan,
                jurisdiction,
            )
        return _account(row)

    async def get(self, account_id: int) -> Account:
        """The account.

        Raises:
            NotFound: there is none, or it is one of the ledger's own.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                """
                select id, name, plan, requests_per_min, jurisdiction, created_at from account
                where id = $1 and kind = 'customer'
                """,
                account_id,
            )
        if row is None:
            raise _no_account(account_id)
        return _account(row)

    async def newest(self, count: int, before_id: int | None = None) -> list[Account]:
        """At most `count` accounts, newest first, from the one before `before_id` on."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                """
                select id, name, plan, requests_per_min, jurisdiction, created_at from account
                where kind = 'customer' and ($1::bigint is null or id < $1) order by id desc limit $2
                """,
                before_id,
                count,
            )
        return [_account(row) for row in rows]

    async def change_plan(self, account_id: int, plan: str) -> Account:
        """Put the account on another plan; every worker obeys within 5 s.

        Raises:
            Invalid: there is no such plan.
            NotFound: no such account.
        """
        async with self._database.connection() as connection:
            await _check_plan(connection, plan)
            row = await connection.fetchrow(
                """
                update account set plan = $2 where id = $1 and kind = 'customer'
                returning id, name, plan, requests_per_min, jurisdiction, created_at
                """,
                account_id,
                plan,
            )
        if row is None:
            raise _no_account(account_id)
        return _account(row)


async def _check_plan(connection: Any, plan: str) -> None:
    names = [row["name"] for row in await connection.fetch("select name from plan order by name")]
    if plan not in names:
        raise Invalid(f"plan: there are {', '.join(names)}.", param="plan")


def _no_account(account_id: int) -> NotFound:
    return NotFound(f"There is no account acct_{account_id}.")
