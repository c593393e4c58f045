"""Bring a database to the schema that this code needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.base.errors import StartRefused
from app.storage.engine import CONNECT_TIMEOUT_S, is_lost

ALEMBIC_INI = Path(__file__).resolve().parents[2] / "alembic.ini"
LOCK = 7710


async def upgrade(url: str, revision: str = "head") -> None:
    """Apply every migration up to `revision`; of several processes at once one works and the others wait for it.

    Raises:
        StartRefused: the database can't be reached, or is older than PostgreSQL 15.
    """
    await _under_lock(url, lambda config: command.upgrade(config, revision))


async def downgrade(url: str, revision: str = "base") -> None:
    """Take back every migration after `revision`."""
    await _under_lock(url, lambda config: command.downgrade(config, revision))


async def _under_lock(url: str, work: Callable[[Config], None]) -> None:
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S, server_settings={"timezone": "UTC"}),
        poolclass=NullPool,
    )

    def locked(connection: Connection) -> None:
        version = connection.execute(text("SELECT current_setting('server_version_num')::int")).scalar_one()
        if version < 150_000:
            raise StartRefused("vetx needs PostgreSQL 15 or newer; name a newer one in VETX_DATABASE_URL.")
        connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        config = Config(ALEMBIC_INI)
        config.attributes["connection"] = connection
        work(config)

    try:
        async with engine.begin() as connection:
            await connection.run_sync(locked)
    except Exception as error:
        if is_lost(error):
            raise StartRefused("The database can't be reached; check VETX_DATABASE_URL and that it is up.") from error
        raise
    finally:
        await engine.dispose()
