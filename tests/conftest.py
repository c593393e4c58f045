"""A real PostgreSQL for every test that wants one: migrated once a session, cloned for each test."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from app.storage.engine import Database
from app.storage.migrate import upgrade

_numbers = count(1)

# Files that take half a minute or more, most of it waiting for processes; the longest first.
SLOW = [
    *("test_cli.py", "storage/test_embedded.py", "reliability/test_short.py", "api/test_schema.py", "test_run.py"),
    *("api/test_injection.py", "api/test_chat.py", "api/test_documents.py", "api/test_tools.py", "api/test_http.py"),
    *("evaluation/test_evaluation.py", "media/test_hostile.py", "engines/test_builtin.py"),
]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Side by side the slow files come first, so that no worker is left alone with one at the end."""
    if hasattr(config, "workerinput"):
        places = {Path(__file__).parent / name: place for place, name in enumerate(SLOW)}
        items.sort(key=lambda item: places.get(item.path, len(SLOW)))


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """The address of a server on which databases can be made: VETX_TEST_DATABASE_URL, or one of our own."""
    named = os.environ.get("VETX_TEST_DATABASE_URL")
    if named:
        yield named
        return
    from app.storage import embedded

    folder = Path(tempfile.mkdtemp(prefix="vetx-test-"))
    folder.chmod(0o755)
    server = embedded.start(folder / "data")
    try:
        yield server.url
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def with_database(url: str, name: str) -> str:
    """The same server's address with another database's name."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def administer(url: str, *statements: str) -> None:
    """Run statements outside a transaction."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            for patience in range(20, -1, -1):
                try:
                    await connection.execute(statement)
                    break
                except asyncpg.InsufficientPrivilegeError:  # the server's own vacuum is in there, for a moment
                    if not patience:
                        raise
                    await asyncio.sleep(0.1)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def template(database_url: str) -> Iterator[str]:
    """The name of a migrated database to clone."""
    name = f"vetx_template_{os.getpid()}"
    asyncio.run(administer(database_url, f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}"))
    asyncio.run(upgrade(with_database(database_url, name)))
    yield name
    asyncio.run(administer(database_url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def fresh_url(database_url: str, template: str) -> AsyncIterator[str]:
    """The address of a migrated database of this test's own."""
    name = f"vetx_test_{os.getpid()}_{next(_numbers)}"
    await administer(database_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield with_database(database_url, name)
    await administer(database_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(fresh_url: str) -> AsyncIterator[Database]:
    """That database, open."""
    opened = await Database.open(fresh_url)
    yield opened
    await opened.close()
