"""Connections to PostgreSQL: a pool for everyone, and lines of their own for the hot statements."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg

from app.base.errors import Unavailable

CONNECT_TIMEOUT_S = 5.0
LINE_CONNECT_TIMEOUT_S = 2.0
RETRY_AFTER_S = 2
SESSION = {"application_name": "vetx", "timezone": "UTC", "jit": "off"}
# A hot statement is planned once: its arrays differ in length only, and planning takes longer than running it.
LINE_SESSION = SESSION | {"plan_cache_mode": "force_generic_plan", "statement_timeout": "3s"}

_LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InternalClientError,  # what asyncpg says of a line that breaks between two messages
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)


def is_lost(error: BaseException) -> bool:
    """Whether an error means that the database could not be reached, or left while it was asked."""
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, ValueError)  # those are about an argument of ours, not about the line
    return isinstance(error, _LOST)


def unavailable() -> Unavailable:
    """What a caller is told while there is no database."""
    return Unavailable(
        "The database can't be reached at the moment; try again in a few seconds.",
        code="database_unavailable",
        retry_after_s=RETRY_AFTER_S,
    )


@contextmanager
def told_as_unavailable() -> Iterator[None]:
    """Turn the loss of the database inside the block into the 503 that callers see."""
    try:
        yield
    except Exception as error:
        if is_lost(error):
            raise unavailable() from error
        raise


async def _keep_session(connection: Any) -> None:
    """Nothing to reset: no statement of ours changes its session. (The default costs a round trip a release.)"""


class Database:
    """One PostgreSQL database."""

    def __init__(self, url: str, pool: Any) -> None:
        self._url = url
        self.pool = pool

    @classmethod
    async def open(cls, url: str, *, connections_max: int = 8) -> Database:
        """A database by its address; it needn't be up yet.

        Args:
            url: `postgresql://user:password@host:port/name`.
            connections_max: of the pool; each group commit has one more.
        """
        pool = await asyncpg.create_pool(
            url,
            min_size=0,
            max_size=connections_max,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=60.0,
            server_settings=SESSION,
            reset=_keep_session,
        )
        return cls(url, pool)

    async def connect(self) -> Any:
        """An asyncpg connection outside the pool, for one group commit; whoever asks for it closes it."""
        return await asyncpg.connect(self._url, timeout=LINE_CONNECT_TIMEOUT_S, server_settings=LINE_SESSION)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """A pooled asyncpg connection. One whose statement was cut short is dropped, never used again.

        Raises:
            Unavailable: database_unavailable.
        """
        with told_as_unavailable():
            async with self.pool.acquire(timeout=CONNECT_TIMEOUT_S) as connection:
                try:
                    yield connection
                except (asyncio.CancelledError, TimeoutError):
                    connection.terminate()
                    raise

    async def ping(self) -> None:
        """Ask it something.

        Raises:
            Unavailable: database_unavailable.
        """
        async with self.connection() as connection:
            await connection.fetchval("SELECT 1", timeout=CONNECT_TIMEOUT_S)

    async def close(self) -> None:
        """Close every connection, busy ones after 5 s too. Safe twice."""
        try:
            await asyncio.wait_for(self.pool.close(), CONNECT_TIMEOUT_S)
        except TimeoutError:
            self.pool.terminate()
