"""The real service on a real socket over a real database, and accounts to call it with."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn

from app import api
from app.accounts.key_rows import FIRST_KEY_SCOPES, KeyTerms
from app.api.protocol import Protocol
from app.base.settings import Settings
from app.main import open_house
from app.turns.house import House

PEPPER = "a pepper of the tests"


@dataclass(frozen=True, slots=True)
class Account:
    """An account with its first key."""

    id: int
    key_id: int
    key: str

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}


@dataclass(slots=True)
class Service:
    """A running service."""

    url: str
    house: House
    client: httpx.AsyncClient

    async def account(
        self, *, plan: str = "internal", nano: int = 5_000_000_000, scopes: tuple[str, ...] = FIRST_KEY_SCOPES
    ) -> Account:
        """A new account with money and a key."""
        account = await self.house.accounts.create("Test clinic", plan)
        if nano:
            await self.house.wallet.deposit(account.id, nano)
        key, plain = await self.house.keys.create(account.id, KeyTerms("First key", scopes))
        return Account(account.id, key.id, plain)

    async def chat(self, account: Account, words: str | list[Any], **fields: Any) -> httpx.Response:
        """Ask something."""
        body = {"model": "vetx-23", "messages": [{"role": "user", "content": words}], **fields}
        return await self.client.post("/v1/chat/completions", json=body, headers=account.headers)


@asynccontextmanager
async def running(database_url: str, **settings: Any) -> AsyncIterator[Service]:
    """The service with these settings, until the block ends."""
    chosen = Settings.model_validate({"database_url": database_url, "master_key": PEPPER, **settings})
    houses: list[House] = []

    @asynccontextmanager
    async def opened() -> AsyncIterator[House]:
        async with open_house(chosen) as house:
            houses.append(house)
            yield house

    config = uvicorn.Config(
        api.create(opened, version="test"), http=Protocol, ws="none", lifespan="on", log_level="error"
    )
    server = uvicorn.Server(config)
    with socket.socket(proto=socket.IPPROTO_TCP) as door:  # as `vetx serve` does, so that small answers go at once
        door.bind(("127.0.0.1", 0))
        task = asyncio.create_task(server.serve(sockets=[door]))
        while not server.started:
            assert not task.done(), "the service did not start"
            await asyncio.sleep(0.01)
        url = f"http://127.0.0.1:{door.getsockname()[1]}"
        try:
            async with httpx.AsyncClient(base_url=url, timeout=30) as client:
                yield Service(url, houses[0], client)
        finally:
            server.should_exit = True
            await task


@pytest.fixture
async def service(fresh_url: str) -> AsyncIterator[Service]:
    """The service on the built-in engine."""
    async with running(fresh_url) as started:
        yield started


@pytest.fixture
async def service_for_reading(service: Service) -> tuple[Service, Account]:
    """The service and an account on it."""
    return service, await service.account()


@pytest.fixture
def running_with(fresh_url: str) -> Callable[..., Any]:
    """Start the service with other settings: `async with running_with(upstream_url=…) as service`."""
    return lambda **settings: running(fresh_url, **settings)
