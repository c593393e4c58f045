"""Migrations: up, down, several at once, and in step with the tables that the code names."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine

from app.base.errors import StartRefused
from app.storage.engine import Database
from app.storage.migrate import ROOT, downgrade, head, upgrade
from app.storage.tables import metadata
from tests.conftest import administer, with_database


@pytest.fixture
async def empty_url(database_url: str) -> AsyncIterator[str]:
    await administer(database_url, "DROP DATABASE IF EXISTS vetx_empty WITH (FORCE)", "CREATE DATABASE vetx_empty")
    yield with_database(database_url, "vetx_empty")
    await administer(database_url, "DROP DATABASE vetx_empty WITH (FORCE)")


async def names_of_everything(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "SELECT 'table ' || relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "UNION SELECT 'type ' || typname FROM pg_type WHERE typnamespace = 'public'::regnamespace "
        "UNION SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    )
    await connection.close()
    return {row[0] for row in rows}


async def test_down_leaves_nothing_behind_and_up_again_brings_the_same_back(empty_url: str) -> None:
    await upgrade(empty_url)
    first = await names_of_everything(empty_url)
    await downgrade(empty_url)
    left = {name for name in await names_of_everything(empty_url) if "alembic_version" not in name}
    await upgrade(empty_url)

    assert set() == left
    assert first == await names_of_everything(empty_url)


async def test_two_processes_migrate_at_once_and_both_end_well(empty_url: str) -> None:
    await asyncio.gather(*(upgrade(empty_url) for _ in range(4)))

    connection = await asyncpg.connect(empty_url)
    assert await connection.fetchval("SELECT count(*) FROM alembic_version") == 1
    assert await connection.fetchval("SELECT count(*) FROM plan") == 4
    await connection.close()


async def test_the_tables_in_code_are_those_of_the_migrations(fresh_url: str) -> None:
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(fresh_url))
    async with engine.connect() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(
                MigrationContext.configure(sync, opts={"compare_type": True, "compare_server_default": False}),
                metadata,
            )
        )
    await engine.dispose()
    assert differences == []


def test_the_head_read_from_the_files_is_the_one_alembic_finds() -> None:
    assert ScriptDirectory.from_config(Config(ROOT / "alembic.ini")).get_current_head() == head()


async def test_a_start_at_the_head_loads_no_alembic(fresh_url: str) -> None:
    code = "import asyncio, sys; from app.storage.migrate import upgrade; asyncio.run(upgrade(sys.argv[1]));"
    ran = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code + "sys.exit('alembic' in sys.modules)", fresh_url, cwd=ROOT
    )
    assert await ran.wait() == 0


async def test_a_database_that_is_not_there_refuses_the_start_with_advice() -> None:
    with pytest.raises(StartRefused, match="VETX_DATABASE_URL"):
        await upgrade("postgresql://nobody@127.0.0.1:9/none")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET amount_nano = 1",
        "DELETE FROM entry",
        "TRUNCATE entry CASCADE",
        "UPDATE usage_event SET cost_nano = 0",
        "DELETE FROM usage_event",
        "TRUNCATE usage_event",
        "UPDATE charge SET close_reason = 'x' WHERE state = 'settled'",
        "DELETE FROM charge",
    ],
)
async def test_what_is_written_in_the_ledger_stays(database: Database, statement: str) -> None:
    async with database.connection() as connection:
        await connection.execute(
            """
            INSERT INTO account (id, balance_nano) VALUES (7, 5);
            INSERT INTO entry (debit_account, credit_account, amount_nano, kind) VALUES (1, 7, 5, 'topup');
            INSERT INTO charge (id, account_id, state, worker_id, price_in_nano, price_out_nano, hold_nano, model,
              engine, lease_until, closed_at)
              VALUES ('00000000-0000-0000-0000-000000000001', 7, 'settled', 'w', 0, 0, 0, 'm', 'e', now(), now());
            INSERT INTO usage_event (charge_id, account_id, model, engine, prompt_tokens, completion_tokens, cost_nano)
              VALUES ('00000000-0000-0000-0000-000000000001', 7, 'm', 'e', 0, 0, 0);
            """
        )
        with pytest.raises(asyncpg.RestrictViolationError):
            await connection.execute(statement)


async def test_a_money_check_stands_in_the_table_too(database: Database) -> None:
    async with database.connection() as connection:
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute("INSERT INTO account (id, balance_nano, held_nano) VALUES (7, 5, 6)")


async def test_plans_are_those_of_the_contract(database: Database) -> None:
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT * FROM plan ORDER BY name")
        assert [tuple(row) for row in rows] == [
            ("free", 20, 100, 10, 5),
            ("internal", None, None, None, None),
            ("pro", 500, 1000, 50, 5),
            ("ultra", 2000, 2500, 100, 10),
        ]
