"""An account, a key ring and scopes of requests for the tests of accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.accounts.accounts import Account, Accounts
from app.accounts.keys import KeyRing
from app.storage.engine import Database

MASTER_KEY = b"a master key of these tests only"


@pytest.fixture
async def account(database: Database) -> Account:
    """An account on the plan pro."""
    return await Accounts(database).create("Practice", "pro")


@pytest.fixture
async def ring(database: Database) -> AsyncIterator[KeyRing]:
    """The keys as one worker knows them."""
    opened = KeyRing(database, MASTER_KEY)
    yield opened
    await opened.close()
