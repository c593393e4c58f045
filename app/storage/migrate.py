"""Bring a database to the schema that this code needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from app.base.errors import StartRefused
from app.storage.engine import CONNECT_TIMEOUT_S, is_lost

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

ROOT = Path(__file__).resolve().parents[2]
LOCK = 7710
_REVISION = re.compile(r'^(?:down_)?revision = "(.+)"$', re.MULTILINE)


async def upgrade(url: str, revision: str = "head") -> None:
    """Apply every migration up to `revision`; of several processes at once one works and the others wait for it.

    Raises:
        StartRefused: the database can't be reached, or is older than PostgreSQL 15.
    """
    if revision == "head" and await _is_at_head(url):
        return  # as on every start but the first: Alembic alone takes a quarter of a second to load

    from alembic import command

    await _under_lock(url, lambda config: command.upgrade(config, revision))


async def downgrade(url: str, revision: str = "base") -> None:
    """Take back every migration after `revision`."""
    from alembic import command

    await _under_lock(url, lambda config: command.downgrade(config, revision))


def head() -> str:
    """The migration that no other one follows."""
    named = [name for file in (ROOT / "migrations" / "versions").glob("*.py") for name in _names(file)]
    (last,) = {name for name in named if named.count(name) == 1}
    return last


def _names(file: Path) -> list[str]:
    """A migration's own name and that of the one before it."""
    return _REVISION.findall(file.read_text(encoding="utf-8"))


async def _is_at_head(url: str) -> bool:
    try:
        with _advised():
            connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S)
            try:
                rows = await connection.fetch("SELECT version_num FROM alembic_version")
                return connection.get_server_version().major >= 15 and [row[0] for row in rows] == [head()]
            finally:
                await connection.close()
    except asyncpg.UndefinedTableError:
        return False


@contextmanager
def _advised() -> Iterator[None]:
    """Turn the loss of the database inside the block into advice."""
    try:
        yield
    except Exception as error:
        if is_lost(error):
            raise StartRefused("The database can't be reached; check VETX_DATABASE_URL and that it is up.") from error
        raise


async def _under_lock(url: str, work: Callable[[Config], None]) -> None:
    from alembic.config import Config
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

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
        config = Config(ROOT / "alembic.ini")
        config.attributes["connection"] = connection
        work(config)

    try:
        with _advised():
            try:
                async with engine.begin() as connection:
                    await connection.run_sync(locked)
            except DBAPIError as error:
                raise (error.orig.__cause__ if error.orig is not None else None) or error from error
    finally:
        await engine.dispose()
